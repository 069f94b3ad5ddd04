"""Where in the picture the head is: its motion within the plane of the picture.

Aligned crops show a face upright, of one size, in the middle. So roll, distance to the camera and
drift of the head are in no expression code. The source's alignments contain them exactly. A
similarity of the plane is a pair of complex numbers, z -> a z + b, and that makes this short.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

from facecycle_cli.faces import Alignment

__all__ = ["UNMOVED", "HeadPlacement", "PlaneMotion", "mean_placement", "plane_motion"]

_MAX_SHIFT = 0.35
"""The farthest that a target's head moves, in grid units: what surrounds it is stretched."""

_MAX_GROWTH = 0.3
"""The most that it grows or shrinks, as a logarithm."""

_MAX_ROLL = math.radians(40)
"""The most that it rolls, in radians."""


@dataclass(frozen=True)
class HeadPlacement:
    """Position, size and roll of a head in a picture.

    Attributes:
        center: of the face's crop, in picture pixels, as x + iy.
        log_side: logarithm of the crop's side in picture pixels.
        roll: of the face in radians, clockwise in the picture.
    """

    center: complex
    log_side: float
    roll: float

    @classmethod
    def of(cls, alignment: Alignment) -> HeadPlacement:
        """The placement of the face that an alignment cuts out."""
        inverse = alignment.inverse
        linear = complex(inverse[0, 0], inverse[1, 0])
        middle = (alignment.size - 1) / 2
        x, y = inverse @ (middle, middle, 1)
        return cls(complex(x, y), math.log(abs(linear) * alignment.size), cmath.phase(linear))


@dataclass(frozen=True)
class PlaneMotion:
    """A similarity about the center of the target's crop, in grid units: v -> turn * v + shift."""

    turn: complex
    shift: complex

    def inverse(self) -> tuple[complex, complex]:
        """(a, b) of v -> a v + b: where a point of the output lies in the crop."""
        return 1 / complex(self.turn), -complex(self.shift) / self.turn


UNMOVED = PlaneMotion(1, 0)


def mean_placement(placements: Sequence[HeadPlacement]) -> HeadPlacement:
    """The mean of at least one placement."""
    count = len(placements)
    roll = cmath.phase(sum(cmath.rect(1, p.roll) for p in placements))
    return HeadPlacement(
        sum(p.center for p in placements) / count, sum(p.log_side for p in placements) / count, roll
    )


def plane_motion(
    now: HeadPlacement, reference: HeadPlacement, *, level: float | None = None
) -> PlaneMotion:
    """How the target's crop has to move for its head to move as the source's does.

    Shift and size are always relative to the source's own reference, since the two pictures have
    different borders. The roll is relative, too, unless the target takes the source's own roll.

    Args:
        now: placement of the source's head.
        reference: its placement where the target is at rest.
        level: None: the roll is relative to the reference, and directions are those of the face.
            Otherwise the roll of the target's crop in its picture (0 where the output is the crop):
            the head gets the source's own roll, and directions are those of the picture.
    """
    axis = reference.roll if level is None else level
    shift = (now.center - reference.center) * cmath.rect(2 * math.exp(-reference.log_side), -axis)
    distance = abs(shift)
    if distance > 0:
        shift *= _limited(distance, _MAX_SHIFT) / distance
    growth = _limited(now.log_side - reference.log_side, _MAX_GROWTH)
    roll = math.remainder(now.roll - axis, 2 * math.pi)
    return PlaneMotion(cmath.rect(math.exp(growth), _limited(roll, _MAX_ROLL)), shift)


def _limited(value: float, limit: float) -> float:
    """``value`` up to half of ``limit``; from there on it approaches ``limit`` smoothly."""
    half = limit / 2
    beyond = abs(value) - half
    return value if beyond <= 0 else math.copysign(half + half * math.tanh(beyond / half), value)
