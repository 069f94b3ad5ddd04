"""A face found in a picture, and what its landmarks say about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facecycle_cli.faces.pose import HeadPose, head_pose
from facecycle_cli.faces.topology import MESH_468, Topology

__all__ = ["Face"]


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in picture pixels; may reach beyond the picture.
        score: of the detector, 0..1.
        landmarks: (topology.count, 3) float32: x, y in picture pixels, z in the same unit, negative
            towards the camera. 468 points from the mesh backend, 68 from face-alignment.
        presence: 0..1, how sure the landmark network is that it sees a face.
        topology: which landmark lies where.
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray
    presence: float
    topology: Topology = MESH_468

    @cached_property
    def five_points(self) -> np.ndarray:
        """(5, 2) float32: the eye's center that is image-left on an upright face, the other eye's,
        nose tip, image-left and image-right corner of the mouth.
        """
        return self.topology.five_points(self.landmarks[:, :2])

    @cached_property
    def oval(self) -> np.ndarray:
        """(K, 2) float32: the outline of the face as a polygon; K = 36 for the mesh."""
        return self.landmarks[list(self.topology.oval), :2]

    @cached_property
    def pose(self) -> HeadPose:
        """Yaw, pitch and roll of the head."""
        return head_pose(self.landmarks, self.topology)

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))

    @property
    def mouth_width(self) -> float:
        """Between the corners of the mouth, in inter-ocular distances; about 0.8 at rest."""
        return self._in_eye_distances(self.topology.mouth)

    @property
    def mouth_opening(self) -> float:
        """Between the inner edges of the lips, in inter-ocular distances; about 0 when closed."""
        return self._in_eye_distances(self.topology.inner_lips)

    @property
    def eye_opening(self) -> float:
        """The mean of both :attr:`eye_openings`."""
        return float(np.mean(self.eye_openings))

    @property
    def eye_openings(self) -> np.ndarray:
        """(2,): between the lids over the width of the eye, of the image-left eye and of the other
        one; about 0.2 when open.
        """
        openings = []
        for upper, lower in (self.topology.left_lids, self.topology.right_lids):
            above, below = (self.landmarks[list(lid)] for lid in (upper, lower))
            gap = np.linalg.norm(above[1:-1].mean(0) - below[1:-1].mean(0))
            openings.append(gap / max(1e-6, float(np.linalg.norm(above[-1] - above[0]))))
        return np.array(openings)

    @property
    def _eyes(self) -> np.ndarray:
        """(2, 3) float32: the centers of the eyes."""
        sides = (self.topology.left_eye, self.topology.right_eye)
        return np.stack([self.landmarks[list(side)].mean(0) for side in sides])

    def _in_eye_distances(self, pair: tuple[int, int]) -> float:
        # In space, not in the picture: a head turned aside has its eyes closer together there.
        first, second = self.landmarks[list(pair)]
        left, right = self._eyes
        return float(np.linalg.norm(second - first) / np.linalg.norm(right - left))
