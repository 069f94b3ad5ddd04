"""The target's picture: warped and drawn at its own resolution.

The networks say at a coarse grid of points how the picture changes (:class:`Fields`).
:meth:`Stage.prepare` makes a :class:`Drawing` of that, still at the coarse grid, and
:meth:`Stage.draw` the frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.portrait.features import Eye, Mouth, eyes_of, smoothstep
from facecycle_cli.portrait.folds import unfolded
from facecycle_cli.portrait.slits import Opening, Slit, draw_openings
from facecycle_cli.translate.body import Body
from facecycle_cli.translate.layer import (
    Grid,
    LandmarkLayer,
    LandmarkRequest,
    blend,
)
from facecycle_cli.translate.placement import BY_FLOW, IN_PICTURE, Limits, PlaneMotion
from facecycle_cli.types import RGBImage

__all__ = ["Drawing", "Fields", "Stage", "crop_stage", "picture_stage"]

_CENTER = (0.0, 0.05)
_RADII = (0.68, 0.85)
"""The ellipse of a head in its aligned crop, in grid units."""

_HEAD, _REACH = 1.05, 1.9
"""In radii of that ellipse: up to the first, everything moves with the head; beyond the second,
nothing moves. What lies between is stretched, so there is no seam, and nothing is uncovered."""

_REACH_PER_SHIFT = 4.0
"""How far beyond the first of these the motion reaches at least, in the same radii, over the shift
of the head in grid units: what is stretched more than about twice pulls the ear with it."""

_FIRM, _LOOSE = 0.85, 1.1
"""In the same radii: up to the first, the picture trembles and nods as the face does; beyond the
second, shoulders and background move with the slow head. A still background is seen to tremble."""

_CROWN, _EARS = -0.7, 0.0
"""The same of heights below the middle of that ellipse: hair above the first moves with the head,
and below the second is what the last two numbers speak of."""

_FACE, _HAIR = 0.9, 1.15
"""In the same radii: up to the first, colors change; beyond the second, none does."""


class Fields(NamedTuple):
    """How a picture has to change for one frame, at h x w points of it.

    Attributes:
        displacement: (2, h, w) float32, from each point to where its color is taken from, in grid
            units of the target's crop.
        change: (3, h, w) float32, what is added to that color, in gray levels; None: nothing is.
        inside: (2, h, w) float32, where each point lies in the moved crop, in its grid units.
    """

    displacement: np.ndarray
    change: np.ndarray | None
    inside: np.ndarray


@dataclass(frozen=True)
class Drawing:
    """A frame before it is drawn.

    Attributes:
        displacement: (h, w, 2) float32, from each point to where its color is taken from, in pixels
            of the picture.
        change: (h, w, 3) float32, what is added to that color, in gray levels; None: nothing is.
        opening: how much further the lips part than in the photograph, in half widths of the mouth.
        missing: how much of that is not in ``displacement``.
        eyes_closed: how far the eyelids are down, 0..1.
        light: (h, w) float32, logarithm of the change of brightness; None: none changes.
        openings: lips and lids where landmarks move the whole face.
    """

    displacement: np.ndarray
    change: np.ndarray | None
    opening: float = 0.0
    missing: float = 0.0
    eyes_closed: float = 0.0
    light: np.ndarray | None = None
    openings: Sequence[tuple[Slit, Opening]] = ()


class _MouthAndEyes(NamedTuple):
    """What the landmarks of a face move in a picture."""

    mouth: Mouth
    eyes: list[Eye]

    @classmethod
    def of(cls, face: Face, to_picture: np.ndarray, picture: RGBImage) -> _MouthAndEyes:
        return cls(Mouth(face, to_picture, picture), eyes_of(face, to_picture))


class Stage:
    """A picture, the part of it that moves, and a coarse grid of points over that part.

    Made by :func:`crop_stage` and :func:`picture_stage`.

    Args:
        picture: (H, W, 3) uint8, everything that may become visible.
        frame: (left, top, width, height), the part that is shown.
        to_crop: (2, 3), pixels of ``picture`` -> grid units of the target's crop.
        cells: points of the coarse grid along a side of the crop.
        features: mouth and eyes in ``picture``; None: they move with the displacement alone.
        landmarks: makes the layer of landmarks that corrects the displacement; None: nothing does.

    Attributes:
        points: (h, w, 2) float32: the coarse grid in grid units of the target's crop.
    """

    def __init__(
        self,
        picture: RGBImage,
        frame: tuple[int, int, int, int],
        to_crop: np.ndarray,
        *,
        cells: int,
        features: _MouthAndEyes | None,
        landmarks: Callable[[Grid], LandmarkLayer] | None = None,
    ) -> None:
        self._picture = picture
        self._features = features
        left, top, width, height = frame
        self._still = np.ascontiguousarray(picture[top : top + height, left : left + width])
        linear = to_crop[:, :2]
        self._to_pixels = np.linalg.inv(linear)
        limits = BY_FLOW if landmarks is None else IN_PICTURE
        self._room = math.exp(limits.growth) * _REACH * min(_RADII) + limits.shift
        x0, y0, x1, y1 = _moving_part(frame, to_crop, limits)
        self._part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        self._cell = 2 / cells / np.sqrt(abs(np.linalg.det(linear)))
        columns, rows = (max(2, round(n / self._cell)) for n in (x1 - x0, y1 - y0))
        # Cells as cv2.resize has them: pixel centers are at integers in both grids.
        xs = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - 0.5
        ys = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - 0.5
        pixels = np.stack(np.meshgrid(xs, ys), axis=-1)
        self.points = (pixels @ linear.T + to_crop[:, 2]).astype(np.float32)
        self._pixels = pixels
        self._body = Body(pixels, to_crop, (_CENTER, _RADII), len(picture) - 1)
        self._points = self.points[..., 0] + np.complex64(1j) * self.points[..., 1]
        factors = np.array([columns / (x1 - x0), rows / (y1 - y0)])
        shift = (0.5 - np.array([x0, y0])) * factors - 0.5
        self._to_cells = np.column_stack([np.diag(factors), shift])
        self._xs = np.arange(x0, x1, dtype=np.float32)
        self._ys = np.arange(y0, y1, dtype=np.float32)[:, None]
        self._origin = x0, y0
        grid = Grid(pixels, self._to_cells, to_crop, (x0, y0, x1, y1))
        self._layer = None if landmarks is None else landmarks(grid)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        return self._still.shape[1], self._still.shape[0]

    @property
    def still(self) -> RGBImage:
        """The frame in which nothing has moved yet, (H, W, 3) uint8."""
        return self._still

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the frame outside of which nothing moves."""
        return self._part

    def prepare(
        self,
        fields: Fields,
        *,
        opening: float = 0.0,
        eyes_closed: float = 0.0,
        request: LandmarkRequest | None = None,
    ) -> Drawing:
        """Let the motion end around the head, and keep the picture from being torn.

        Args:
            fields: how the picture has to change at :attr:`points`.
            opening: how much further the lips are to part than in the photograph, in distances
                between the eyes; without features it has no effect.
            eyes_closed: how far the eyelids are to be down, 0..1; without features it has no
                effect.
            request: what the layer of landmarks is to do.
        """
        inside = fields.inside if request is None else self._inside(request.head)
        x, y = ((inside[i] - _CENTER[i]) / _RADII[i] for i in range(2))
        radius = np.hypot(x, y)
        reach = _REACH if request is None else self._reach(request.head)
        moving = 1 - smoothstep(radius, _HEAD, reach)[..., None].astype(np.float32)
        pixels = fields.displacement.transpose(1, 2, 0) @ self._to_pixels.T.astype(np.float32)
        change = None
        if fields.change is not None:
            changing = 1 - smoothstep(radius, _FACE, _HAIR)[..., None].astype(np.float32)
            change = fields.change.transpose(1, 2, 0) * changing
        if self._layer is not None and request is not None:
            smooth, places = self._layer.change(request, pixels)
            loose = smoothstep(radius, _FIRM, _LOOSE) * smoothstep(y, _CROWN, _EARS)
            loose = moving * loose[..., None].astype(np.float32)
            pixels = smooth.displacement * moving + smooth.lag * loose
            pixels[..., 1] += (1 - moving[..., 0]) * self._body.rise(request.head, request.lag)
            pixels = unfolded(pixels, self._cell)
            openings = self._layer.openings(request, places, pixels)
            light = smooth.light * moving[..., 0]
            return Drawing(pixels, change, light=light, openings=openings)
        pixels = unfolded(pixels * moving, self._cell)
        if self._features is None:
            return Drawing(pixels, change)
        wanted = opening * self._features.mouth.unit
        missing = self._features.mouth.missing(wanted, pixels, self._to_cells)
        return Drawing(pixels, change, wanted, missing, eyes_closed)

    def _inside(self, head: PlaneMotion) -> np.ndarray:
        """(2, h, w): where the grid lies in the photograph if it moves as the whole head does."""
        turn, shift = head.inverse()
        at = np.complex64(turn) * self._points + np.complex64(shift)
        return np.stack((at.real, at.imag))

    def _reach(self, head: PlaneMotion) -> float:
        """Where the motion of a head ends: a head that goes far takes more along with it."""
        far, size = abs(head.shift), abs(head.turn)
        within_part = (self._room - far) / (size * max(_RADII))
        return min(within_part, max(_REACH, _HEAD + _REACH_PER_SHIFT * far / size))

    def draw(self, drawing: Drawing) -> RGBImage:
        """The frame, (H, W, 3) uint8."""
        size = (len(self._xs), len(self._ys))
        flow = cv2.resize(drawing.displacement, size, interpolation=cv2.INTER_CUBIC)
        xs, ys = self._xs + flow[..., 0], self._ys + flow[..., 1]
        shading = [] if self._features is None else self._move(self._features, drawing, xs, ys)
        layers = draw_openings(drawing.openings, xs, ys, self._picture, self._origin)
        warped = cv2.remap(self._picture, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for layer in layers:
            blend(warped, *layer)
        if drawing.light is not None:
            gain = cv2.exp(cv2.resize(drawing.light, size, interpolation=cv2.INTER_CUBIC))
            warped = cv2.multiply(warped, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
        if drawing.change is not None:
            change = cv2.resize(drawing.change, size, interpolation=cv2.INTER_CUBIC)
            warped = cv2.add(warped, change, dtype=cv2.CV_8U)
        for part, dark, color in shading:
            lit = warped[part].astype(np.float32)
            warped[part] = lit + dark[..., None] * (color - lit)
        frame = self._still.copy()
        frame[self._part] = warped
        return frame

    def _move(
        self, features: _MouthAndEyes, drawing: Drawing, xs: np.ndarray, ys: np.ndarray
    ) -> list[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
        """Close the eyes and open the mouth: change in place where colors are taken from.

        Args:
            features: in the picture.
            drawing: says how far.
            xs: (H, W) float32, pixels of the picture.
            ys: the same.

        Returns:
            The parts that show the inside of the mouth: rows and columns, how much of each pixel
            (h, w), and its color (3,).
        """
        for eye in features.eyes if drawing.eyes_closed else ():
            if (part := self._around(drawing, eye.reach())) is not None:
                xs[part], ys[part] = eye.close(xs[part], ys[part], drawing.eyes_closed)
        mouth = features.mouth
        part = self._around(drawing, mouth.reach()) if drawing.opening else None
        if part is None:
            return []
        xs[part], ys[part], dark = mouth.open(xs[part], ys[part], drawing.opening, drawing.missing)
        return [(part, dark, mouth.inside)]

    def _around(
        self, drawing: Drawing, reach: tuple[float, float, float, float]
    ) -> tuple[slice, slice] | None:
        """Rows and columns that look at a part of the picture; None if none do."""
        x0, y0, x1, y1 = reach
        x, y = np.moveaxis(self._pixels + drawing.displacement, -1, 0)
        # A cell more on each side: the part may be smaller than one.
        near = (x >= x0 - self._cell) & (x <= x1 + self._cell)
        near &= (y >= y0 - self._cell) & (y <= y1 + self._cell)
        if not near.any():
            return None
        rows, columns = (
            self._pixel_range(near.any(axis=axis), length)
            for axis, length in ((1, len(self._ys)), (0, len(self._xs)))
        )
        return rows, columns

    @staticmethod
    def _pixel_range(near: np.ndarray, length: int) -> slice:
        """Cells -> the pixels that they and their neighbors lie on."""
        cells = np.flatnonzero(near)
        step = length / len(near)
        return slice(
            max(0, int((cells[0] - 1) * step)), min(length, int(np.ceil((cells[-1] + 2) * step)))
        )


def crop_stage(
    image: RGBImage,
    alignment: Alignment,
    size: int,
    *,
    cells: int,
    face: Face | None = None,
    landmarks: Callable[[Grid], LandmarkLayer] | None = None,
) -> Stage:
    """The stage that shows the aligned crop. What moves into it comes from the photograph.

    Args:
        image: (H, W, 3) uint8 RGB, the photograph.
        alignment: from the photograph to the networks' crop.
        size: side of the frames in pixels.
        cells: points of the coarse grid along a side of the crop.
        face: the face in the photograph, whose mouth is opened and whose eyes are closed; None: the
            displacement alone moves them.
        landmarks: as for :class:`Stage`.
    """
    margin = size // 4
    placed = alignment.scaled(size)
    wide = placed.widened(margin)
    picture = wide.crop(image)
    to_crop = np.array([[1.0, 0, -margin], [0, 1.0, -margin]])
    return Stage(
        picture,
        (margin, margin, size, size),
        _grid_units(to_crop, placed, alignment),
        cells=cells,
        features=None if face is None else _MouthAndEyes.of(face, wide.matrix, picture),
        landmarks=landmarks,
    )


def picture_stage(
    image: RGBImage,
    alignment: Alignment,
    *,
    cells: int,
    face: Face | None = None,
    landmarks: Callable[[Grid], LandmarkLayer] | None = None,
) -> Stage:
    """The stage that shows the whole photograph; arguments as for :func:`crop_stage`."""
    height, width = image.shape[:2]
    return Stage(
        image,
        (0, 0, width, height),
        _units(alignment.matrix, alignment.size),
        cells=cells,
        features=None if face is None else _MouthAndEyes.of(face, np.eye(2, 3), image),
        landmarks=landmarks,
    )


def _grid_units(to_crop: np.ndarray, placed: Alignment, alignment: Alignment) -> np.ndarray:
    """From pixels of a larger crop to grid units of the networks' crop."""
    factor = alignment.size / placed.size
    matrix = to_crop * factor
    matrix[:, 2] += (factor - 1) / 2
    return _units(matrix, alignment.size)


def _units(to_pixels: np.ndarray, side: int) -> np.ndarray:
    """(2, 3) into pixels of a crop of that side -> (2, 3) into its grid units."""
    matrix = to_pixels * (2 / (side - 1))
    matrix[:, 2] -= 1
    return matrix


def _moving_part(
    frame: tuple[int, int, int, int], to_crop: np.ndarray, limits: Limits
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the part of the frame that can move, in picture pixels."""
    left, top, width, height = frame
    inverse = np.linalg.inv(to_crop[:, :2])
    radii = np.exp(limits.growth) * _REACH * np.array(_RADII) + limits.shift
    center = inverse @ (np.array(_CENTER) - to_crop[:, 2])
    reach = np.sqrt(((inverse * radii) ** 2).sum(1))
    low = np.clip(np.floor(center - reach), (left, top), (left + width - 2, top + height - 2))
    high = np.clip(np.ceil(center + reach), low + 2, (left + width, top + height))
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    return int(x0), int(y0), int(x1), int(y1)
