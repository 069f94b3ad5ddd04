"""An eye that looks elsewhere: its iris moves between the lids, which stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecycle_cli.portrait.features import smoothstep

__all__ = ["Look"]

_STIFF, _LEAST_RADIUS = 1.1, 0.4
"""What moves without being stretched, in radii of the iris; and the least of these in half widths
of an eye, people's mean: one that is measured smaller would be stretched, highlight and all."""

_WHITE = 0.12
"""Least share of the way from a corner to the iris that stays white."""

_BESIDE = 0.35
"""Half widths of the eye beside the iris over which its rise or fall ends."""

_LID = 0.07
"""Half widths of the eye beside the lids, with lashes and their shadow, that are never shown
elsewhere."""

_THIN = 0.02
"""Half widths of the eye that count as the least part of an eyeball above or below the iris's
middle."""

_ACTIVE = 0.0, 0.06
"""Shift in half widths from which and up to which the eye is drawn as a moved one."""


@dataclass(frozen=True)
class Look:
    """How an eye looks elsewhere, in half widths of it, as :class:`.FeatureFrame` counts them.

    Attributes:
        center: (2,), the middle of the iris in the photograph.
        radius: of the iris.
        shift: (2,), how far it moves.
    """

    center: np.ndarray
    radius: float
    shift: np.ndarray

    def source(
        self,
        u: np.ndarray,
        v: np.ndarray,
        upper: tuple[np.ndarray, np.ndarray],
        lower: tuple[np.ndarray, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where in the photograph the color of points of the eyeball is.

        Sideways the iris keeps its shape, and the white beside it is stretched or compressed. The
        photograph shows lids, not eyeball, beyond their edges: where these would appear, the
        eyeball is stretched upwards or downwards instead.

        Args:
            u, v: (h, w), of the points.
            upper, lower: edges of the lids in the photograph: u, ascending, and v.

        Returns:
            u and v, (h, w) each.
        """
        active = float(smoothstep(np.array(np.hypot(*self.shift)), *_ACTIVE))
        if active == 0:
            return u, v
        own = float(np.clip(self.center[0], -0.8, 0.8))
        there = float(np.clip(own + self.shift[0], -0.8, 0.8))
        radius = max(self.radius, _LEAST_RADIUS)
        stiff = min(_STIFF * radius, *((1 - _WHITE) * (1 - abs(at)) for at in (own, there)))
        after, before = ([-1.0, at - stiff, at + stiff, 1.0] for at in (there, own))
        # Beyond the corners nothing moves.
        moved = np.where(np.abs(u) < 1, np.interp(u, after, before), u)
        beside = np.abs(u - there) - stiff
        center = self.center[1] + self.shift[1] * (1 - smoothstep(beside, 0.0, _BESIDE))
        below = v - center
        factors = [
            np.clip(
                (sign * (np.interp(moved, *lid) - self.center[1]) - _LID)
                / np.maximum(sign * (np.interp(u, *lid) - center), _THIN),
                0.0,
                1.0,
            )
            for sign, lid in ((-1, upper), (1, lower))
        ]
        down = self.center[1] + below * np.where(below < 0, *factors)
        return u + active * (moved - u), v + active * (down - v)
