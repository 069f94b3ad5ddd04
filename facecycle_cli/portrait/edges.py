"""The edges of a slit: smooth curves through landmarks, and where each pixel lies between them.

Lengths are in half widths of the slit, in its :class:`.FeatureFrame`.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import NamedTuple

import cv2
import numpy as np

from facecycle_cli.portrait.features import FeatureFrame, smoothstep

__all__ = ["CURVE", "Edge", "Edges", "SlitPixels", "below_slit", "closed_curve", "open_curves"]

Edge = tuple[np.ndarray, np.ndarray]
"""u, ascending from -1 to 1, and v of points along an edge."""

CURVE = 4
"""Parts of a curve between two neighboring points of an edge."""

_TABLE = 129
"""Points from corner to corner at which edges are computed; between them they are straight."""

_GRID = np.linspace(-1, 1, _TABLE)
"""The u of these points."""


_BEYOND, _SHARP = 0.9, 1e-3
"""How fast the line between above and below gets softer beyond the corners, and the half widths
from where on."""


class SlitPixels(NamedTuple):
    """Pixels around a slit, each (h, w) float32.

    Attributes:
        u, v: of the pixel.
        upper, lower: the v of both edges at its u.
        upper_level, lower_level: the distance to each edge over that along v: the cosine of the
            angle by which the edge rises there.
    """

    u: np.ndarray
    v: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    upper_level: np.ndarray
    lower_level: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """The opening between the edges."""
        return np.asarray(np.maximum(self.lower - self.upper, 0))

    @property
    def middle(self) -> np.ndarray:
        """The v of the line between the edges."""
        return np.asarray((self.upper + self.lower) / 2)

    def between(self, soft: float) -> np.ndarray:
        """How much of a pixel lies between the edges, 0..1; they are soft over a length."""
        within = np.minimum(
            (self.v - self.upper) * self.upper_level, (self.lower - self.v) * self.lower_level
        )
        share: np.ndarray = smoothstep(within, -soft / 2, soft / 2)
        return np.asarray(share * smoothstep(self.gap, 0, 2 * soft))


class Edges:
    """The two edges of a slit.

    Args:
        upper, lower: curves from the left corner to the right one.
    """

    def __init__(self, upper: Edge, lower: Edge) -> None:
        self.upper, self.lower = upper, lower

    @cached_property
    def widest(self) -> float:
        """The widest opening between them."""
        return max(0.0, float((np.interp(self.upper[0], *self.lower) - self.upper[1]).max()))

    @cached_property
    def _table(self) -> np.ndarray:
        """(1, n, 4) float32: what :meth:`at` says, from corner to corner."""
        lines = np.stack([np.interp(_GRID, *edge) for edge in (self.upper, self.lower)])
        rises = np.empty_like(lines)
        rises[:, 1:-1] = (lines[:, 2:] - lines[:, :-2]) * ((_TABLE - 1) / 4)
        rises[:, [0, -1]] = (lines[:, [1, -1]] - lines[:, [0, -2]]) * ((_TABLE - 1) / 2)
        levels = 1 / np.hypot(1, rises)
        return np.concatenate([lines, levels]).T[None].astype(np.float32)

    def at(self, u: np.ndarray) -> tuple[np.ndarray, ...]:
        """The v of both edges at u (h, w) float32, and their levels, as in :class:`SlitPixels`."""
        cells = (u + 1) * np.float32((_TABLE - 1) / 2)
        rows = np.zeros_like(cells)
        found = cv2.remap(
            self._table, cells, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return tuple(map(np.asarray, cv2.split(found)))

    def pixels(
        self, frame: FeatureFrame, box: tuple[int, int, int, int], part: tuple[slice, slice]
    ) -> SlitPixels:
        """The pixels of a part of a box.

        Args:
            frame: of the slit where it is drawn.
            box: x0, y0, x1, y1 in pixels of the picture.
            part: its rows and columns.
        """
        rows, columns = (
            start + np.arange(each.start, each.stop, dtype=float)
            for start, each in zip((box[1], box[0]), part, strict=True)
        )
        u, v = (each.astype(np.float32) for each in frame.of_pixels(columns, rows[:, None]))
        return SlitPixels(u, v, *self.at(u))

    def reach(
        self, frame: FeatureFrame, box: tuple[int, int, int, int], margin: float
    ) -> tuple[slice, slice]:
        """Rows and columns of a box that lie within a margin in pixels around both edges."""
        lowest, highest = min(self.upper[1].min(), 0), max(self.lower[1].max(), 0)
        x0, y0, x1, y1 = frame.box(1.0, float(lowest), float(highest))
        left, top = max(0, int(x0 - margin) - box[0]), max(0, int(y0 - margin) - box[1])
        right, bottom = int(x1 + margin) + 2 - box[0], int(y1 + margin) + 2 - box[1]
        right, bottom = min(right, box[2] - box[0]), min(bottom, box[3] - box[1])
        return slice(top, max(top, bottom)), slice(left, max(left, right))


def below_slit(frame: FeatureFrame, box: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) float32: how far pixels around a slit move with its lower edge, 0..1.

    Between its corners its edges are drawn over that.
    """
    x0, y0, x1, y1 = box
    u, v = frame.of_pixels(np.arange(x0, x1, dtype=float), np.arange(y0, y1, dtype=float)[:, None])
    beyond = np.maximum(np.abs(u.astype(np.float32)) - 1, _SHARP)
    return np.asarray(np.clip(0.5 + v.astype(np.float32) / (2 * _BEYOND * beyond), 0, 1))


def open_curves(upper: np.ndarray, lower: np.ndarray) -> Edges:
    """Smooth curves through the points (k, 2) of two edges, u and v, that meet at sharp corners."""
    weights = _open_weights(len(upper))
    return _edges(weights @ upper, weights @ lower)


def closed_curve(upper: np.ndarray, lower: np.ndarray) -> Edges:
    """One smooth curve through the points (k, 2) of two edges, as a round mouth has it.

    Where edges are close, their corners are hardly round.
    """
    weights = _inner_weights(len(upper))
    first, second = (
        weights @ np.concatenate([other[1:2], edge, other[-2:-1]])
        for edge, other in ((upper, lower), (lower, upper))
    )
    return _edges(first, second)


def _edges(upper: np.ndarray, lower: np.ndarray) -> Edges:
    """Curves, (m, 2) each, as functions of u that do not cross.

    Where they turn back, they go straight down or up.
    """
    first, second = (np.minimum(np.maximum.accumulate(curve[:, 0]), 1) for curve in (upper, lower))
    crossing = np.maximum(0, upper[:, 1] - np.interp(first, second, lower[:, 1])) / 2
    if not crossing.any():
        return Edges((first, upper[:, 1]), (second, lower[:, 1]))
    return Edges(
        (first, upper[:, 1] - crossing),
        (second, lower[:, 1] + np.interp(second, first, crossing)),
    )


@cache
def _open_weights(count: int) -> np.ndarray:
    """(m, count): points in a row -> those of a Catmull-Rom spline through them."""
    identity = np.eye(count)
    before, after = 2 * identity[:1] - identity[1:2], 2 * identity[-1:] - identity[-2:-1]
    return np.asarray(_inner_weights(count) @ np.concatenate([before, identity, after]))


@cache
def _inner_weights(count: int) -> np.ndarray:
    """(m, count + 2): the same where a point before and after them is known as well."""
    knots = np.eye(count + 2)
    parts = []
    for t in np.arange(CURVE) / CURVE:
        weights = np.array(
            [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
        )
        parts.append(sum(w / 2 * knots[i : i + count - 1] for i, w in enumerate(weights)))
    between = np.stack(parts, axis=1).reshape(-1, count + 2)
    return np.concatenate([between, knots[-2:-1]])
