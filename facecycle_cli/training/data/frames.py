"""Pixels of single crops: decoded when first needed, and kept in memory if there is room.

A picture that cannot be read is remembered, and another one is used instead.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import psutil

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.media.images import read_image
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from facecycle_cli.types import RGBImage

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
        """Both views of a pair.

        The next picture of the group replaces one that cannot be read, and the next group replaces
        a group without readable pictures. This depends on the files alone, and so a resumed run
        does the same.

        Raises:
            DataError: too many groups in a row cannot be read.
        """
        group, first, second, mirrored = pair
        for _ in range(_PATIENCE):
            start, stop = map(int, self.index.starts[group : group + 2])
            readable = self._from(first, start, stop, taken=-1)
            if readable is not None:
                first, image = readable
                if not mirrored:
                    other = self._from(second, start, stop, taken=first)
                    if other is not None:
                        return Views(image, other[1], False, (first, other[0]), group)
                return Views(image, image, True, (first, first), group)
            group = sampler.next_group(group)
            first = int(self.index.starts[group])
            second = first + 1
            mirrored = mirrored or int(self.index.sizes[group]) < 2
        raise DataError(
            f"no readable picture in {_PATIENCE} folders; the last of them is "
            f"{os.path.dirname(self.index.path(first))}"
        )

    def _from(self, crop: int, start: int, stop: int, *, taken: int) -> tuple[int, RGBImage] | None:
        """The first readable crop of a group from ``crop`` on and around, but not ``taken``."""
        for step in range(stop - start):
            candidate = start + (crop - start + step) % (stop - start)
            if candidate == taken:
                continue
            image = self.frame(candidate)
            if image is not None:
                return candidate, image
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
