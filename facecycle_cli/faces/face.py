"""A face found in a picture, and what its landmarks say about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facecycle_cli.faces.topology import MESH_468, Topology

__all__ = ["Face", "HeadPose"]


@dataclass(frozen=True)
class HeadPose:
    """Which way a head points, in degrees; mirroring the picture flips yaw and roll.

    Attributes:
        yaw: > 0 turned towards the image's right.
        pitch: > 0 looking up.
        roll: > 0 tilted clockwise as seen in the image.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in picture pixels.
        score: the detector's, 0..1.
        landmarks: (468, 3) float32 for the mesh backend; x, y in picture pixels, z in the same unit,
            negative towards the camera.
        presence: 0..1, how sure the landmark network is that this is a face.
        topology: which landmark lies where.
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray
    presence: float
    topology: Topology = MESH_468

    @cached_property
    def five_points(self) -> np.ndarray:
        """(5, 2) float32: image-left eye, image-right eye, nose tip, left and right mouth corner."""
        t, xy = self.topology, self.landmarks[:, :2]
        return np.stack(
            [
                xy[list(t.left_eye)].mean(0),
                xy[list(t.right_eye)].mean(0),
                xy[t.nose_tip],
                xy[t.left_mouth],
                xy[t.right_mouth],
            ]
        ).astype(np.float32)

    @cached_property
    def oval(self) -> np.ndarray:
        """(K, 2) float32: the face's outline as a polygon (36 points for the mesh)."""
        return self.landmarks[list(self.topology.oval), :2].astype(np.float32)

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))
