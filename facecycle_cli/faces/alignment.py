"""The similarity between a photograph and its upright face crop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facecycle_cli.errors import FaceError
from facecycle_cli.faces.resample import invert_affine, warp_antialiased

if TYPE_CHECKING:
    from facecycle_cli.faces.face import Face

__all__ = ["TEMPLATE", "Alignment", "fit_similarity"]

TEMPLATE = np.array(
    [[0.365, 0.42], [0.635, 0.42], [0.5, 0.575], [0.39, 0.715], [0.61, 0.715]], np.float64
)
"""Where the five points lie in the crop, as fractions of its side: eye centers (image-left,
image-right), nose tip, mouth corners (image-left, image-right). The margin shows forehead and chin,
as the crops of VoxCeleb do that the method was published with.
"""
TEMPLATE.setflags(write=False)


def fit_similarity(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """The similarity (turn, scale, shift; never a reflection) that best maps `source` on `target`.

    Least squares in closed form: Umeyama, "Least-squares estimation of transformation parameters
    between two point patterns", PAMI 1991.

    Args:
        source, target: (N, 2), N >= 2.
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


@dataclass(frozen=True, eq=False)
class Alignment:
    """A face crop's place in its photograph.

    Attributes:
        matrix: (2, 3) float64, photograph pixels -> crop pixels: a similarity.
        size: side of the square crop in pixels.
    """

    matrix: np.ndarray
    size: int

    @classmethod
    def from_points(cls, points: np.ndarray, size: int) -> Alignment:
        """From five points (5, 2) in the order of `TEMPLATE`. Raises FaceError if they coincide."""
        return cls(fit_similarity(points, TEMPLATE * size - 0.5), size)

    @classmethod
    def from_face(cls, face: Face, size: int) -> Alignment:
        """From a detected face."""
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

    def crop(self, image: np.ndarray) -> np.ndarray:
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
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def apply_inverse(self, points: np.ndarray) -> np.ndarray:
        """Crop points (..., 2) -> photograph points."""
        inverse = self.inverse
        return points @ inverse[:, :2].T + inverse[:, 2]

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, for `json.dumps`."""
        return {"matrix": self.matrix.tolist(), "size": self.size}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Alignment:
        """The reverse of `to_json`."""
        return cls(np.array(data["matrix"], np.float64).reshape(2, 3), int(data["size"]))
