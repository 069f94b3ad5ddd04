"""Landmarks without the turn of their head: as they would lie in a frontal, aligned crop.

Training uses them: a frontal picture of a face is known where the landmarks say which pixel goes
where, and which pixels the photograph shows at all.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.alignment import TEMPLATE
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.similarity import apply_affine, fit_similarity
from facecycle_cli.faces.topology import Topology

__all__ = ["frontal_and_visible", "frontal_shape", "visibility"]

_DEPTH = 0.8
"""How far behind the mean landmark the center of the head lies, in half widths of the face."""

_FULL_VIEW = 0.3
"""Cosine between a landmark's direction and the camera's, above which it is in full view."""


def frontal_shape(landmarks: np.ndarray, topology: Topology) -> np.ndarray:
    """The landmarks with the turn of the head undone, aligned to the crop's template.

    Args:
        landmarks: (topology.count, 3), in any unit.
        topology: their kind.

    Returns:
        (topology.count, 2) in fractions of the crop's side.

    Raises:
        FaceError: they coincide.
    """
    return frontal_and_visible(landmarks, topology)[0]


def frontal_and_visible(landmarks: np.ndarray, topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """:func:`frontal_shape` and :func:`visibility` of the same landmarks at once."""
    front, rotation = _turned_to_front(landmarks, topology)
    plane = front[:, :2]
    matrix = fit_similarity(topology.five_points(plane), TEMPLATE)
    return apply_affine(matrix, plane), _visibility(front, rotation)


def visibility(landmarks: np.ndarray, topology: Topology) -> np.ndarray:
    """How far each landmark is in view. The head counts as a ball around a point behind the face.

    Args:
        landmarks: (topology.count, 3), in any unit.
        topology: their kind.

    Returns:
        (topology.count,), from 0 (behind the edge of the head) to 1.
    """
    return _visibility(*_turned_to_front(landmarks, topology))


def _visibility(front: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    half = np.ptp(front[:, 0]) / 2
    outwards = front - np.array([0, 0, _DEPTH * half])  # z points away from the camera
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    towards_camera = -(outwards @ rotation.T)[:, 2]
    return np.asarray(np.clip(towards_camera / _FULL_VIEW, 0, 1))


def _turned_to_front(landmarks: np.ndarray, topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks (topology.count, 3) around their mean, seen from the front; the rotation."""
    points = np.asarray(landmarks, np.float64)
    rotation = head_pose(points, topology).rotation
    return (points - points.mean(0)) @ rotation, rotation
