"""Pixels of single crops: decoded when first needed, and kept in memory if there is room.

A picture that cannot be read is remembered, and another one is used instead.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import psutil

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.media.images import read_image
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from facecycle_cli.types import RGBImage

_Found = TypeVar("_Found")
"""What is found of a crop: its pixels, or only that it can be read."""

_PATIENCE = 100
"""The run ends after so many groups in a row without any readable picture."""

_ROOM = 0.5
"""Share of the free memory that decoded crops may take."""

_NAMED = 5
"""So many pictures that cannot be read are named; the rest is counted only."""


class Views(NamedTuple):
    """The pixels of two views of one person.

    Attributes:
        first: (side, side, 3) uint8 RGB, not to be written to.
        second: the same of the second view.
        mirrored: whether the second view is still to be mirrored.
        crops: their numbers in the index.
        person: number of the group that both are from.
    """

    first: RGBImage
    second: RGBImage
    mirrored: bool
    crops: tuple[int, int]
    person: int


class FrameStore:
    """The crops' pixels.

    Args:
        index: where they are.
        side: pictures come out as (side, side, 3) uint8 RGB.
        keep: whether decoded crops stay in memory.
        note: is told of the first pictures that cannot be read.
    """

    def __init__(
        self,
        index: CropIndex,
        side: int,
        *,
        keep: bool,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.index = index
        self.side = side
        self.broken: dict[int, str] = {}
        self._note = note
        self._lock = threading.Lock()
        # Untouched pages of zeros take no memory until they are written.
        self._pixels = np.zeros((len(index) if keep else 0, side, side, 3), np.uint8)
        self._known = np.zeros(len(index) if keep else 0, np.bool_)

    @property
    def keeps(self) -> bool:
        """Whether decoded crops stay in memory."""
        return len(self._pixels) > 0

    def frame(self, crop: int) -> RGBImage | None:
        """The pixels (side, side, 3), not to be written to; None if they cannot be read."""
        if self.keeps and self._known[crop]:
            pixels: RGBImage = self._pixels[crop]
            return pixels
        if crop in self.broken:
            return None
        try:
            image = middle_square(read_image(io.BytesIO(self.index.read(crop))), self.side)
        except (MediaError, OSError) as error:
            self._remember_broken(crop, error)
            return None
        if self.keeps:
            self._pixels[crop] = image
            self._known[crop] = True
        return image

    def _remember_broken(self, crop: int, error: MediaError | OSError) -> None:
        cause = (isinstance(error, OSError) and error.strerror) or str(error)
        with self._lock:
            if crop in self.broken:
                return
            self.broken[crop] = cause
            number = len(self.broken)
        if number <= _NAMED:
            more = "; more will be counted only" if number == _NAMED else ""
            self._note(f"{self.index.path(crop)}: skipped, {cause}{more}")

    def views(self, pair: ViewPair, sampler: PairSampler) -> Views:
        """Both views of a pair, or those that replace them, see :func:`readable_views`.

        Raises:
            DataError: too many groups in a row cannot be read.
        """
        return Views(*readable_views(pair, sampler, self.frame))


def readable_views(
    pair: ViewPair, sampler: PairSampler, find: Callable[[int], _Found | None]
) -> tuple[_Found, _Found, bool, tuple[int, int], int]:
    """The views of a pair that can be read.

    The next picture of the group replaces one that cannot be read, and the next group replaces
    a group without readable pictures. This depends on the files alone, and so a resumed run
    does the same.

    Args:
        pair: as it was drawn.
        sampler: drew it, and knows the groups.
        find: what is wanted of the crop with a number; None if it cannot be read.

    Returns:
        What was found of the first and of the second view, whether the second view is still to be
        mirrored, the numbers of both crops, and the group that they are from.

    Raises:
        DataError: too many groups in a row cannot be read.
    """
    index = sampler.index
    group, first, second, mirrored = pair
    for _ in range(_PATIENCE):
        crops = range(int(index.starts[group]), int(index.starts[group + 1]))
        readable = _first_from(first, crops, -1, find)
        if readable is not None:
            first, found = readable
            if not mirrored:
                other = _first_from(second, crops, first, find)
                if other is not None:
                    return found, other[1], False, (first, other[0]), group
            return found, found, True, (first, first), group
        group = sampler.next_group(group)
        first = int(index.starts[group])
        second = first + 1
        mirrored = mirrored or int(index.sizes[group]) < 2
    raise DataError(
        f"no readable picture in {_PATIENCE} folders; the last of them is "
        f"{os.path.dirname(index.path(first))}"
    )


def _first_from(
    crop: int, crops: range, taken: int, find: Callable[[int], _Found | None]
) -> tuple[int, _Found] | None:
    """The first readable crop of a group from ``crop`` on and around, but not ``taken``."""
    for step in range(len(crops)):
        candidate = crops.start + (crop - crops.start + step) % len(crops)
        if candidate == taken:
            continue
        found = find(candidate)
        if found is not None:
            return candidate, found
    return None


def middle_square(image: RGBImage, side: int) -> RGBImage:
    """The largest square in the middle of a picture, at (side, side, 3) without aliasing."""
    least = min(image.shape[:2])
    top, left = ((length - least) // 2 for length in image.shape[:2])
    image = image[top : top + least, left : left + least]
    if least == side:
        return np.ascontiguousarray(image)
    how = cv2.INTER_AREA if least > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), np.uint8)


def fits_in_memory(crops: int, side: int, processes: int) -> bool:
    """Whether every one of the ``processes`` on this machine can keep all crops."""
    available: int = psutil.virtual_memory().available
    return crops * side * side * 3 * processes <= _ROOM * available
