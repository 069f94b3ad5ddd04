"""Lips and lids: edges that part and meet.

Above a slit the picture follows the upper edge, below it the lower one, and both skins are the
photograph's own. What lies between is another layer: an eyeball, which keeps its place while the
lids close over it, or the inside of the source's mouth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from facecycle_cli.portrait.dense import interpolate
from facecycle_cli.portrait.features import FeatureFrame, smoothstep
from facecycle_cli.portrait.gaze import Look
from facecycle_cli.portrait.lids import (
    PhotographedSlit,
    SlitPixels,
    colors_at,
    draw_lids,
    part_of_lids,
    smooth_stretched,
)

__all__ = [
    "CURVE",
    "EYE",
    "MOUTH",
    "Opening",
    "Slit",
    "SlitKind",
    "coarse_cells",
    "draw_openings",
    "widest",
]

Shape = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class SlitKind:
    """How the skin around a slit moves, in half widths of it.

    Attributes:
        sideways: how far it moves, from the middle of the slit to either side.
        above, below: the same beyond its edges.
        overlaps: by which its upper and its lower edge cover what lies between them when it closes:
            landmarks lie on the edges, and what they enclose is a little larger.
        rims: how far above the upper edge and below the lower one skin is stiff: lashes are not
            stretched.
        lashes: whether its edges are lids that meet in a line of lashes.
    """

    sideways: float
    above: float
    below: float
    overlaps: tuple[float, float]
    rims: tuple[float, float] = (0.0, 0.0)
    lashes: bool = False


MOUTH = SlitKind(sideways=1.9, above=1.0, below=1.1, overlaps=(0.05, 0.05))
EYE = SlitKind(sideways=1.7, above=1.3, below=1.0, overlaps=(0.04, 0.16), rims=(0.25, 0.0))


_CELLS = 40
"""Cells along the width of a slit's surroundings at which displacements are computed for a picture;
a video needs fewer."""

_SOFT = 1.0
"""Pixels over which an edge is soft, at least."""

_SOFTER = 0.012
"""The same in half widths of the slit."""

_COMES_DOWN = 0.9
"""The opening of an eye over that in the photograph below which its lid may be stretched."""

CURVE = 4
"""Parts of a curve between two neighboring points of an edge."""

_BEYOND = 0.9
"""How fast the line between above and below gets softer beyond the corners."""


@dataclass(frozen=True)
class Opening:
    """A slit in one frame, before it is drawn.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the picture: nothing else changes.
        frame: of the slit where it is drawn.
        upper, lower: its edges in that frame: u, ascending, and v.
        shifts: two of (h, w, 2) float32, pixels: what is added to the displacement above and below
            it.
        inside: (h, w, 2) float32, where in ``patch`` the color between the edges is; None: it is an
            eye.
        patch: (h, w, 3) float32, colors; None: an eye.
        share: how much of what is between the edges is ``patch``, 0..1.
        look: where an eye looks; None: as in the photograph.
    """

    box: tuple[int, int, int, int]
    frame: FeatureFrame
    upper: Shape
    lower: Shape
    shifts: tuple[np.ndarray, np.ndarray]
    inside: np.ndarray | None = None
    patch: np.ndarray | None = None
    share: float = 0.0
    look: Look | None = None

    def coordinates(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, ...]:
        """Pixels (h, w) -> u, v, and the v of the upper and of the lower edge there."""
        u, v = self.frame.of_pixels(xs, ys)
        upper, lower = (np.interp(u, *edge).astype(np.float32) for edge in (self.upper, self.lower))
        return u, v, upper, lower

    @property
    def soft(self) -> float:
        """Half widths over which an edge is soft."""
        return max(_SOFT / self.frame.half, _SOFTER)


class Slit:
    """A slit of the target's face.

    Args:
        own: (n, 2), where the points of the face are in the photograph, in pixels of the picture.
        upper: numbers of those of the upper edge, from the left corner to the right one.
        lower: the same of the lower edge.
        around: numbers of those that move the skin around it.
        kind: how far that reaches.
        cells: how many, along the width of its surroundings, displacements are computed at.

    Attributes:
        frame: of the slit in the photograph.
        opening: of the slit in the photograph, in half widths of it.
        cells: as given.
    """

    def __init__(
        self,
        own: np.ndarray,
        upper: Sequence[int],
        lower: Sequence[int],
        around: Sequence[int],
        kind: SlitKind,
        cells: int = _CELLS,
    ) -> None:
        self.upper, self.lower = list(upper), list(lower)
        self._own = own
        self._kind = kind
        self.cells = cells
        self.frame = FeatureFrame(own[self.upper[0]], own[self.upper[-1]])
        edges_there = [_line(self.frame.of_points(own[i])) for i in (self.upper, self.lower)]
        self._photographed = PhotographedSlit(self.frame, edges_there[0], edges_there[1])
        self.opening = widest(*edges_there)
        edges = {*self.upper, *self.lower}
        near = [i for i in around if i not in edges]
        u, v = self.frame.of_points(own[near]).T
        reach = (np.abs(u) < kind.sideways) & (v > -kind.above) & (v < kind.below)
        middle = np.mean(self._photographed.edges_at(u), axis=0)
        beside = np.abs(u) > 1
        numbers = np.array(near)
        self._sides = (
            [*self.upper, *numbers[reach & (beside | (v < middle))].tolist()],
            [*self.lower, *numbers[reach & (beside | (v >= middle))].tolist()],
        )

    def prepare(
        self,
        wanted: np.ndarray,
        moved_by: Callable[[np.ndarray], np.ndarray],
        limits: tuple[int, int, int, int],
    ) -> Opening | None:
        """How the slit changes; None if it lies outside of the picture.

        Args:
            wanted: (n, 2), where the points belong, in pixels of the picture.
            moved_by: points (m, 2) of the picture -> the displacement there that the rest of the
                face has already.
            limits: x0, y0, x1, y1, the part of the picture that is drawn.
        """
        frame = FeatureFrame(wanted[self.upper[0]], wanted[self.upper[-1]])
        upper, lower = (_line(frame.of_points(wanted[i])) for i in (self.upper, self.lower))
        # Edges meet, but do not cross.
        grid = upper[0]
        crossing = np.maximum(0, upper[1] - np.interp(grid, *lower)) / 2
        upper = grid, upper[1] - crossing
        lower = lower[0], lower[1] + np.interp(lower[0], grid, crossing)
        kind = self._kind
        top = float(upper[1].min()) - kind.above
        bottom = float(lower[1].max()) + kind.below
        x0, y0, x1, y1 = frame.box(kind.sideways, top, bottom)
        box = (
            max(limits[0], int(np.floor(x0))),
            max(limits[1], int(np.floor(y0))),
            min(limits[2], int(np.ceil(x1)) + 1),
            min(limits[3], int(np.ceil(y1)) + 1),
        )
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            return None
        cells = coarse_cells(box, self.cells)
        at = cells.reshape(-1, 2)
        u, v = frame.of_pixels(cells[..., 0], cells[..., 1])
        fade = 1 - smoothstep(np.abs(u), 1.1, kind.sideways)
        fade *= smoothstep(v, top, top + 0.6 * kind.above)
        fade *= 1 - smoothstep(v, bottom - 0.6 * kind.below, bottom)
        closing = 1 - min(1.0, widest(upper, lower) / max(1e-6, self.opening))
        shifts = []
        sides = zip(self._sides, (-1, 1), kind.overlaps, kind.rims, strict=True)
        for side, sign, overlap, rim in sides:
            points = wanted[side]
            own = self._own[side].copy()
            edge = len(self.upper if sign < 0 else self.lower)
            cover = sign * overlap * closing * min(1.0, self.opening / 0.1)
            inner = slice(1, edge - 1)
            own[inner] += self.frame.half * cover * self.frame.down
            if rim:
                ends = own[inner] + sign * rim * self.frame.half * self.frame.down
                own = np.concatenate([own, ends])
                stiff = points[inner] + sign * rim * frame.half * frame.down
                points = np.concatenate([points, stiff])
            missing = own - points - moved_by(points)
            shift = interpolate(points, missing, at, 0.01 * frame.half)
            shifts.append(shift.reshape(cells.shape) * fade[..., None].astype(np.float32))
        return Opening(box, frame, upper, lower, (shifts[0], shifts[1]))

    def draw(
        self, opening: Opening, xs: np.ndarray, ys: np.ndarray, picture: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move the skin, and say what lies between the edges.

        Args:
            opening: in this frame.
            xs, ys: (h, w) float32, where the pixels of its box take their color, in pixels of the
                picture; changed in place.
            picture: the photograph, (H, W, 3) uint8 or float32.

        Returns:
            (h, w) float32, how much of each pixel lies between the edges, 0..1, and (h, w, 3)
            float32, its color.
        """
        x0, y0, x1, y1 = opening.box
        columns = np.arange(x0, x1, dtype=np.float32)
        rows = np.arange(y0, y1, dtype=np.float32)[:, None]
        u, v, upper, lower = opening.coordinates(columns, rows)
        soft = opening.soft
        half = np.maximum((lower - upper) / 2, 1e-3) + _BEYOND * np.maximum(0, np.abs(u) - 1)
        below = np.clip(0.5 + (v - (upper + lower) / 2) / (2 * half), 0, 1)[..., None]
        size = x1 - x0, y1 - y0
        above_shift, below_shift = (
            cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR) for shift in opening.shifts
        )
        place = SlitPixels(u, v, upper, lower)
        lids = None
        if self._kind.lashes:
            part = part_of_lids(opening.frame, (opening.upper, opening.lower), opening.box)
            skins = [
                (xs[part] + by[part][..., 0], ys[part] + by[part][..., 1])
                for by in (above_shift, below_shift)
            ]
            own = self._photographed._replace(look=opening.look)
            openness = widest(opening.upper, opening.lower) / max(1e-6, self.opening)
            lids = draw_lids(place, part, soft, skins, picture, own, openness)
            if openness < _COMES_DOWN:
                skin = xs + above_shift[..., 0], ys + above_shift[..., 1]
                upper_lid = smooth_stretched(opening.shifts[0], place, skin, picture, own)
                lids = _over(upper_lid, lids)
        shift = above_shift + below * (below_shift - above_shift)
        xs += shift[..., 0]
        ys += shift[..., 1]
        if lids is not None:
            return lids
        within = np.minimum(v - upper, lower - v)
        alpha = smoothstep(within, -soft / 2, soft / 2) * smoothstep(lower - upper, 0, 2 * soft)
        alpha = np.where(np.abs(u) < 1, alpha, 0).astype(np.float32)
        if opening.inside is not None and opening.patch is not None:
            at = cv2.resize(opening.inside, size, interpolation=cv2.INTER_LINEAR)
            return alpha * opening.share, colors_at(opening.patch, at[..., 0], at[..., 1])
        own = self._photographed._replace(look=opening.look)
        return alpha, own.inside(place, picture)


def draw_openings(
    openings: Sequence[tuple[Slit, Opening]],
    xs: np.ndarray,
    ys: np.ndarray,
    picture: np.ndarray,
    origin: tuple[int, int],
) -> list[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Part and close lips and lids.

    Args:
        openings: in this frame.
        xs, ys: (H, W) float32, where pixels take their color; changed in place.
        picture: the photograph, (H, W, 3) uint8 or float32.
        origin: x and y of the first of these pixels in the picture.

    Returns:
        For each of them the rows and columns that it covers, how much of each pixel lies between
        its edges, (h, w), and the color there, (h, w, 3).
    """
    layers = []
    for slit, opening in openings:
        x0, y0, x1, y1 = opening.box
        part = slice(y0 - origin[1], y1 - origin[1]), slice(x0 - origin[0], x1 - origin[0])
        layers.append((part, *slit.draw(opening, xs[part], ys[part], picture)))
    return layers


def _over(
    below: tuple[np.ndarray, np.ndarray], above: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Two layers as one: shares (h, w) and colors (h, w, 3). What is above is opaque or absent."""
    seen = above[0] > 0
    return np.where(seen, above[0], below[0]), np.where(seen[..., None], above[1], below[1])


def _line(coordinates: np.ndarray) -> Shape:
    """(k, 2) u, v along an edge -> its u, ascending, and its v, of a smooth curve through them."""
    curve = _curve_weights(len(coordinates)) @ coordinates
    order = np.argsort(curve[:, 0], kind="stable")
    return curve[order, 0], curve[order, 1]


@cache
def _curve_weights(count: int) -> np.ndarray:
    """(m, count): points in a row -> those of a Catmull-Rom spline through them."""
    identity = np.eye(count)
    before, after = 2 * identity[:1] - identity[1:2], 2 * identity[-1:] - identity[-2:-1]
    knots = np.concatenate([before, identity, after])
    parts = []
    for t in np.arange(CURVE) / CURVE:
        weights = np.array(
            [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
        )
        parts.append(sum(w / 2 * knots[i : i + count - 1] for i, w in enumerate(weights)))
    between = np.stack(parts, axis=1).reshape(-1, count)
    return np.concatenate([between, identity[-1:]])


def widest(upper: Shape, lower: Shape) -> float:
    """The widest opening between two edges, in half widths."""
    return max(0.0, float((np.interp(upper[0], *lower) - upper[1]).max()))


def coarse_cells(box: tuple[int, int, int, int], across: int) -> np.ndarray:
    """(h, w, 2) float64: points of a coarse grid over a box, as cv2.resize has them."""
    x0, y0, x1, y1 = box
    step = max(1.0, (x1 - x0) / across)
    columns, rows = max(2, round((x1 - x0) / step)), max(2, round((y1 - y0) / step))
    xs = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - 0.5
    ys = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - 0.5
    return np.stack(np.meshgrid(xs, ys), axis=-1)
