"""Where the motion of a translated video comes from: a clip, or a motion that was saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.media import Frame
from facecycle_cli.media.clips import Clip, Part, Silent
from facecycle_cli.media.video import FrameReader, images_of
from facecycle_cli.translate.measurement import Measurement
from facecycle_cli.translate.template import MotionTemplate
from facecycle_cli.types import RGBImage

__all__ = ["Origin"]


@dataclass
class Origin:
    """Where the motion of a video comes from.

    Attributes:
        clip: whose times and sound the output has.
        fps: frames per second.
        frames: about how many there are; None: that is unknown.
        images: the frames; none if they were measured before.
        measured: what was measured in them before; None: nothing.
        places: the frames that were read and not yet written, without their pictures.
        numbers: of the frames that were read, as :class:`.Frame` has them.
        reader: of the clip; None: there is none.
    """

    clip: Clip | Silent
    fps: Fraction
    frames: int | None
    images: Iterator[RGBImage]
    measured: Iterator[Measurement | None] | None = None
    places: deque[Frame] = field(default_factory=deque)
    numbers: list[int] = field(default_factory=list)
    reader: FrameReader | None = None

    @classmethod
    def of_clip(cls, clip: Clip, reader: FrameReader) -> Origin:
        """The frames of a clip."""
        places, numbers = deque[Frame](), list[int]()
        images = images_of(_numbered(reader, numbers), places)
        fps = clip.info.fps
        return cls(clip, fps, clip.frames, images, places=places, numbers=numbers, reader=reader)

    @classmethod
    def of_template(cls, template: MotionTemplate, part: Part) -> Origin:
        """What was saved of a part of a clip.

        Raises:
            DataError: the file is damaged, or the part has no frames.
        """
        numbers, fps = template.numbers(), template.fps
        first = int(np.searchsorted(numbers, round(part.start * fps)))
        last = len(numbers)
        if part.duration is not None:
            end = round((part.start + part.duration) * fps)
            last = int(np.searchsorted(numbers, end))
        if part.max_frames is not None:
            last = min(last, first + part.max_frames)
        if first >= last:
            raise DataError("its motion has no frames in this part")
        nothing = np.empty((0, 0, 3), np.uint8)
        wanted = (numbers[first:last] - numbers[first]).tolist()
        places = deque(Frame(number, float(number / fps), nothing) for number in wanted)
        measured = template.measurements(first, last)
        return cls(Silent(fps), fps, last - first, iter(()), measured, places)

    @property
    def warning(self) -> str | None:
        """What is wrong with the clip, though it could be read."""
        return None if self.reader is None else self.reader.warning


def _numbered(frames: Iterable[Frame], numbers: list[int]) -> Iterator[Frame]:
    for frame in frames:
        numbers.append(frame.number)
        yield frame
