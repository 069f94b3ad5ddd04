"""Strips: a few frames of a clip beside what was made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facecycle_cli.media.reports import SheetCell, contact_sheet
from facecycle_cli.types import RGBImage

__all__ = ["COLUMNS", "Strip", "StripFrame"]

COLUMNS = 6
"""Frames that a strip shows."""

_KEPT = 8 * COLUMNS
"""Frames in memory at most; from that many on, every other one is dropped."""

_OPENING = 96
"""Frames of the opening, which a page plays: about four seconds."""


@dataclass(frozen=True)
class StripFrame:
    """One column of a strip.

    Attributes:
        time: of the frame in its clip, in seconds.
        rows: what is shown below each other, by name; uint8 (S, S, 3), all of one size.
    """

    time: float
    rows: Mapping[str, RGBImage]


class Strip:
    """Evenly spaced frames of a clip whose length nobody knows; few of them are in memory.

    Attributes:
        opening: the first frames, without gaps, up to 96.
    """

    def __init__(self) -> None:
        self.opening: list[StripFrame] = []
        self._frames: list[StripFrame] = []
        self._step = 1
        self._seen = 0

    @property
    def wants_next(self) -> bool:
        """Whether the next frame may be shown; if not, :meth:`skip` it."""
        return self._is_spaced or len(self.opening) < _OPENING

    def skip(self) -> None:
        """Count a frame that is not shown."""
        self._seen += 1

    def add(self, frame: StripFrame) -> None:
        """Add the next frame."""
        is_spaced = self._is_spaced
        self._seen += 1
        if len(self.opening) < _OPENING:
            self.opening.append(frame)
        if not is_spaced:
            return
        self._frames.append(frame)
        if len(self._frames) >= _KEPT:
            self._frames = self._frames[::2]
            self._step *= 2

    @property
    def _is_spaced(self) -> bool:
        return self._seen % self._step == 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no frame to show."""
        return not self._frames

    def chosen(self) -> list[StripFrame]:
        """Up to six evenly spaced frames, the first and the last among them."""
        count = min(COLUMNS, len(self._frames))
        places = np.linspace(0, len(self._frames) - 1, count).round().astype(int)
        return [self._frames[i] for i in places]

    def sheet(self) -> RGBImage:
        """The strip as one picture: a column for each frame, a row for each name.

        Raises:
            ValueError: it has no frame.
        """
        frames = self.chosen()
        if not frames:
            raise ValueError("a strip needs at least one frame")
        cells = [
            SheetCell([frame.rows[name]], [f"{name.replace('_', ' ')}, {frame.time:.2f} s"])
            for name in frames[0].rows
            for frame in frames
        ]
        return contact_sheet(cells, columns=len(frames))
