"""The picture in which the target performs: warped and drawn at its own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.portrait.features import Eye, Mouth, eyes_of, smoothstep
from facecycle_cli.translate.folds import unfolded

__all__ = ["Drawing", "Stage", "crop_stage", "picture_stage"]

_CENTER = (0.0, 0.05)
_RADII = (0.68, 0.85)
"""The ellipse of a head in its aligned crop, in grid units."""

_HEAD, _REACH = 1.05, 1.9
"""In radii of that ellipse: up to here all moves with the head, and beyond here nothing moves.
What lies between is stretched: there is no seam, and nothing has to be uncovered."""

_FACE, _HAIR = 0.9, 1.15
"""In the same radii: up to here, and beyond here no more, colors change."""


@dataclass(frozen=True)
class Drawing:
    """One frame, before it is drawn: where each part of the picture comes from.

    Attributes:
        displacement: (h, w, 2) float32, in pixels.
        change: (h, w, 3) float32, in gray levels.
        opening: how much further the lips part than in the photograph, in half widths of the mouth.
        missing: how much of that is not in ``displacement``.
        closed: how far the eyelids are down, 0..1.
    """

    displacement: np.ndarray
    change: np.ndarray
    opening: float = 0.0
    missing: float = 0.0
    closed: float = 0.0


class Stage:
    """A picture, the part of it that moves, and a coarse grid of points over that part.

    Args:
        picture: (H, W, 3) uint8, all that may come to be seen.
        frame: (left, top, width, height), the part that is shown.
        to_crop: (2, 3), pixels of ``picture`` -> grid units of the target's crop.
        cells: points of the coarse grid along a side of the crop.
        mouth: in ``picture``; without it the mouth moves as the displacement has it.
        eyes: in ``picture``; without them the eyelids do.

    Attributes:
        points: (h, w, 2) float32: the coarse grid in grid units of the target's crop.
    """

    def __init__(
        self,
        picture: np.ndarray,
        frame: tuple[int, int, int, int],
        to_crop: np.ndarray,
        *,
        cells: int,
        mouth: Mouth | None = None,
        eyes: Sequence[Eye] = (),
    ) -> None:
        self._picture = picture
        self._mouth = mouth
        self._eyes = eyes
        left, top, width, height = frame
        self._still = np.ascontiguousarray(picture[top : top + height, left : left + width])
        linear = to_crop[:, :2]
        self._to_pixels = np.linalg.inv(linear)
        x0, y0, x1, y1 = _moving_part(frame, to_crop)
        self._part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        self._cell = 2 / cells / np.sqrt(abs(np.linalg.det(linear)))
        columns, rows = (max(2, round(n / self._cell)) for n in (x1 - x0, y1 - y0))
        # Cells as cv2.resize has them: pixel centers are at integers in both grids.
        xs = x0 + (np.arange(columns) + 0.5) * (x1 - x0) / columns - 0.5
        ys = y0 + (np.arange(rows) + 0.5) * (y1 - y0) / rows - 0.5
        pixels = np.stack(np.meshgrid(xs, ys), axis=-1)
        self.points = (pixels @ linear.T + to_crop[:, 2]).astype(np.float32)
        self._pixels = pixels
        factors = np.array([columns / (x1 - x0), rows / (y1 - y0)])
        shift = (0.5 - np.array([x0, y0])) * factors - 0.5
        self._to_cells = np.column_stack([np.diag(factors), shift])
        self._xs = np.arange(x0, x1, dtype=np.float32)
        self._ys = np.arange(y0, y1, dtype=np.float32)[:, None]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        return self._still.shape[1], self._still.shape[0]

    @property
    def still(self) -> np.ndarray:
        """The frame in which nothing has moved yet, (H, W, 3) uint8."""
        return self._still

    def prepare(
        self,
        displacement: np.ndarray,
        change: np.ndarray,
        inside: np.ndarray,
        opening: float = 0.0,
        closed: float = 0.0,
    ) -> Drawing:
        """Let the motion end around the head, and the picture not be torn.

        Args:
            displacement: (2, h, w) at ``points``, in grid units of the crop.
            change: (3, h, w), in gray levels.
            inside: (2, h, w), the points in the moved crop.
            opening: how much further the lips are to part than in the photograph, in distances
                between the eyes; of no consequence without a mouth.
            closed: how far the eyelids are to be down, 0..1; of no consequence without eyes.
        """
        x, y = ((inside[i] - _CENTER[i]) / _RADII[i] for i in range(2))
        radius = np.hypot(x, y)
        moving = 1 - smoothstep(radius, _HEAD, _REACH)[..., None].astype(np.float32)
        changing = 1 - smoothstep(radius, _FACE, _HAIR)[..., None].astype(np.float32)
        pixels = displacement.transpose(1, 2, 0) @ self._to_pixels.T.astype(np.float32)
        pixels = unfolded(pixels * moving, self._cell)
        change = change.transpose(1, 2, 0) * changing
        if self._mouth is None:
            return Drawing(pixels, change, closed=closed)
        wanted = opening * self._mouth.unit
        missing = self._mouth.missing(wanted, pixels, self._to_cells)
        return Drawing(pixels, change, wanted, missing, closed)

    def draw(self, drawing: Drawing) -> np.ndarray:
        """The frame, (H, W, 3) uint8."""
        size = (len(self._xs), len(self._ys))
        flow = cv2.resize(drawing.displacement, size, interpolation=cv2.INTER_CUBIC)
        change = cv2.resize(drawing.change, size, interpolation=cv2.INTER_CUBIC)
        xs, ys = self._xs + flow[..., 0], self._ys + flow[..., 1]
        for eye in self._eyes if drawing.closed else ():
            if (part := self._around(drawing, eye.reach())) is not None:
                xs[part], ys[part] = eye.close(xs[part], ys[part], drawing.closed)
        around = self._around_mouth(drawing)
        if around is not None and self._mouth is not None:
            xs[around], ys[around], dark = self._mouth.open(
                xs[around], ys[around], drawing.opening, drawing.missing
            )
        warped = cv2.remap(self._picture, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        drawn = cv2.add(warped, change, dtype=cv2.CV_8U)
        if around is not None and self._mouth is not None:
            lit = drawn[around].astype(np.float32)
            drawn[around] = lit + dark[..., None] * (self._mouth.inside - lit)
        frame = self._still.copy()
        frame[self._part] = drawn
        return frame

    def _around_mouth(self, drawing: Drawing) -> tuple[slice, slice] | None:
        """Rows and columns of the moving part that the mouth's opening changes."""
        if self._mouth is None or not drawing.opening:
            return None
        return self._around(drawing, self._mouth.reach())

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
    image: np.ndarray, alignment: Alignment, size: int, *, cells: int, face: Face | None = None
) -> Stage:
    """The stage that shows the aligned crop, ``size`` pixels wide; what enters it from beyond its
    borders comes from the photograph. The mouth of ``face`` can be opened, and its eyes closed.
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
        mouth=None if face is None else Mouth(face, wide.matrix, picture),
        eyes=() if face is None else eyes_of(face, wide.matrix),
    )


def picture_stage(
    image: np.ndarray, alignment: Alignment, *, cells: int, face: Face | None = None
) -> Stage:
    """The stage that shows the whole photograph; ``face`` as :func:`crop_stage` has it."""
    height, width = image.shape[:2]
    return Stage(
        image,
        (0, 0, width, height),
        _units(alignment.matrix, alignment.size),
        cells=cells,
        mouth=None if face is None else Mouth(face, np.eye(2, 3), image),
        eyes=() if face is None else eyes_of(face, np.eye(2, 3)),
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
    frame: tuple[int, int, int, int], to_crop: np.ndarray
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the part of the frame that can move, in picture pixels."""
    left, top, width, height = frame
    inverse = np.linalg.inv(to_crop[:, :2])
    # The reach of a head that has grown and moved as far as it may.
    radii = 1.35 * _REACH * np.array(_RADII) + 0.35
    center = inverse @ (np.array(_CENTER) - to_crop[:, 2])
    reach = np.sqrt(((inverse * radii) ** 2).sum(1))
    low = np.clip(np.floor(center - reach), (left, top), (left + width - 2, top + height - 2))
    high = np.clip(np.ceil(center + reach), low + 2, (left + width, top + height))
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    return int(x0), int(y0), int(x1), int(y1)
