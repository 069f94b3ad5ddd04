"""Where the eyes look: irises found with MediaPipe Iris (Ablavatski et al., "Real-time Pupil
Tracking from Monocular Video for Digital Puppetry", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from facecycle_cli.faces.face import Face
from facecycle_cli.faces.sessions import Network, to_planes
from facecycle_cli.faces.similarity import apply_affine, invert_affine, warp_antialiased
from facecycle_cli.types import RGBImage

__all__ = [
    "UNKNOWN_GAZE",
    "EyePatches",
    "Gaze",
    "Iris",
    "cut_eyes",
    "find_irises",
    "gaze_of",
    "read_gaze",
    "rises",
    "usual_gaze",
]

_NETWORK = Network("iris_landmark.onnx", 1)

_SIDE: Final = 64
"""Side of the network's input in pixels."""

_FACES = 2
"""Faces that go through the network together."""

_MARGIN = 2.3
"""Side of what it is shown, in widths of the eye."""

_CORNERS: Final = 0, 8
"""The corners of the eye among the points of its contour."""

_LEAST_WIDTH = 7.0, 14.0
"""Width of an eye in pixels up to which its iris is not found, and from which it is."""

_OPEN = 0.07, 0.14
"""Opening of eyes over their width up to which lids cover the irises, and from which they do
not."""

_CONVERGE, _DISAGREE = 0.27, (0.3, 0.6)
"""By how much the left eye looks further to the right than the right one, in half widths of an eye
(the mean of nine people), and by how much more or less: up to the first number both irises are
found, from the second one on one of them is not."""

_TURNED = 25.0, 40.0
"""Degrees of yaw up to which both eyes are seen, and from which one is not."""


@dataclass(frozen=True)
class Gaze:
    """Where the irises are between the corners of the eyes, as the mean of both.

    Attributes:
        place: (2,) float64, in half widths of an eye, from the middle between its corners: to the
            right in the picture of an upright face, and down.
        trust: 0 (not found, or lids are shut) to 1.
    """

    place: np.ndarray
    trust: float

    @classmethod
    def of(cls, numbers: np.ndarray) -> Gaze:
        """From :attr:`numbers`."""
        return cls(np.array(numbers[:2], np.float64), float(numbers[2]))

    @property
    def numbers(self) -> np.ndarray:
        """(3,): place and trust."""
        return np.array([*self.place, self.trust])


UNKNOWN_GAZE: Final = Gaze(np.zeros(2), 0.0)


@dataclass(frozen=True)
class EyePatches:
    """Both eyes of a face, cut out for the network.

    Attributes:
        pixels: (2, 64, 64, 3) uint8, the image-left eye and the other one, the former mirrored.
        matrices: two of (2, 3), pixels of the picture -> pixels of the patch before it is mirrored.
        seen: 0..1, how far size, lids and yaw of the face let both irises be seen.
    """

    pixels: np.ndarray
    matrices: tuple[np.ndarray, np.ndarray]
    seen: float


@dataclass(frozen=True)
class Iris:
    """An iris, and the eye that it is in.

    Attributes:
        points: (5, 2) float64, pixels of the picture: its center, and four points of its rim.
        corners: (2, 2) float64, pixels of the picture: the eye's image-left and its other corner.
        place: (2,), as in :class:`Gaze`.
    """

    points: np.ndarray
    corners: np.ndarray
    place: np.ndarray


def cut_eyes(image: RGBImage, face: Face) -> EyePatches:
    """Both eyes of a face in a picture (H, W, 3) uint8."""
    patches, matrices, widths = [], [], []
    for upper, _ in (face.topology.left_lids, face.topology.right_lids):
        left, right = face.landmarks[[upper[0], upper[-1]], :2].astype(np.float64)
        width = max(1e-3, float(np.linalg.norm(right - left)))
        c, s = (right - left) / width * (_SIDE / (_MARGIN * width))
        linear = np.array([[c, s], [-s, c]])
        matrix = np.column_stack([linear, (_SIDE - 1) / 2 - linear @ (left + right) / 2])
        patches.append(warp_antialiased(image, matrix, (_SIDE, _SIDE)))
        matrices.append(matrix)
        widths.append(width)
    patches[0] = patches[0][:, ::-1]
    seen = rises(min(widths), _LEAST_WIDTH) * rises(face.eye_opening, _OPEN)
    seen *= 1 - rises(abs(face.pose.yaw), _TURNED)
    return EyePatches(np.stack(patches), (matrices[0], matrices[1]), seen)


def find_irises(eyes: Sequence[EyePatches]) -> list[tuple[Iris, Iris]]:
    """The irises of faces: of the image-left eye, and of the other one."""
    # More at once outgrow a core's cache and take half as long again each.
    parts = [eyes[k : k + _FACES] for k in range(0, len(eyes), _FACES)]
    return [irises for part in parts for irises in _found(part)]


def gaze_of(eyes: EyePatches, irises: tuple[Iris, Iris]) -> Gaze:
    """Where a face looks.

    Args:
        eyes: of the face.
        irises: found in them.
    """
    left, right = (iris.place for iris in irises)
    apart = abs(float(left[0] - right[0]) - _CONVERGE)
    return Gaze((left + right) / 2, eyes.seen * (1 - rises(apart, _DISAGREE)))


def read_gaze(image: RGBImage, face: Face) -> Gaze:
    """Where a face in a picture (H, W, 3) uint8 looks."""
    eyes = cut_eyes(image, face)
    return gaze_of(eyes, find_irises([eyes])[0]) if eyes.seen else UNKNOWN_GAZE


def usual_gaze(gazes: Sequence[Gaze]) -> Gaze:
    """The median of those that are trusted: a glance aside does not count."""
    found = [gaze for gaze in gazes if gaze.trust > 0]
    if not found:
        return UNKNOWN_GAZE
    place = np.median([gaze.place for gaze in found], axis=0)
    return Gaze(place, max(gaze.trust for gaze in found))


def _found(eyes: Sequence[EyePatches]) -> list[tuple[Iris, Iris]]:
    pixels = np.concatenate([each.pixels for each in eyes])
    found = _NETWORK(image=to_planes(pixels))
    # The network's pixels are counted from the corner, ours from the first center.
    irises = found["iris"].reshape(-1, 2, 5, 3)[..., :2].astype(np.float64) - 0.5
    contours = found["contour"].reshape(len(eyes), 2, -1, 3)[..., :2].astype(np.float64) - 0.5
    both = []
    for each, iris, contour in zip(eyes, irises, contours[:, :, _CORNERS], strict=True):
        for points in (iris, contour):
            points[0, :, 0] = _SIDE - 1 - points[0, :, 0]
        left, right = (
            _iris(matrix, points, corners[np.argsort(corners[:, 0])])
            for matrix, points, corners in zip(each.matrices, iris, contour, strict=True)
        )
        both.append((left, right))
    return both


def _iris(matrix: np.ndarray, points: np.ndarray, corners: np.ndarray) -> Iris:
    """From what was found in a patch.

    The corners that the network sees move less than the landmarks do. Heights are over the line
    between the landmarks, because a lid that comes down takes the network's corners along.
    """
    across = max(1e-3, float(corners[1, 0] - corners[0, 0])) / 2
    x = (points[0, 0] - corners[:, 0].mean()) / across
    y = (points[0, 1] - (_SIDE - 1) / 2) / (_SIDE / _MARGIN / 2)
    back = invert_affine(matrix)
    return Iris(apply_affine(back, points), apply_affine(back, corners), np.array([x, y]))


def rises(value: float, limits: tuple[float, float]) -> float:
    """From 0 at the first limit, and below, straight to 1 at the second one, and beyond."""
    low, high = limits
    return min(1.0, max(0.0, (value - low) / (high - low)))
