"""The similarity between a photograph and its upright face crop: of one face, and of a track.

Aligned frame by frame, five points to the template, a face in a video trembles: an opening mouth
pulls the eyes up, a turning head pushes them to the side, and every landmark has its noise.
:func:`steady_alignments` aligns a track as a whole. It uses the frames after as well as
those before, so nothing lags behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecycle_cli.faces.face import Face
from facecycle_cli.faces.similarity import (
    apply_affine,
    fit_similarity,
    invert_affine,
    warp_antialiased,
)
from facecycle_cli.types import RGBImage

__all__ = ["TEMPLATE", "Alignment", "mean_five_points", "steady_alignments"]

TEMPLATE = np.array(
    [[0.365, 0.42], [0.635, 0.42], [0.5, 0.575], [0.39, 0.715], [0.61, 0.715]], np.float64
)
"""Where the five points lie in the crop, as fractions of its side: eye centers (image-left,
image-right), nose tip, mouth corners (image-left, image-right). The margin shows forehead and chin,
as the crops of VoxCeleb do that the method was published with.
"""
TEMPLATE.setflags(write=False)

# Of eyes, nose tip and mouth corners. The eyes say where the skull is. Nose and mouth add the scale
# of a head that turns, whose eyes come closer together in the picture.
_SCALE_WEIGHTS = np.array([20.0, 20, 1, 1, 1])
_ANGLE_WEIGHTS = np.array([60.0, 60, 1, 1, 1])


@dataclass(frozen=True, eq=False)
class Alignment:
    """The position of a face crop in its photograph.

    Attributes:
        matrix: (2, 3) float64, photograph pixels -> crop pixels: a similarity.
        size: side of the square crop in pixels.
    """

    matrix: np.ndarray
    size: int

    @classmethod
    def from_points(cls, points: np.ndarray, size: int) -> Alignment:
        """From five points (5, 2) in the order of :data:`TEMPLATE`.

        Raises:
            FaceError: they coincide.
        """
        return cls(fit_similarity(points, TEMPLATE * size - 0.5), size)

    @classmethod
    def from_face(cls, face: Face, size: int) -> Alignment:
        """From a detected face.

        Raises:
            FaceError: its points coincide.
        """
        return cls.from_points(face.five_points, size)

    def scaled(self, size: int) -> Alignment:
        """The same part of the photograph as a crop of another size."""
        factor = size / self.size
        matrix = self.matrix * factor
        matrix[:, 2] += (factor - 1) / 2  # pixel centers: u' + 0.5 = factor * (u + 0.5)
        return Alignment(matrix, size)

    def widened(self, margin: int) -> Alignment:
        """The same crop with ``margin`` more pixels on each side."""
        matrix = self.matrix.copy()
        matrix[:, 2] += margin
        return Alignment(matrix, self.size + 2 * margin)

    def crop(self, image: RGBImage) -> RGBImage:
        """The face, upright: (size, size, 3) uint8. Beyond the photograph its border is
        repeated.
        """
        return warp_antialiased(image, self.matrix, (self.size, self.size))

    @property
    def inverse(self) -> np.ndarray:
        """(2, 3) float64, crop pixels -> photograph pixels."""
        return invert_affine(self.matrix)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Photograph points (..., 2) -> crop points."""
        return apply_affine(self.matrix, points)

    def apply_inverse(self, points: np.ndarray) -> np.ndarray:
        """Crop points (..., 2) -> photograph points."""
        return apply_affine(self.inverse, points)

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, for ``json.dumps``."""
        return {"matrix": self.matrix.tolist(), "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Alignment:
        """The reverse of :meth:`to_json`."""
        return cls(np.array(data["matrix"], np.float64).reshape(2, 3), int(data["size"]))


def mean_five_points(points: np.ndarray, size: int) -> np.ndarray:
    """The mean position of a face's points in crops that are aligned frame by frame.

    Args:
        points: (N, 5, 2) of each frame, in photograph pixels.
        size: side of the crops in pixels.

    Returns:
        (5, 2), in crop pixels.

    Raises:
        FaceError: the points of a frame coincide.
    """
    aligned = [Alignment.from_points(five, size).apply(five) for five in points]
    return np.asarray(np.mean(aligned, axis=0))


def steady_alignments(
    points: np.ndarray,
    frames: np.ndarray,
    size: int,
    *,
    target: np.ndarray | None = None,
    smoothing: float = 1.0,
) -> list[Alignment]:
    """Alignments of the frames of a track.

    Their mean over the track is that of frame-wise alignment, but the eyes keep their mean position
    in the crop: the point between them exactly; their distance and level except for what the head's
    size and tilt really do. The scale is smoothed over time with a symmetric kernel that fits a
    straight line. So a steady approach is followed without delay, at the ends of the track too.

    Args:
        points: (N, 5, 2) of each frame, as ``Face.five_points``.
        frames: (N,) numbers of the frames, ascending; there may be gaps.
        size: side of the crops in pixels.
        target: (5, 2), where the points belong; None: their own :func:`mean_five_points`. Parts of
            a track, or tracks of one person, that share it do not jump from one to the next.
        smoothing: standard deviation of the kernel, in frames; 0: none.

    Raises:
        FaceError: the points of a frame coincide.
    """
    points = np.asarray(points, np.float64)
    if target is None:
        target = mean_five_points(points, size)
    scales = [_scale(fit_similarity(five, target, _SCALE_WEIGHTS)) for five in points]
    scales = np.exp(_smooth(np.log(scales), np.asarray(frames, np.float64), smoothing))
    between_eyes = target[:2].mean(0)
    alignments = []
    for five, scale in zip(points, scales, strict=True):
        turned = fit_similarity(five, target, _ANGLE_WEIGHTS)[:, :2]
        linear = turned * (scale / _scale(turned))
        shift = between_eyes - linear @ five[:2].mean(0)
        alignments.append(Alignment(np.column_stack([linear, shift]), size))
    return alignments


def _scale(matrix: np.ndarray) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _smooth(values: np.ndarray, times: np.ndarray, width: float) -> np.ndarray:
    """Local linear regression with a Gaussian kernel."""
    if width <= 0 or len(values) < 3:
        return values
    offset = times - times[:, None]  # (at, of)
    weight = np.exp(-0.5 * (offset / width) ** 2)
    s0, s1, s2 = (np.sum(weight * offset**k, axis=1) for k in range(3))
    t0, t1 = weight @ values, (weight * offset) @ values
    spread = s0 * s2 - s1**2
    # A frame without neighbors has no line through them, only its own value.
    isolated = spread <= 1e-9 * s0**2
    line = (s2 * t0 - s1 * t1) / np.where(isolated, 1, spread)
    return np.asarray(np.where(isolated, t0 / s0, line))
