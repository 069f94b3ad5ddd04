"""Dense landmarks with MediaPipe Face Mesh (Kartynnik et al., "Real-time Facial Surface Geometry
from Monocular Video on Mobile GPUs", 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facecycle_cli.faces.sessions import Network, to_planes
from facecycle_cli.faces.similarity import invert_affine, warp_antialiased
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.types import RGBImage

__all__ = ["INPUT_SIDE", "FaceMesh", "Region"]

INPUT_SIDE = 192
"""Side of what the network is shown, in pixels."""

_SIZE = INPUT_SIDE, INPUT_SIDE
_MARGIN = 1.5  # side of the network's crop over that of the box around the landmarks
_BATCH = 8  # more at once outgrow a core's cache and take a quarter longer each
# Medians over 230 faces of all kinds of pictures, in heights of YuNet's box:
_BOX_MARGIN = 1.4  # side of the region around the landmarks
_BOX_DOWN = 0.04  # how far its center lies below the box's
_BOX_ASPECT = 0.77  # width of the box


@dataclass(frozen=True)
class Region:
    """A square part of a picture, turned: what the mesh network is given to look at.

    Attributes:
        center: (x, y) in picture pixels.
        side: its side in picture pixels.
        angle: how far it is turned, radians, clockwise as seen (y points down).
    """

    center: tuple[float, float]
    side: float
    angle: float

    @classmethod
    def from_box(cls, box: np.ndarray, eyes: np.ndarray) -> Region:
        """Around a detector's box, level with its two eyes (2, 2): image-left, image-right.

        Its side and center are where the landmarks turn out to lie in YuNet's boxes.
        """
        x0, y0, x1, y1 = (float(v) for v in box)
        dx, dy = (float(v) for v in eyes[1] - eyes[0])
        angle = math.atan2(dy, dx)
        side = max(x1 - x0, y1 - y0)
        down = _BOX_DOWN * side
        x, y = (x0 + x1) / 2 - down * math.sin(angle), (y0 + y1) / 2 + down * math.cos(angle)
        return cls((x, y), _BOX_MARGIN * side, angle)

    @classmethod
    def from_landmarks(cls, landmarks: np.ndarray) -> Region:
        """Around landmarks (468, 2 or 3) found earlier, level with their eyes."""
        points = landmarks[:, :2].astype(np.float64)
        across = points[list(MESH_468.right_eye)].mean(0) - points[list(MESH_468.left_eye)].mean(0)
        angle = math.atan2(across[1], across[0])
        turn = _rotation(angle)
        level = points @ turn  # coordinates along the region's own axes
        low, high = level.min(0), level.max(0)
        x, y = turn @ ((low + high) / 2)
        return cls((float(x), float(y)), _MARGIN * float((high - low).max()), angle)

    @property
    def box(self) -> np.ndarray:
        """(4,) float32: the box that the detector would put around such a face, the reverse of
        ``from_box``; around an ellipse, so that it hardly changes with the tilt of the head.
        """
        down = _BOX_DOWN / _BOX_MARGIN * self.side
        height = self.side / _BOX_MARGIN
        c, s = math.cos(self.angle), math.sin(self.angle)
        middle = np.array([self.center[0] + down * s, self.center[1] - down * c])
        reach = np.hypot([_BOX_ASPECT * c, _BOX_ASPECT * s], [s, c]) * (height / 2)
        return np.concatenate([middle - reach, middle + reach]).astype(np.float32)

    def close_to(self, other: Region) -> bool:
        """Whether the network would see about the same in both: 2 % of the side, 2 degrees."""
        gap = math.hypot(self.center[0] - other.center[0], self.center[1] - other.center[1])
        turn = math.remainder(self.angle - other.angle, 2 * math.pi)
        return (
            gap < 0.02 * other.side
            and abs(self.side / other.side - 1) < 0.03
            and abs(turn) < math.radians(2)
        )

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) float64: picture pixels -> pixels of the network's input."""
        linear = _rotation(self.angle).T * (INPUT_SIDE / self.side)
        middle = (INPUT_SIDE - 1) / 2
        return np.column_stack([linear, middle - linear @ self.center])


class FaceMesh:
    """Finds the 468 points of MediaPipe's mesh in given regions of pictures.

    Args:
        threads: CPU threads of one call; None: all cores.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        self.network = Network("face_mesh_468.onnx", threads)

    def locate(
        self, images: Sequence[RGBImage], regions: Sequence[Region], *, averaged_below: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks of the face in each region; ``images[i]`` belongs to ``regions[i]``.

        Args:
            images: (H, W, 3) uint8 RGB each.
            regions: one of each picture.
            averaged_below: as :func:`.warp_antialiased` has it.

        Returns:
            Landmarks (N, 468, 3) float32, x and y in picture pixels, z in the same unit, negative
            towards the camera; and presence (N,) float32, 0..1, how sure the network is that this
            is a face at all.
        """
        count = len(regions)
        landmarks = np.empty((count, 468, 3), np.float32)
        presence = np.empty(count, np.float32)
        for start in range(0, count, _BATCH):
            part = slice(start, min(count, start + _BATCH))
            matrices = [region.matrix for region in regions[part]]
            crops = [
                warp_antialiased(image, matrix, _SIZE, averaged_below=averaged_below)
                for image, matrix in zip(images[part], matrices, strict=True)
            ]
            outputs = self.network(image=to_planes(crops))
            presence[part] = 1 / (1 + np.exp(-outputs["presence_logit"]))
            for i, matrix in enumerate(matrices, start):
                inverse = invert_affine(matrix)
                # The network's pixels are counted from the corner, ours from the first center.
                points = outputs["landmarks"][i - start]
                landmarks[i, :, :2] = (points[:, :2] - 0.5) @ inverse[:, :2].T + inverse[:, 2]
                landmarks[i, :, 2] = points[:, 2] * (regions[i].side / INPUT_SIDE)
        return landmarks, presence


def _rotation(angle: float) -> np.ndarray:
    """(2, 2): the region's axes, in picture coordinates, as columns."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])
