"""Whether the numbers of a saved motion can be those of a face: a file can be damaged."""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.media.arrays import Row
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.inside import MouthPatch

__all__ = ["require_face", "require_mouth", "require_numbers"]

_LARGEST = {
    "backflow": 4.0,
    "light": math.log(263) + 0.01,
    "gaze": 100.0,
    "skin": 255.0,
    "lip_color": 255.0,
    "lips": 1000.0,
}
"""No face has numbers beyond these: grid units, logarithms of gray levels and 8, half widths of an
eye, gray levels, pixels of the mouth."""

_LARGEST_PLACE = 1e6
"""The same of all other arrays: pixels from the corner of a picture."""

_DARKEST = math.log(8) - 0.01
"""The least of ``light``."""

_LEAST_SIZE = 1.0
"""Of a head, of a mouth's width, in pixels; and the least of the largest gray level of a skin."""

_CROP_SIDES, _CROP_AWAY = (1.5, 12.0), 1.0
"""Sides of a face's crop over the size of its head, the least and the most (in clips 3.6 to 4.6);
and how far from the head the middle of its crop lies at most, in sides of it (in clips 0.1)."""


def require_numbers(row: Row) -> None:
    """Check the numbers of one frame, each by itself.

    Raises:
        ValueError: they are not finite, or beyond those of any face in any picture.
    """
    possible = all(
        (np.abs(values) <= _LARGEST.get(name, _LARGEST_PLACE)).all() for name, values in row.items()
    )
    possible &= bool((row["light"] >= _DARKEST).all())
    possible &= 0 <= float(row["gaze"][2]) <= 1
    if "skin" in row:
        skin, lips = row["skin"], row["lip_color"]
        possible &= min(skin.min(), lips.min()) >= 0 and skin.max() >= _LEAST_SIZE
    if not possible:
        raise ValueError("it holds numbers that no face has")


def require_face(head: Head, center: complex, log_side: float) -> None:
    """Check that a crop with that middle and logarithm of its side, in pixels, can be of a head.

    Raises:
        ValueError: it cannot, or the landmarks of the head lie in one place.
    """
    least, most = (sides * head.size for sides in _CROP_SIDES)
    side = math.exp(min(log_side, math.log(most) + 1))
    away = abs(center - complex(*head.center))
    if head.size < _LEAST_SIZE or not least <= side <= most or away > _CROP_AWAY * side:
        raise ValueError("it holds a place of the head that no camera gives")


def require_mouth(mouth: MouthPatch) -> None:
    """Check that the lips lie in the picture of the mouth.

    Raises:
        ValueError: they do not, or the corners of the mouth lie in one place.
    """
    size = np.array(mouth.pixels.shape[1::-1])
    lips = np.concatenate([mouth.upper, mouth.lower])
    across = min(np.linalg.norm(edge[-1] - edge[0]) for edge in (mouth.upper, mouth.lower))
    if across < _LEAST_SIZE or (lips < -size).any() or (lips > 2 * size).any():
        raise ValueError("it holds lips that lie beside their mouth")
