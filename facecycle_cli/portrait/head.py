"""A head in space: where it is and which way it points, and the shape of its face.

The landmarks of a face are its shape (the person, and the expression), turned by the head's
rotation, scaled and moved. Taken apart, the pose of one head goes with the shape of another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces import Alignment, Face, HeadPose
from facecycle_cli.faces.smoothing import Signal
from facecycle_cli.faces.topology import MESH_468, Topology

__all__ = ["RIGID", "Head", "mean_head", "shape_distance"]

_CENTER_TOLERANCE = 0.03
"""Sizes of the head, by which its center moves between frames that are averaged over time."""

_POSE_TOLERANCE = 1.5
"""The same in degrees, of its angles; its size counts as well, 1 % as half a degree."""

_DEGREES_PER_SIZE = 50.0
"""Degrees that count as much as a size that is e times as large."""


@dataclass(frozen=True)
class Head:
    """The landmarks of a face as a pose and a shape.

    Attributes:
        center: (2,) float64, of the rigid landmarks, in pixels.
        size: root mean square distance of these from their center, in pixels.
        angles: (3,) float64: yaw, pitch and roll in degrees, as :class:`.HeadPose` has them.
        shape: (n, 3) float64, the landmarks from the front, around ``center``, in units of
            ``size``; x to the right, y down, z away from the camera.
    """

    center: np.ndarray
    size: float
    angles: np.ndarray
    shape: np.ndarray

    @classmethod
    def of(cls, face: Face) -> Head:
        """The head of a face, in pixels of its picture."""
        points = face.landmarks.astype(np.float64)
        rigid = points[_rigid(face.topology)]
        center = rigid.mean(0)
        size = max(1e-6, float(np.sqrt(((rigid - center) ** 2).sum(1).mean())))
        pose = face.pose
        shape = (points - center) @ pose.rotation / size
        return cls(center[:2], size, np.array([pose.yaw, pose.pitch, pose.roll]), shape)

    @classmethod
    def in_crop(cls, face: Face, alignment: Alignment) -> Head:
        """The head of a face, in grid units of its crop (-1 to 1) instead of pixels."""
        half = (alignment.size - 1) / 2
        unit = math.sqrt(abs(np.linalg.det(alignment.matrix[:, :2]))) / half
        landmarks = np.column_stack(
            [alignment.apply(face.landmarks[:, :2]) / half - 1, face.landmarks[:, 2] * unit]
        )
        return cls.of(replace(face, landmarks=landmarks))

    def pose_signals(self, tolerance: float = 1.0) -> tuple[Signal, Signal]:
        """Its center, and its size with its angles, for smoothing over time.

        Args:
            tolerance: how much further than usual frames that are averaged may lie apart.
        """
        turned = np.array([_DEGREES_PER_SIZE * math.log(self.size), *self.angles])
        return (
            Signal(self.center, tolerance * _CENTER_TOLERANCE * self.size),
            Signal(turned, tolerance * _POSE_TOLERANCE),
        )

    def with_pose(self, center: np.ndarray, turned: np.ndarray) -> Head:
        """The same with other values of :meth:`pose_signals`."""
        size = math.exp(float(turned[0]) / _DEGREES_PER_SIZE)
        return replace(self, center=center, size=size, angles=turned[1:])

    @property
    def points(self) -> np.ndarray:
        """(n, 2) float64: the landmarks in pixels, in weak perspective."""
        return self.in_space[:, :2]

    @property
    def in_space(self) -> np.ndarray:
        """(n, 3) float64: the landmarks in pixels; z is 0 at the center of the rigid ones."""
        rotation = HeadPose(*self.angles).rotation
        points: np.ndarray = self.size * (self.shape @ rotation.T)
        points[:, :2] += self.center
        return points


def mean_head(heads: Sequence[Head]) -> Head:
    """The mean of at least one head; sizes by their logarithms."""
    return Head(
        np.mean([head.center for head in heads], axis=0),
        float(np.exp(np.mean([np.log(head.size) for head in heads]))),
        np.mean([head.angles for head in heads], axis=0),
        np.mean([head.shape for head in heads], axis=0),
    )


def shape_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square distance between the points of two shapes, seen from the front."""
    return float(np.sqrt(((a[:, :2] - b[:, :2]) ** 2).sum(1).mean()))


def _rigid(topology: Topology) -> list[int]:
    """Landmarks that no expression moves much."""
    return [*np.ravel(topology.pairs).tolist(), *topology.upper, *topology.lower]


RIGID = _rigid(MESH_468)
"""Landmarks of the mesh that no expression moves much."""
