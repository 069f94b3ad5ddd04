"""Where in the picture the head is: its motion within the plane of the picture.

Aligned crops show a face upright, of one size, in the middle; so roll, approach and drift of the
head are in no expression code. They are not lost: the source's alignments hold them exactly.
A similarity of the plane is a pair of complex numbers, z -> a z + b, and that makes this short.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

from facecycle_cli.faces import Alignment

__all__ = ["STILL", "HeadPlace", "Placement", "mean_place", "place"]

_MOST_SHIFT = 0.35
_MOST_SCALE = 0.3
_MOST_TURN = math.radians(40)
"""Where a target's head stops following: what surrounds it would have to stretch too far."""


@dataclass(frozen=True)
class HeadPlace:
    """A face's place in a picture.

    Attributes:
        center: of the crop, in picture pixels, as x + iy.
        size: logarithm of the crop's side in picture pixels.
        roll: of the face, radians, clockwise as seen.
    """

    center: complex
    size: float
    roll: float

    @classmethod
    def of(cls, alignment: Alignment) -> HeadPlace:
        """The place that an alignment cuts out."""
        inverse = alignment.inverse
        linear = complex(inverse[0, 0], inverse[1, 0])
        middle = (alignment.size - 1) / 2
        x, y = inverse @ (middle, middle, 1)
        return cls(complex(x, y), math.log(abs(linear) * alignment.size), cmath.phase(linear))


@dataclass(frozen=True)
class Placement:
    """A similarity of the crop's plane about its center, in grid units: v -> turn * v + shift."""

    turn: complex
    shift: complex

    def undo(self) -> tuple[complex, complex]:
        """(a, b) of the inverse, v -> a v + b: where a point of the output lies in the crop."""
        return 1 / self.turn, -self.shift / self.turn


STILL = Placement(1, 0)


def mean_place(places: Sequence[HeadPlace]) -> HeadPlace:
    """The place in the middle of others."""
    count = len(places)
    roll = cmath.phase(sum(cmath.rect(1, p.roll) for p in places))
    return HeadPlace(
        sum(p.center for p in places) / count, sum(p.size for p in places) / count, roll
    )


def place(now: HeadPlace, reference: HeadPlace, *, level: float | None = None) -> Placement:
    """How the target's crop has to be moved for the head to move as the source's does.

    Shift and size are always relative to the source's own reference: another picture has other
    borders. The roll is, too, unless the target is to take the source's roll as it is.

    Args:
        now: place of the source's head.
        reference: its place where the target is at rest.
        level: None: the roll is relative to the reference, and directions are the face's own. Else
            the roll of the target's crop in its picture (0 where the output is the crop): the head
            gets the source's own roll, and directions are those of the picture.
    """
    axis = reference.roll if level is None else level
    shift = (now.center - reference.center) * cmath.rect(2 * math.exp(-reference.size), -axis)
    distance = abs(shift)
    if distance > 0:
        shift *= _saturated(distance, _MOST_SHIFT) / distance
    size = _saturated(now.size - reference.size, _MOST_SCALE)
    roll = math.remainder(now.roll - axis, 2 * math.pi)
    return Placement(cmath.rect(math.exp(size), _saturated(roll, _MOST_TURN)), shift)


def _saturated(value: float, most: float) -> float:
    """``value`` up to half of ``most``, from there on ever less of it, never more than ``most``."""
    half = most / 2
    beyond = abs(value) - half
    return value if beyond <= 0 else math.copysign(half + half * math.tanh(beyond / half), value)
