"""Pixels of single crops: decoded when first needed, and kept in memory if there is room.

What cannot be read is remembered, and another picture takes its place.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.media.images import read_image
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import Pair, PairSampler

_PATIENCE = 100
"""Groups without any readable picture, one after the other, before the run gives up."""

_ROOM = 0.5
"""Share of the free memory that decoded crops may take."""

_UNREAD, _READ, _BROKEN = 0, 1, 2


class Views(NamedTuple):
    """Two views of one person.

    Attributes:
        first: (side, side, 3) uint8 RGB, not to be written to.
        second: the same of the second view.
        mirrored: whether the second view is still to be mirrored.
        crops: their numbers in the index.
        person: the group that both are of.
    """

    first: np.ndarray
    second: np.ndarray
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
        self._state = np.zeros(len(index) if keep else 0, np.uint8)

    @property
    def keeps(self) -> bool:
        """Whether decoded crops stay in memory."""
        return len(self._pixels) > 0

    def frame(self, crop: int) -> np.ndarray | None:
        """The pixels (side, side, 3), not to be written to; None if they cannot be read."""
        if self.keeps and self._state[crop] == _READ:
            return self._pixels[crop]
        if crop in self.broken:
            return None
        try:
            image = square(read_image(io.BytesIO(self.index.read(crop))), self.side)
        except (MediaError, OSError) as error:
            self._mark_broken(crop, error)
            return None
        if self.keeps:
            self._pixels[crop] = image
            self._state[crop] = _READ
        return image

    def _mark_broken(self, crop: int, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        with self._lock:
            if crop in self.broken:
                return
            self.broken[crop] = reason
            number = len(self.broken)
        if number <= 5:
            more = "; more will be counted only" if number == 5 else ""
            self._note(f"{self.index.path(crop)}: skipped, {reason}{more}")

    def pair(self, pair: Pair, sampler: PairSampler) -> Views:
        """Both views of a pair.

        In the place of a picture that cannot be read comes the next one of its group, in that of a
        whole group the next group: a function of the files alone, and so the same after a resume.

        Raises:
            DataError: nothing can be read any more.
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
            second, mirrored = first + 1, int(self.index.sizes[group]) < 2 or mirrored
        raise DataError(
            f"no readable picture in {_PATIENCE} folders, the last one being "
            f"{os.path.dirname(self.index.path(first))}"
        )

    def _from(
        self, crop: int, start: int, stop: int, *, taken: int
    ) -> tuple[int, np.ndarray] | None:
        """The first readable crop of a group, from ``crop`` on and around, but not ``taken``."""
        for step in range(stop - start):
            candidate = start + (crop - start + step) % (stop - start)
            if candidate == taken:
                continue
            image = self.frame(candidate)
            if image is not None:
                return candidate, image
        return None


def square(image: np.ndarray, side: int) -> np.ndarray:
    """The picture's middle square at (side, side, 3), without aliasing."""
    import cv2

    least = min(image.shape[:2])
    top, left = ((length - least) // 2 for length in image.shape[:2])
    image = image[top : top + least, left : left + least]
    if least == side:
        return np.ascontiguousarray(image)
    how = cv2.INTER_AREA if least > side else cv2.INTER_LINEAR
    return cv2.resize(image, (side, side), interpolation=how)


def fits_in_memory(crops: int, side: int, processes: int) -> bool:
    """Whether every process on this machine can keep all crops."""
    return crops * side * side * 3 * processes <= _ROOM * _free_memory()


def _free_memory() -> int:
    """Bytes; 0 on a system that does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0
