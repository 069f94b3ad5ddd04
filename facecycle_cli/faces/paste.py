"""Putting a changed face crop back into its photograph."""

from __future__ import annotations

import math

import cv2
import numpy as np

from facecycle_cli.errors import FaceError
from facecycle_cli.faces.alignment import Alignment
from facecycle_cli.faces.similarity import warp_antialiased
from facecycle_cli.types import RGBImage

__all__ = ["paste_back"]

_FEATHER = 0.12  # width of the seam, of the side of a square as large as the oval
_SPREAD = 0.2  # how far the seam's color difference reaches, of the region's longer side
_OUTLIER = 40.0  # gray levels from the seam's median difference at which a pixel counts half
_COARSE = 64  # pixels on which that smooth difference is computed


def paste_back(
    image: RGBImage,
    crop: RGBImage,
    alignment: Alignment,
    oval: np.ndarray,
    *,
    match_color: bool = True,
) -> RGBImage:
    """The photograph with ``crop`` in place of the face it was cut from.

    The crop returns through the exact inverse of its alignment and replaces the photograph inside
    the face's oval, fading in from the oval's edge inwards: what lies around the face is not
    touched.

    Args:
        image: (H, W, 3) RGB uint8, the photograph.
        crop: (S, S, 3) RGB uint8; S may differ from ``alignment.size``.
        alignment: where the crop was cut from.
        oval: (K, 2) polygon around the face, in photograph pixels.
        match_color: take the difference in color and light along the seam, continued smoothly
            over the face, out of the crop.

    Returns:
        A new (H, W, 3) uint8 array.

    Raises:
        FaceError: the crop is not a square RGB picture, or the oval is not a polygon.
    """
    if crop.ndim != 3 or crop.shape[0] != crop.shape[1] or crop.shape[2] != 3:
        raise FaceError(f"a face crop is square and RGB, not of shape {crop.shape}")
    if oval.ndim != 2 or oval.shape[0] < 3 or not np.isfinite(oval).all():
        raise FaceError("the face's oval is not a polygon")
    alignment = alignment.scaled(crop.shape[0])
    result = image.copy()
    height, width = image.shape[:2]
    left, top = (int(v) for v in np.clip(np.floor(oval.min(0)), 0, (width, height)))
    right, bottom = (int(v) + 1 for v in np.clip(np.ceil(oval.max(0)), -1, (width - 1, height - 1)))
    if right <= left or bottom <= top:
        return result  # the face lies outside the photograph
    opacity = _opacity(oval, alignment, (left, top, right, bottom))
    to_region = alignment.inverse
    to_region[:, 2] -= (left, top)
    face = warp_antialiased(crop, to_region, (right - left, bottom - top)).astype(np.float32)
    photo = image[top:bottom, left:right].astype(np.float32)
    if match_color:
        face += _seam_difference(photo - face, opacity)
    blended = photo + opacity[..., None] * (face - photo)
    result[top:bottom, left:right] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return result


def _opacity(
    oval: np.ndarray, alignment: Alignment, region: tuple[int, int, int, int]
) -> np.ndarray:
    """How much of the crop shows at each pixel of the region: (h, w) float32, 0 at the edge of the
    oval (and of the crop, should the oval reach beyond it), 1 from one feather's width inwards.
    """
    left, top, right, bottom = region
    feather = _FEATHER * math.sqrt(abs(cv2.contourArea(oval.astype(np.float32))))
    # The region ends at the photograph's border, which is no seam: the polygon goes on beyond it.
    margin = math.ceil(feather) + 2
    origin = np.array([left - margin, top - margin])
    shape = (bottom - top + 2 * margin, right - left + 2 * margin)
    last = alignment.size - 0.5
    corners = np.array([[-0.5, -0.5], [last, -0.5], [last, last], [-0.5, last]])
    crop_area = alignment.apply_inverse(corners)
    inside = _filled(oval - origin, shape) & _filled(crop_area - origin, shape)
    # A rim of zeros, so that every pixel has a finite distance to the outside.
    depth = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, 0), cv2.DIST_L2, 5)
    depth = depth[1 + margin : -1 - margin, 1 + margin : -1 - margin]
    t = np.clip((depth - 0.5) / max(feather, 1.0), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    bits = 4  # of fixed-point fraction in OpenCV's polygon coordinates
    points = np.rint(polygon * (1 << bits)).astype(np.int32)
    return cv2.fillPoly(np.zeros(shape, np.uint8), [points], 1, shift=bits)


def _seam_difference(difference: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """The color difference along the seam, continued smoothly over the whole region.

    A mean of the difference over the seam whose weights fall off with distance (normalized
    convolution, Knutsson and Westin, 1993): smooth enough to follow light that comes from one side
    but no texture. Where a changed face has skin and the photograph hair or background, the seam
    says nothing about light; such outliers weigh little.

    Args:
        difference: (h, w, 3) float32, photograph minus face.
        opacity: (h, w); the seam is where it is between 0 and 1.
    """
    height, width = opacity.shape
    weight = 4 * opacity * (1 - opacity)
    scale = min(1.0, _COARSE / max(height, width))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    weighted = np.dstack([difference * weight[..., None], weight])
    weighted = cv2.resize(weighted, small, interpolation=cv2.INTER_AREA)
    mean = weighted[..., :3] / np.maximum(weighted[..., 3:], 1e-6)
    seam = mean[weighted[..., 3] > 0.1]
    if len(seam):
        outlying = ((mean - np.median(seam, axis=0)) ** 2).sum(-1) / _OUTLIER**2
        weighted = weighted / (1 + outlying[..., None])
    weighted = cv2.GaussianBlur(
        weighted, (0, 0), _SPREAD * max(small), borderType=cv2.BORDER_CONSTANT
    )
    smooth = weighted[..., :3] / np.maximum(weighted[..., 3:], 1e-6)
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
