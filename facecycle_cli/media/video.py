"""Videos in: the frames one at a time, each with its place in time.

No frame is ever repeated. Where a video pauses, the numbers of its frames have a gap, and the frame
before stays on the screen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Final, NamedTuple

import numpy as np

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg, matroska
from facecycle_cli.media.video_filters import MILLISECOND, filter_chain, has_zscale, needs_mapping
from facecycle_cli.media.video_info import VideoInfo, probe
from facecycle_cli.types import RGBImage

__all__ = ["Frame", "FrameReader", "VideoInfo", "images_of", "probe", "read_frames"]

_LONG_GAP: Final = 10.0
"""Seconds without a frame after which the gap is mentioned."""
_EARLIER: Final = (0.0, 10.0, 60.0)
"""Seconds before the wanted start at which decoding begins; if that is too late: from the begin."""
_CROWDED: Final = 2
"""By so many frames a frame may be late to have a place of its own."""
_LONGEST_DELAY: Final = 0.5
"""Seconds by which encoders may delay the first frame."""

# Containers without an index: a seek ends anywhere, and the next key frame may be far.
_WITHOUT_INDEX: Final = frozenset("mpegts mpeg mpegvideo h264 hevc m4v mjpeg obu vc1".split())
# Recorders and broadcasters splice them: a jump in their times is no pause.
_SPLICED: Final = frozenset(("mpegts", "mpeg"))


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        number: from 0, in units of the frame rate. It jumps where the video pauses.
        time: in the video, seconds.
        image: RGB, uint8 (H, W, 3).
    """

    number: int
    time: float
    image: RGBImage


@dataclass(frozen=True)
class _Wanted:
    """Which frames of a video to read, and at what size: see :func:`read_frames`."""

    path: str | os.PathLike[str]
    info: VideoInfo
    fps: Fraction
    reduced: bool
    start: float
    duration: float | None
    max_frames: int | None
    size: tuple[int, int]
    threads: int | None

    def seeks(self) -> list[float | None]:
        """Where to begin to decode, best first; None: without a seek."""
        if not self.start:
            return [None]
        earlier = _EARLIER[1:] if self.info.container in _WITHOUT_INDEX else _EARLIER
        return [self.start - e for e in earlier if self.start > e] + [None]

    def _frames(self, filters: str) -> tuple[str, ...]:
        """The part of the command line that chooses the frames."""
        track, alpha = f"0:V:{self.info.video_track}", self.info.alpha_track
        if alpha is None:
            return ("-map", track, "-vf", filters)
        return ("-filter_complex", f"[{track}][0:V:{alpha}]alphamerge,{filters}")

    def decode(self, seek: float | None) -> ffmpeg.Process:
        """Start ffmpeg."""
        begin = self.start - (seek or 0.0) if self.start else None
        filters = filter_chain(
            self.info, self.size, begin=begin, fps=self.fps if self.reduced else None
        )
        with ffmpeg.InputFile(self.path) as file:
            # Times count from the seek, and ffmpeg mends jumps in them: not with -copyts.
            arguments = [
                *(() if self.threads is None else ("-threads", str(self.threads))),
                *(() if seek is None else ("-noaccurate_seek", "-ss", str(seek))),
                *file.options,
                *self._frames(filters),
                *matroska.RAW_OUTPUT,
            ]
            return ffmpeg.Process(arguments, descriptors=file.descriptors)


def _leader(path: str | os.PathLike[str], info: VideoInfo) -> float:
    """The time of the first frame, in seconds.

    Encoders that reorder frames delay them, and the first one has a time above zero. What comes
    later than that follows a part of sound alone, which counts as a part of the video.
    """
    with FrameReader(_Wanted(path, info, info.fps, False, 0.0, None, 1, (16, 16), 1)) as reader:
        time = next(reader).time
    return time if time < _LONGEST_DELAY else 0.0


class FrameReader(Iterator[Frame]):
    """Iterator over the frames of a video, with one frame in memory at a time.

    ffmpeg runs only while the reader is open. It is stopped after the last frame, by
    :meth:`close`, at the end of a ``with`` block, and when the reader is garbage collected.

    Attributes:
        info: what the video is like.
        size: (width, height) of the frames, in pixels.
        fps: frames per second.
        warning: after the last frame, what was damaged or is missing; None: nothing. Damage in the
            middle of a file does not raise: every frame that can be decoded comes.

    Raises:
        MediaError: while iterating, if no frame can be read.
    """

    def __init__(self, wanted: _Wanted) -> None:
        self.info = wanted.info
        self.size = wanted.size
        self.fps = wanted.fps
        self.warning: str | None = None
        self._wanted = wanted
        self._seeks = wanted.seeks()
        self._seek: float | None = None
        self._process: ffmpeg.Process | None = None
        self._cluster = [0]
        self._count = 0
        self._last = -1
        self._first_time = 0.0
        self._shift = 0.0  # of times, after the splices so far
        self._notes: list[str] = []
        self._ended = False
        self._decode()  # a missing ffmpeg or file is an error of the call, not of the iteration

    def __next__(self) -> Frame:
        while not self._ended:
            width, height = self.size
            image = np.empty((height, width, 3), np.uint8)
            time = self._read(image)
            if time is None:
                self._finish()
                break
            frame = self._place(time, image)
            if frame is not None:
                return frame
        raise StopIteration

    def _decode(self) -> None:
        self._seek = self._seeks.pop(0)
        self._cluster = [0]
        self._process = self._wanted.decode(self._seek)

    def _read(self, image: RGBImage) -> float | None:
        """The next frame's pixels into ``image``, and its time in seconds; None at the end."""
        while True:
            assert self._process is not None
            milliseconds = matroska.read_frame(
                self._process.read_into, image.data.cast("B"), self._cluster
            )
            time = None if milliseconds is None else milliseconds / 1000 + (self._seek or 0.0)
            if self._count or self._seek is None or not self._is_late(time):
                return time
            self._process.stop()
            self._decode()

    def _is_late(self, time: float | None) -> bool:
        """Whether frames are missing between the wanted start and the first frame."""
        return time is None or time > self._wanted.start + 1.5 / float(self.info.fps)

    def _place(self, time: float, image: RGBImage) -> Frame | None:
        """The frame with its number; None: it has no place of its own, or it is beyond the end."""
        assert self._process is not None
        fps = float(self.fps)
        if not self._count:
            self._first_time = time
            if self._seek is not None:
                self._process.forget_messages()  # of what the seek cut in two
        elapsed = time - self._first_time + self._shift
        expected = (self._last + 1) / fps
        jump = elapsed - expected
        if self._count and (jump < -1 or (jump > _LONG_GAP and self._is_spliced)):
            self._shift -= jump
            elapsed = expected
            self._note("a jump in its times", abs(jump), "left out", expected)
        elif jump > _LONG_GAP:
            self._note("a gap", jump, "held as one frame", expected)
        number = self._number(elapsed)
        duration, most = self._wanted.duration, self._wanted.max_frames
        is_beyond = duration is not None and elapsed >= duration - MILLISECOND / 2
        if is_beyond or (most is not None and self._count >= most):
            self._finish(stopped=True)
            return None
        if number <= self._last:
            return None
        self._last = number
        self._count += 1
        return Frame(number, self._first_time + float(number / self.fps), image)

    def _number(self, elapsed: float) -> int:
        """The number of a frame that comes so many seconds after the first."""
        fps = float(self.fps)
        if self._wanted.reduced:
            return max(int((elapsed + MILLISECOND) * fps), self._last + 1)
        number = round(elapsed * fps)
        # Old containers time some frames only; ffmpeg gives those between one and the same time.
        crowded = 0 <= self._last - number < _CROWDED
        return self._last + 1 if crowded else number

    @property
    def _is_spliced(self) -> bool:
        return self.info.container in _SPLICED

    def _note(self, what: str, seconds: float, became: str, at: float) -> None:
        if len(self._notes) < 3:
            self._notes.append(f"{what} of {_clock(seconds)} at {_clock(at)} is {became}")

    def _finish(self, *, stopped: bool = False) -> None:
        self._ended = True
        assert self._process is not None
        if stopped:
            self._process.stop()
            code, messages = 0, ""
        else:
            code, messages = self._process.wait()
            if self.info.audio_codec:  # its decoder is asked what the sound is like
                messages = ffmpeg.without_component(messages, self.info.audio_codec)
        if not self._count:
            why = f" ({ffmpeg.failure_reason(messages)})" if messages.strip() else ""
            raise MediaError(f"no frames there{why}")
        if code != 0 or messages.strip():
            self._notes.append(f"damaged video ({ffmpeg.failure_reason(messages)})")
        if needs_mapping(self.info) and not has_zscale():
            self._notes.append("its HDR colors look gray: this ffmpeg has no zscale")
        self.warning = "; ".join(self._notes) or None

    def close(self) -> None:
        """Stop ffmpeg. No frame comes after that."""
        self._ended = True
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


def _clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def read_frames(
    path: str | os.PathLike[str],
    *,
    fps: Fraction | float | None = None,
    start: float = 0.0,
    duration: float | None = None,
    max_frames: int | None = None,
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    info: VideoInfo | None = None,
) -> FrameReader:
    """Open the video at ``path`` and decode it.

    Frames come upright, with square pixels, deinterlaced, and in the colors of a screen (HDR is
    tone-mapped, BT.2020 converted to BT.709). Each stands on the grid of the frame rate; of several
    for the same place the first is kept.

    Args:
        path: of the video.
        fps: the most frames per second; None: the video's own rate, exactly.
        start: of the part to read, seconds from the first frame. The first frame that comes is the
            first one at or after that time.
        duration: of the part to read, seconds; None: to the end.
        max_frames: the most frames to read; None: all.
        size: (width, height) in pixels to scale to while decoding; None: the video's own.
        threads: that ffmpeg may use; None: one for each core.
        info: what :func:`probe` said of this video, which saves asking again.

    Raises:
        MediaError: it is no video, or one that cannot be decoded.
        OSError: it cannot be opened.
    """
    info = info or probe(path)
    rate = info.fps if fps is None else Fraction(fps).limit_denominator(1_000_000)
    reduced = rate < info.fps or not info.names_rate
    start = start and start + _leader(path, info)
    wanted = _Wanted(
        path,
        info,
        min(rate, info.fps),
        reduced,
        start,
        duration,
        max_frames,
        size or (info.width, info.height),
        threads,
    )
    return FrameReader(wanted)


def images_of(frames: Iterable[Frame], places: deque[Frame]) -> Iterator[RGBImage]:
    """The pictures of ``frames``; each frame is appended to ``places`` without its picture."""
    nothing = np.empty((0, 0, 3), np.uint8)
    for frame in frames:
        places.append(frame._replace(image=nothing))
        yield frame.image
