"""The parts of pictures, at the scales, that the face detector looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.faces.similarity import apply_affine, invert_affine, warp_antialiased
from facecycle_cli.types import RGBImage

__all__ = ["Look", "Tile", "View", "tiles"]

_MULTIPLE = 32  # the network's input sides are multiples of its coarsest stride
_OVERVIEW = 640  # longest side of the view of the whole picture
_ENLARGE = 2.0  # the most a small picture is enlarged
_TURNED = 100.0  # face size, in view pixels, below which turned heads get lost
_SMALLEST = 20.0  # face size, in view pixels, at which an upright face is still found reliably
_TILE = 1024
_OVERLAP = 160  # tiles share as much, so that every face up to this size is whole in one of them
_LEVEL = 4.0  # between two scales; _SMALLEST * _LEVEL < _OVERLAP, so that no size falls between


@dataclass(frozen=True)
class Tile:
    """An upright rectangle of picture ``index``, resized to width x height.

    Attributes:
        index: which picture.
        left, top, right, bottom: the rectangle in picture pixels.
        width, height: of the view, before padding.
    """

    index: int
    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) as the network takes it: padded below and to the right."""
        return _padded(self.height), _padded(self.width)

    def render(self, image: RGBImage) -> RGBImage:
        """What the network sees: RGB uint8 (height, width, 3), not padded yet."""
        part = image[self.top : self.bottom, self.left : self.right]
        if part.shape[:2] == (self.height, self.width):
            return part
        # Averaging takes several times longer, and is worth it only where pixels would be skipped.
        shrinking = self.width < 0.7 * part.shape[1]
        kernel = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        size = self.width, self.height
        return np.asarray(cv2.resize(part, size, interpolation=kernel), np.uint8)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """View pixels (..., 2) -> picture pixels; pixel centers are at integers in both."""
        width, height = self.right - self.left, self.bottom - self.top
        factor = np.array([width / self.width, height / self.height])
        seen: np.ndarray = (points + 0.5) * factor - 0.5 + (self.left, self.top)
        return seen


@dataclass(frozen=True)
class Look:
    """A square of picture ``index``, turned by ``angle``: a closer look at one doubtful face.

    Attributes:
        index: which picture.
        center: (x, y) in picture pixels.
        side: in picture pixels.
        angle: radians, clockwise as seen.
        width, height: of the view (equal).
    """

    index: int
    center: tuple[float, float]
    side: float
    angle: float
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) as the network takes it."""
        return self.height, self.width

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) float64: picture pixels -> view pixels."""
        scale = self.width / self.side
        c, s = scale * math.cos(self.angle), scale * math.sin(self.angle)
        linear = np.array([[c, s], [-s, c]])
        return np.column_stack([linear, (self.width - 1) / 2 - linear @ self.center])

    def render(self, image: RGBImage) -> RGBImage:
        """What the network sees: RGB uint8 (height, width, 3)."""
        return warp_antialiased(image, self.matrix, (self.width, self.height))

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """View pixels (..., 2) -> picture pixels."""
        return apply_affine(invert_affine(self.matrix), points)


View = Tile | Look


def tiles(index: int, height: int, width: int, min_face: int) -> Iterator[Tile]:
    """The views in which every upright face of at least ``min_face`` pixels is whole and large
    enough.

    One overview of the whole picture and, if its small faces get lost in that, tiles at finer
    scales.
    """
    enlarged = max(1.0, min(_ENLARGE, _TURNED / min_face))
    overview = min(enlarged, _OVERVIEW / max(height, width))
    yield Tile(index, 0, 0, width, height, _scaled(width, overview), _scaled(height, overview))
    scale = min(1.0, _SMALLEST / min_face)
    while scale > 1.05 * overview:
        side, overlap = math.ceil(_TILE / scale), math.ceil(_OVERLAP / scale)
        for top, bottom in _spans(height, side, overlap):
            for left, right in _spans(width, side, overlap):
                size = _scaled(right - left, scale), _scaled(bottom - top, scale)
                yield Tile(index, left, top, right, bottom, *size)
        scale /= _LEVEL


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """The fewest intervals of at most ``side`` that cover ``length``, all of one size.

    Neighbors share at least ``overlap``.
    """
    count = max(1, math.ceil((length - overlap) / (side - overlap)))
    side = math.ceil((length + (count - 1) * overlap) / count)
    starts = (i * (length - side) // max(1, count - 1) for i in range(count))
    return [(start, start + side) for start in starts]


def _padded(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _scaled(length: int, scale: float) -> int:
    return max(1, round(length * scale))
