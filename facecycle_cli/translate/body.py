"""What carries a head: shoulders that rise and sink with it.

A head that stays on its shoulders rises by little. One that rises further does so with its body, or
the camera moves; if only the head did, the neck would grow.
"""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.faces.similarity import apply_affine
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.translate.placement import PlaneMotion

__all__ = ["Body"]

_NECK = 0.06
"""How far a head rises or sinks on its neck, in grid units of its crop."""

_SHOULDERS = 0.7, 1.4
"""Heights below the middle of the head, in its radii, down to which nothing moves with the body,
and from which on everything does."""

_AROUND = 2.2, 3.4
"""Distances from that middle, in the same radii, up to which all of the body moves, and beyond
which nothing does."""


class Body:
    """The part of a picture that moves with the body.

    Args:
        pixels: (h, w, 2), points of the picture, in its pixels.
        to_crop: (2, 3), pixels of the picture -> grid units of the crop of its face.
        head: its middle and its radii, two of (2,), in these grid units.
        bottom: the last row of the picture.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        to_crop: np.ndarray,
        head: tuple[tuple[float, float], tuple[float, float]],
        bottom: int,
    ) -> None:
        center, radii = np.array(head)
        x, y = np.moveaxis((apply_affine(to_crop, pixels) - center) / radii, -1, 0)
        share = smoothstep(y, *_SHOULDERS) * (1 - smoothstep(np.hypot(x, y), *_AROUND))
        self._share = share.astype(np.float32)
        self._center = complex(*center)
        self._down = np.linalg.inv(to_crop[:, :2])[1]
        self._neck = _NECK * float(np.linalg.norm(self._down))
        # Nothing is known of what is below the picture: what is above is stretched, twice at most.
        self._most = np.maximum(0, (bottom - pixels[..., 1]) / 2).astype(np.float32)

    def rise(self, head: PlaneMotion, lag: np.ndarray) -> np.ndarray:
        """(h, w) float32: how many pixels further down colors are taken from.

        Args:
            head: the motion of the head within the plane of the picture.
            lag: (2, 3), as :meth:`.TargetPoints.lag` has it: the body moves with the slow head.
        """
        center = self._center
        moved = head.turn * center + head.shift - center
        moved -= complex(*(lag @ (center.real, center.imag, 1)))
        down = float(self._down @ (moved.real, moved.imag))
        further = max(0.0, abs(down) - self._neck)
        # The body begins to move softly.
        rise = -math.copysign(further**2 / (further + self._neck), down)
        return np.asarray(np.minimum(self._share * np.float32(rise), self._most))
