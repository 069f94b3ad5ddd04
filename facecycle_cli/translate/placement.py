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
from typing import NamedTuple

from facecycle_cli.faces import Alignment

__all__ = [
    "BY_FLOW",
    "IN_CROP",
    "IN_PICTURE",
    "UNMOVED",
    "HeadPlacement",
    "Limits",
    "PlaneMotion",
    "limited_shift",
    "mean_placement",
    "plane_motion",
]


class Limits(NamedTuple):
    """The farthest that a target's head moves: what surrounds it is stretched.

    Attributes:
        shift: in grid units of its crop.
        growth: how much it grows or shrinks, as a logarithm.
        roll: in radians.
    """

    shift: float
    growth: float
    roll: float


BY_FLOW = Limits(0.35, 0.3, math.radians(40))
"""Limits of a head that the networks' flow alone moves."""

IN_CROP = Limits(0.35, 0.3, math.radians(70))
"""Limits of a head whose landmarks say where it has to be: it stays in its crop."""

IN_PICTURE = Limits(0.8, 0.4, math.radians(70))
"""The same in the whole picture."""


@dataclass(frozen=True)
class HeadPlacement:
    """Position, size and roll of a head in a picture.

    Attributes:
        center: of the face's crop, or of the head, in picture pixels, as x + iy.
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
    now: HeadPlacement,
    reference: HeadPlacement,
    *,
    level: float | None = None,
    limits: Limits = BY_FLOW,
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
        limits: approached smoothly from their half on.
    """
    axis = reference.roll if level is None else level
    shift = (now.center - reference.center) * cmath.rect(2 * math.exp(-reference.log_side), -axis)
    shift = limited_shift(shift, limits)
    growth = _limited(now.log_side - reference.log_side, limits.growth)
    roll = math.remainder(now.roll - axis, 2 * math.pi)
    return PlaneMotion(cmath.rect(math.exp(growth), _limited(roll, limits.roll)), shift)


def limited_shift(shift: complex, limits: Limits) -> complex:
    """A shift in grid units, no further than ``limits`` say."""
    distance = abs(shift)
    return shift if distance == 0 else shift * (_limited(distance, limits.shift) / distance)


def _limited(value: float, limit: float) -> float:
    """``value`` up to half of ``limit``; from there on it approaches ``limit`` smoothly."""
    half = limit / 2
    beyond = abs(value) - half
    return value if beyond <= 0 else math.copysign(half + half * math.tanh(beyond / half), value)
