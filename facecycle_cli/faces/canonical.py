"""Landmarks as they would lie on the same face, seen from the front in an aligned crop."""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.alignment import TEMPLATE, fit_similarity
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import Topology

__all__ = ["five_points", "frontal_shape", "visibility"]

_DEPTH = 0.8
"""How far behind the mean landmark the middle of the head lies, in half widths of the face."""

_EDGE = 0.3
"""Cosine between a landmark's direction and the camera's, above which it is in full view."""


def five_points(landmarks: np.ndarray, topology: Topology) -> np.ndarray:
    """Eye centers, nose tip and mouth corners (5, D) of landmarks (topology.count, D)."""
    return np.stack(
        [
            landmarks[list(topology.left_eye)].mean(0),
            landmarks[list(topology.right_eye)].mean(0),
            landmarks[topology.nose_tip],
            *landmarks[list(topology.mouth)],
        ]
    )


def _turned_back(landmarks: np.ndarray, topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks (topology.count, 3) around their mean, seen from the front; and the turn."""
    points = np.asarray(landmarks, np.float64)
    rotation = head_pose(points, topology).rotation
    return (points - points.mean(0)) @ rotation, rotation


def frontal_shape(landmarks: np.ndarray, topology: Topology) -> np.ndarray:
    """The landmarks with the turn of the head undone, placed by the crop's template.

    Args:
        landmarks: (topology.count, 3), in any unit.
        topology: their kind.

    Returns:
        (topology.count, 2) in fractions of the crop's side.

    Raises:
        FaceError: they coincide.
    """
    front = _turned_back(landmarks, topology)[0][:, :2]
    matrix = fit_similarity(five_points(front, topology), TEMPLATE)
    return front @ matrix[:, :2].T + matrix[:, 2]


def visibility(landmarks: np.ndarray, topology: Topology) -> np.ndarray:
    """How far each landmark is in view, (topology.count,) from 0 (behind the head's edge) to 1.

    A head is taken for a ball around a point behind the face.
    """
    front, rotation = _turned_back(landmarks, topology)
    half = np.ptp(front[:, 0]) / 2
    outwards = front - np.array([0, 0, _DEPTH * half])  # z points away from the camera
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    towards_camera = -(outwards @ rotation.T)[:, 2]
    return np.clip(towards_camera / _EDGE, 0, 1)
