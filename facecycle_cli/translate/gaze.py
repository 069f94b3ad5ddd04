"""Where the eyes of the target look for a motion of the source."""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.gaze import seen_gaze
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.translate.motion import Motion

__all__ = ["TargetGaze"]

_TREMBLES = 0.03, 0.07
"""Half widths of an eye that an iris moves, up to which this is the trembling of what is measured,
and from which it is not."""

_FOUND = 0.6
"""Trust in the irises of both from which they move all of the way: their place is right long before
nothing at all speaks against it."""

_GAIN = 1.5
"""How far irises move over what is measured of the source's. Networks see two thirds of a glance
that is drawn; what is nearest to the source in its pixels is a gain of 1."""

_MOST = 0.7, 0.2
"""How far irises move at most, sideways and up or down: the photograph shows no more of them."""


class TargetGaze:
    """The irises of the target.

    Args:
        face: in the photograph, looked at closely.
        irises: (2, 5, 2), pixels, as :class:`.CloseLook` has them.
        alignment: from the photograph to the networks' crop.
        absolute: the target looks where the source looks; otherwise it looks elsewhere as far as
            the source does.

    Attributes:
        irises: (2, 5, 2), grid units of the crop: of the image-left and of the other eye the middle
            of the iris and four points of its rim.
    """

    def __init__(
        self, face: Face, irises: np.ndarray, alignment: Alignment, *, absolute: bool
    ) -> None:
        self._own = seen_gaze(face, irises[:, 0])
        self._absolute = absolute
        half = (alignment.size - 1) / 2
        self.irises = np.stack([alignment.apply(iris) / half - 1 for iris in irises])

    def shift(self, motion: Motion, begins_alike: float) -> np.ndarray:
        """(2,): how far the irises move, in half widths of an eye: to the right, and down.

        Args:
            motion: of the source.
            begins_alike: 1 if the source begins with the target's own face, 0 if it does not.
        """
        now, first, usual = motion.look.gaze, motion.reference.first_gaze, motion.reference.gaze
        trust = now.trust * self._own.trust
        if self._absolute:
            # The corners of eyes are as high as they are: how high eyes look is the person's own.
            rest = np.array([self._own.place[0], usual.place[1]])
            rest = rest + begins_alike * first.trust * (first.place - rest)
        else:
            rest, trust = usual.place, trust * usual.trust
        moved = now.place - rest
        moved = moved * float(smoothstep(np.array(np.hypot(*moved)), *_TREMBLES))
        moved = moved * min(1.0, trust / _FOUND)
        return np.array([m * math.tanh(x / m) for m, x in zip(_MOST, _GAIN * moved, strict=True)])
