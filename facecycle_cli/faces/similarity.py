"""Similarities of the plane (turn, scale, shift): fitted to points, and applied to pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np

from facecycle_cli.errors import FaceError
from facecycle_cli.types import RGBImage

__all__ = ["apply_affine", "fit_similarity", "invert_affine", "warp_antialiased"]


def fit_similarity(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """The similarity (turn, scale, shift; never a reflection) that best maps source to target.

    Least squares in closed form: Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns", PAMI 1991.

    Args:
        source: (N, 2), N >= 2.
        target: (N, 2).
        weights: (N,), how much each point counts; None: all the same.

    Returns:
        (2, 3) float64.

    Raises:
        FaceError: the source points coincide or are not finite.
    """
    source = np.asarray(source, np.float64)
    target = np.asarray(target, np.float64)
    share = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    mean_source, mean_target = share @ source, share @ target
    a, b = source - mean_source, target - mean_target
    b_share = share[:, None] * b
    spread = float(share @ (a**2).sum(1))
    if not np.isfinite(source).all() or spread <= 1e-12 * (1 + float((mean_source**2).sum())):
        raise FaceError("the face's points coincide; it cannot be aligned")
    # In two dimensions a turn with scale is one complex number, and least squares gives it
    # directly: the same result as Umeyama's singular value decomposition, without its reflection
    # case.
    cosine = float((a * b_share).sum()) / spread
    sine = float((a[:, 0] * b_share[:, 1] - a[:, 1] * b_share[:, 0]).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, mean_target - linear @ mean_source])


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) mapped by a (2, 3) affine map."""
    mapped: np.ndarray = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def invert_affine(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a (2, 3) affine map, (2, 3) float64."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def warp_antialiased(
    image: RGBImage, matrix: np.ndarray, size: tuple[int, int], *, averaged_below: float = 1.0
) -> RGBImage:
    """Resample a picture through a similarity; where that shrinks it, average pixels.

    ``cv2.warpAffine`` reads four (or sixteen) neighbors however far apart its samples lie, so hair
    and skin turn into noise when a 1000-pixel face becomes a 64-pixel crop. So the needed part of
    the picture is first reduced by area averaging to the scale of the result. Then a cubic kernel
    turns it, which keeps the detail that this scale can carry.

    Args:
        image: (H, W, C) uint8.
        matrix: (2, 3), picture pixels -> result pixels; a similarity (one scale, no shear).
        size: (width, height) of the result.
        averaged_below: the scale from which down pixels are averaged; what is only measured needs
            it later, and averaging takes most of the time.

    Returns:
        (height, width, C) uint8; beyond the picture its border is repeated.
    """
    width, height = size
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    corners = np.array([[-0.5, -0.5], [width, -0.5], [-0.5, height], [width, height]])
    corners = apply_affine(invert_affine(matrix), corners)
    # A margin of a few result pixels, so that the kernels never see the cut instead of the picture.
    margin = math.ceil(4 * max(1.0, 1.0 / scale))
    h, w = image.shape[:2]
    x0, y0 = (int(v) for v in np.clip(np.floor(corners.min(0)) - margin, 0, (w - 1, h - 1)))
    x1, y1 = (int(v) for v in np.clip(np.ceil(corners.max(0)) + margin, (x0 + 1, y0 + 1), (w, h)))
    part = image[y0:y1, x0:x1]
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (x0, y0)
    if scale < averaged_below:
        small = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
        part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
        fx, fy = (x1 - x0) / small[0], (y1 - y0) / small[1]
        # Pixel centers are at integers: source = (small + 0.5) * f - 0.5.
        matrix[:, 2] += matrix[:, :2] @ ((fx - 1) / 2, (fy - 1) / 2)
        matrix[:, :2] *= (fx, fy)
    warped = cv2.warpAffine(
        part, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)
