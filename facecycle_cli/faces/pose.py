"""Head pose from three-dimensional landmarks, by the symmetry of the face alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facecycle_cli.faces.topology import Topology

__all__ = ["HeadPose", "head_pose"]


@dataclass(frozen=True)
class HeadPose:
    """Which way a head points, in degrees. Mirroring the picture flips yaw and roll, turning the
    picture changes roll only.

    Attributes:
        yaw: > 0 turned towards the image's right; -90..90.
        pitch: > 0 looking up.
        roll: > 0 tilted clockwise as seen in the image; -180..180.
    """

    yaw: float
    pitch: float
    roll: float

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3): Rz(roll) Ry(yaw) Rx(pitch), from the head's own axes to the image's."""
        yaw, pitch, roll = (math.radians(angle) for angle in (self.yaw, self.pitch, self.roll))
        c, s = math.cos(roll), math.sin(roll)
        around_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        c, s = math.cos(yaw), math.sin(yaw)
        around_y = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        c, s = math.cos(pitch), math.sin(pitch)
        around_x = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        rotation: np.ndarray = around_z @ around_y @ around_x
        return rotation

    @property
    def backwards(self) -> np.ndarray:
        """(3,): from the face into the head, in the image's axes: the last column of the rotation.

        By itself it takes a tenth of the time.
        """
        yaw, pitch, roll = (math.radians(angle) for angle in (self.yaw, self.pitch, self.roll))
        x, y, z = -math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)
        c, s = math.cos(roll), math.sin(roll)
        return np.array([c * x - s * y, s * x + c * y, z])


def head_pose(landmarks: np.ndarray, topology: Topology) -> HeadPose:
    """The pose of the head with these landmarks.

    Image axes: x to the right, y down, z away from the camera. The head's rotation is decomposed
    as R = Rz(roll) Ry(yaw) Rx(pitch), pitch first, because the two outer angles then depend on the
    head's *lateral* axis a = R (1, 0, 0) only::

        a = (cos yaw cos roll, cos yaw sin roll, sin yaw)

    and that axis is what the face shows best: every pair of landmarks that mirror each other spans
    it, and noise and lopsided expressions average out over the pairs. What is left is one angle
    about it: with roll and yaw undone, the line from the forehead to the base of the nose, both in
    the plane of symmetry, lies in the y-z plane, at the pitch plus a constant of the human profile
    (``Topology.rest_pitch``).

    Args:
        landmarks: (topology.count, 3); z in the unit of x and y, negative towards the camera.
        topology: their kind.
    """
    points = np.asarray(landmarks, np.float64)
    left, right = topology.pair_numbers
    across = (points[right] - points[left]).sum(0)
    roll = math.atan2(across[1], across[0])
    yaw = math.atan2(across[2], math.hypot(across[0], across[1]))
    down = points[list(topology.lower)].mean(0) - points[list(topology.upper)].mean(0)
    x, y, z = down
    x, y = math.cos(roll) * x + math.sin(roll) * y, math.cos(roll) * y - math.sin(roll) * x
    z = math.cos(yaw) * z - math.sin(yaw) * x
    # Looking up brings the nose nearer to the camera (z < 0) than the forehead.
    pitch = math.degrees(math.atan2(-z, y)) - topology.rest_pitch
    return HeadPose(math.degrees(yaw), pitch, math.degrees(roll))
