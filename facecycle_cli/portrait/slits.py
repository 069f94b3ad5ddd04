"""Lips and lids: edges that part and meet.

Above a slit the picture follows the upper edge, below it the lower one, and both skins are the
photograph's own. What lies between is another layer: an eyeball, which keeps its place while the
lids close over it, or the inside of the source's mouth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.portrait.dense import interpolate
from facecycle_cli.portrait.edges import Edges, SlitPixels, closed_curve, open_curves
from facecycle_cli.portrait.features import FeatureFrame, smoothstep
from facecycle_cli.portrait.gaze import Look
from facecycle_cli.portrait.lids import draw_lashes, margin_of_lashes, smooth_stretched
from facecycle_cli.portrait.skins import PhotographedSlit, colors_at, skin_colors

__all__ = ["EYE", "MOUTH", "Layer", "Opening", "Slit", "SlitKind", "coarse_cells", "draw_openings"]

Layer = tuple[tuple[slice, slice], np.ndarray, np.ndarray]
"""Rows and columns, how much of each of their pixels is covered, (h, w), 0..1, and its color there,
(h, w, 3), both float32."""


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
        lips: whether its edges are lips: one curve around an opening, whose real rim is the further
            from its landmarks, the wider a mouth is open.
    """

    sideways: float
    above: float
    below: float
    overlaps: tuple[float, float]
    rims: tuple[float, float] = (0.0, 0.0)
    lashes: bool = False
    lips: bool = False


MOUTH = SlitKind(sideways=1.9, above=1.0, below=1.1, overlaps=(0.05, 0.05), lips=True)
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

_RIM_PER_OPENING = 1.3
"""How much wider the overlap of lips is where the photograph's are a half width apart: landmarks of
wide open mouths lie on teeth and in dark corners."""

_SLACK, _NARROWER = 0.01, 3
"""How far a landmark gives way to its neighbors, in half widths of the slit; and the power by which
it gives way further where a mouth is narrower than in the photograph: landmarks that are pushed
together there make waves."""

_BEYOND, _SHARP = 0.9, 1e-3
"""How fast the line between above and below gets softer beyond the corners, and the half widths
from where on."""

_MARGIN = 2.0
"""Pixels around lips that are drawn: their edges are soft."""


@dataclass(frozen=True)
class Opening:
    """A slit in one frame, before it is drawn.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the picture: nothing else changes.
        frame: of the slit where it is drawn.
        edges: of it in that frame.
        shifts: (h, w, 4) float32, pixels: what is added to the displacement above it, x and y, and
            below it.
        inside: (h, w, 2) float32, where in ``patch`` the color between the edges is; None: it is as
            in the photograph.
        patch: (h, w, 3) float32, colors; None: there are none.
        share: how much of what is between the edges is ``patch``, 0..1.
        look: where an eye looks; None: as in the photograph.
    """

    box: tuple[int, int, int, int]
    frame: FeatureFrame
    edges: Edges
    shifts: np.ndarray
    inside: np.ndarray | None = None
    patch: np.ndarray | None = None
    share: float = 0.0
    look: Look | None = None

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
        self._edges = self._edges_of(self.frame, own)
        self.opening = self._edges.widest
        self._outwards = {
            sign: self._outwards_of(own[edge], sign)
            for sign, edge in ((-1, self.upper), (1, self.lower))
        }
        edges = {*self.upper, *self.lower}
        near = [i for i in around if i not in edges]
        u, v = self.frame.of_points(own[near]).T
        reach = (np.abs(u) < kind.sideways) & (v > -kind.above) & (v < kind.below)
        middle = (np.interp(u, *self._edges.upper) + np.interp(u, *self._edges.lower)) / 2
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
        edges = self._edges_of(frame, wanted)
        kind = self._kind
        top = float(edges.upper[1].min()) - kind.above
        bottom = float(edges.lower[1].max()) + kind.below
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
        u, v = frame.of_pixels(cells[..., 0], cells[..., 1])
        fade = 1 - smoothstep(np.abs(u), 1.1, kind.sideways)
        fade *= smoothstep(v, top, top + 0.6 * kind.above)
        fade *= 1 - smoothstep(v, bottom - 0.6 * kind.below, bottom)
        closing = 1 - min(1.0, edges.widest / max(1e-6, self.opening))
        slack = _SLACK * frame.half
        if kind.lips:
            slack *= max(1.0, self.frame.half / frame.half) ** _NARROWER
        moves = []
        sides = zip(self._sides, (-1, 1), kind.overlaps, kind.rims, strict=True)
        for side, sign, overlap, rim in sides:
            points = wanted[side]
            own = self._own[side].copy()
            edge = len(self.upper if sign < 0 else self.lower)
            inner = slice(1, edge - 1)
            cover = overlap * closing * min(1.0, self.opening / 0.1)
            own[:edge] += self.frame.half * cover * self._outwards[sign]
            if rim:
                ends = own[inner] + sign * rim * self.frame.half * self.frame.down
                own = np.concatenate([own, ends])
                stiff = points[inner] + sign * rim * frame.half * frame.down
                points = np.concatenate([points, stiff])
            moves.append((points, own - points))
        before = moved_by(np.concatenate([points for points, _ in moves]))
        shifts = [
            interpolate(points, missing - there, cells, slack)
            for (points, missing), there in zip(
                moves, np.split(before, [len(moves[0][0])]), strict=True
            )
        ]
        faded = np.concatenate(shifts, axis=-1) * fade[..., None].astype(np.float32)
        return Opening(box, frame, edges, faded)

    def draw(
        self, opening: Opening, xs: np.ndarray, ys: np.ndarray, picture: np.ndarray
    ) -> list[Layer]:
        """Move the skin, and say what is drawn on it.

        Args:
            opening: in this frame.
            xs, ys: (h, w) float32, where the pixels of its box take their color, in pixels of the
                picture; changed in place.
            picture: the photograph, (H, W, 3) uint8 or float32.

        Returns:
            One layer over the other.
        """
        x0, y0, x1, y1 = opening.box
        shifts = cv2.resize(opening.shifts, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        above_x, above_y, below_x, below_y = cv2.split(shifts)
        margin = margin_of_lashes(opening.frame) if self._kind.lashes else _MARGIN
        part = opening.edges.reach(opening.frame, opening.box, margin)
        skins = [
            (xs[part] + x[part], ys[part] + y[part])
            for x, y in ((above_x, above_y), (below_x, below_y))
        ]
        own = PhotographedSlit(picture, self.frame, self._edges, opening.look)
        openness = opening.edges.widest / max(1e-6, self.opening)
        below = _below(opening.frame, opening.box)
        if self._kind.lashes and openness < _COMES_DOWN:
            skin = xs + above_x, ys + above_y
        xs += above_x + below * (below_x - above_x)
        ys += above_y + below * (below_y - above_y)
        layers = [self._edge_layer(opening, own, part, skins, openness)] if skins[0][0].size else []
        if self._kind.lashes and openness < _COMES_DOWN:
            lid = smooth_stretched(
                opening.shifts[..., :2], opening.edges, opening.frame, opening.box, skin, own
            )
            layers += [] if lid is None else [lid]
        return layers

    def _edge_layer(
        self,
        opening: Opening,
        own: PhotographedSlit,
        part: tuple[slice, slice],
        skins: Sequence[tuple[np.ndarray, np.ndarray]],
        openness: float,
    ) -> Layer:
        """The edges and what is between them: colors are mixed, not places.

        Args:
            opening: in this frame.
            own: the slit in the photograph.
            part: rows and columns of the opening's box.
            skins: where the skin above and below is taken from there.
            openness: the opening over that in the photograph.
        """
        soft = opening.soft
        place = opening.edges.pixels(opening.frame, opening.box, part)
        drawn = skin_colors(place, soft, skins, own.picture)
        share = place.between(soft)
        if share.any():
            drawn += share[..., None] * (self._inside(opening, own, place, part) - drawn)
        if self._kind.lashes:
            draw_lashes(drawn, place, soft, own, openness)
        return part, (np.abs(place.u) < 1 + soft).astype(np.float32), drawn

    def _edges_of(self, frame: FeatureFrame, points: np.ndarray) -> Edges:
        """The edges in a frame, of points (n, 2) in pixels of the picture; they do not cross."""
        upper, lower = (frame.of_points(points[i]) for i in (self.upper, self.lower))
        return (closed_curve if self._kind.lips else open_curves)(upper, lower)

    def _outwards_of(self, edge: np.ndarray, sign: int) -> np.ndarray:
        """(k, 2): where skin lies from the points of an edge: beside it, for one of its overlap.

        Args:
            edge: (k, 2), of the photograph.
            sign: -1: the upper one, 1: the lower one.
        """
        if not self._kind.lips:
            outwards = np.tile(sign * self.frame.down, (len(edge), 1))
            outwards[[0, -1]] = 0
            return outwards
        along = np.gradient(edge, axis=0)
        outwards = sign * np.column_stack([-along[:, 1], along[:, 0]])
        outwards[[0, -1]] = edge[[0, -1]] - self.frame.middle
        outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
        return np.asarray(outwards * (1 + _RIM_PER_OPENING * min(1.0, self.opening)))

    def _inside(
        self, opening: Opening, own: PhotographedSlit, place: SlitPixels, part: tuple[slice, slice]
    ) -> np.ndarray:
        """The colors between the edges, (h, w, 3), at the pixels of a part of the opening's box."""
        if opening.inside is None or opening.patch is None:
            return own.inside(place)
        x0, y0, x1, y1 = opening.box
        at = cv2.resize(opening.inside, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)[part]
        patch = colors_at(opening.patch, at[..., 0], at[..., 1])
        if opening.share == 1:
            return patch
        inside = own.inside(place)
        return np.asarray(inside + np.float32(opening.share) * (patch - inside))


def draw_openings(
    openings: Sequence[tuple[Slit, Opening]],
    xs: np.ndarray,
    ys: np.ndarray,
    picture: np.ndarray,
    origin: tuple[int, int],
) -> list[Layer]:
    """Part and close lips and lids.

    Args:
        openings: in this frame.
        xs, ys: (H, W) float32, where pixels take their color; changed in place.
        picture: the photograph, (H, W, 3) uint8 or float32.
        origin: x and y of the first of these pixels in the picture.

    Returns:
        What is drawn on the skin, one layer over the other.
    """
    layers = []
    for slit, opening in openings:
        x0, y0, x1, y1 = opening.box
        x0, x1, y0, y1 = x0 - origin[0], x1 - origin[0], y0 - origin[1], y1 - origin[1]
        box = slice(y0, y1), slice(x0, x1)
        for (rows, columns), share, color in slit.draw(opening, xs[box], ys[box], picture):
            part = (
                slice(y0 + rows.start, y0 + rows.stop),
                slice(x0 + columns.start, x0 + columns.stop),
            )
            layers.append((part, share, color))
    return layers


def _below(frame: FeatureFrame, box: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) float32: how far pixels around a slit move with its lower edge, 0..1.

    Between its corners its edges are drawn over that.
    """
    x0, y0, x1, y1 = box
    u, v = frame.of_pixels(np.arange(x0, x1, dtype=float), np.arange(y0, y1, dtype=float)[:, None])
    beyond = np.maximum(np.abs(u.astype(np.float32)) - 1, _SHARP)
    return np.asarray(np.clip(0.5 + v.astype(np.float32) / (2 * _BEYOND * beyond), 0, 1))


def coarse_cells(box: tuple[int, int, int, int], across: int) -> np.ndarray:
    """(h, w, 2) float64: points of a coarse grid over a box, as cv2.resize has them."""
    x0, y0, x1, y1 = box
    step = max(1.0, (x1 - x0) / across)
    columns, rows = max(2, round((x1 - x0) / step)), max(2, round((y1 - y0) / step))
    xs = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - 0.5
    ys = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - 0.5
    return np.stack(np.meshgrid(xs, ys), axis=-1)
