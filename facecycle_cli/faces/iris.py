"""Where eyes look, seen with MediaPipe Iris (Ablavatski et al., "Real-time Pupil Tracking from
Monocular Video for Digital Puppetry", 2020).

It measures what the gaze of a drawn face is worth: eyes are moved by what another network sees
(:mod:`.attention_mesh`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from facecycle_cli.faces.face import Face
from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze, eye_corners, irises_seen
from facecycle_cli.faces.sessions import Network, to_planes
from facecycle_cli.faces.similarity import warp_antialiased
from facecycle_cli.types import RGBImage

__all__ = ["read_gaze"]

_NETWORK = Network("iris_landmark.onnx", 1)

_SIDE: Final = 64
"""Side of the network's input in pixels."""

_MARGIN = 2.3
"""Side of what it is shown, in widths of the eye."""

_CORNERS: Final = 0, 8
"""The corners of the eye among the points of its contour."""

_CONVERGE = 0.27
"""By how much the left eye looks further to the right than the right one, in half widths of an eye
(the mean of nine people)."""


def read_gaze(image: RGBImage, face: Face) -> Gaze:
    """Where a face in a picture (H, W, 3) uint8 looks.

    The corners of eyes that the network sees move less than the landmarks do. Heights are over the
    line between the landmarks, because a lid that comes down takes the network's corners along.
    """
    seen = irises_seen(face)
    if not seen:
        return UNKNOWN_GAZE
    left, right = (_eye(image, corners) for corners in eye_corners(face))
    # The network knows eyes of one side.
    found = _NETWORK(image=to_planes([left[:, ::-1], right]))
    # The network's pixels are counted from the corner, ours from the first center.
    irises = found["iris"].reshape(2, -1, 3)[:, 0, :2].astype(np.float64) - 0.5
    corners = found["contour"].reshape(2, -1, 3)[:, _CORNERS, 0].astype(np.float64) - 0.5
    middle = (_SIDE - 1) / 2
    x = (irises[:, 0] - corners.mean(1)) / np.maximum(1e-3, np.abs(np.ptp(corners, axis=1)) / 2)
    y = (irises[:, 1] - middle) / (_SIDE / _MARGIN / 2)
    x[0] = -x[0]
    return Gaze.of_both(np.column_stack([x, y]), seen, _CONVERGE)


def _eye(image: RGBImage, corners: np.ndarray) -> RGBImage:
    """(64, 64, 3) uint8: the eye between two corners (2, 2), level."""
    left, right = corners
    width = max(1e-3, float(np.linalg.norm(right - left)))
    c, s = (right - left) / width * (_SIDE / (_MARGIN * width))
    linear = np.array([[c, s], [-s, c]])
    matrix = np.column_stack([linear, (_SIDE - 1) / 2 - linear @ (left + right) / 2])
    return warp_antialiased(image, matrix, (_SIDE, _SIDE))
