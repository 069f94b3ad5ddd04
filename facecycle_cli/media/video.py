"""Videos in: what a video is like, and its frames one at a time. Animated GIFs count as videos.

There is ffmpeg but no ffprobe. The size of an upright frame and the exact frame rate come from
ffmpeg's ``framecrc`` output, which has a fixed form. Only the duration, the rotation and the codecs
are read from the messages meant for people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Final, NamedTuple

import numpy as np

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg
from facecycle_cli.types import RGBImage

# Screen recorders write "1000 frames per second" where they mean "whenever something changed".
_MAX_FPS: Final = Fraction(300)
_DEFAULT_FPS: Final = Fraction(30)


@dataclass(frozen=True)
class VideoInfo:
    """A video as :func:`read_frames` gives it: upright, square pixels, a constant frame rate.

    Attributes:
        width, height: in pixels, after the rotation.
        fps: frames per second, exactly.
        duration: seconds; None: the container does not say.
        codec: of the frames, by ffmpeg's name.
        audio_codec: None: no sound.
        rotation: degrees, counter-clockwise, that the file asks players for.
    """

    width: int
    height: int
    fps: Fraction
    duration: float | None
    codec: str
    audio_codec: str | None
    rotation: int

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        return self.audio_codec is not None

    @property
    def expected_frames(self) -> int | None:
        """Number of frames, to within a few: containers do not count them. None: unknown."""
        return None if self.duration is None else max(1, round(self.duration * self.fps))


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        number: from 0.
        time: in the video, seconds.
        image: RGB, uint8 (H, W, 3).
    """

    number: int
    time: float
    image: RGBImage


# ffmpeg decodes text files into pictures of a terminal.
_TEXT_ART = re.compile(r"^Input #0, (tty|bin|xbin|adf|idf),", re.MULTILINE)
_DURATION = re.compile(r"^ +Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_STREAM = re.compile(r"^ +Stream #0:\d+\S*: (Video|Audio): (\w+)(.*)", re.MULTILINE)
_ROTATION = re.compile(r"rotation of (-?\d+(?:\.\d+)?) degrees")


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Find out what the video at ``path`` is like. Decodes one frame.

    Raises:
        MediaError: it is no video, or one that cannot be decoded.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:  # raises the system's own error for a missing file
        if not file.read(1):
            raise MediaError("empty file")
    done = ffmpeg.run(
        [*ffmpeg.input_options(path), "-map", "0:V:0", "-frames:v", "1", "-f", "framecrc", "-"]
    )
    if "matches no streams" in done.stderr:
        raise MediaError("no video in this file")
    if "unspecified pixel format" in done.stderr:  # ffmpeg had none to look at
        raise MediaError("a video without a frame that can be decoded")
    if done.returncode != 0:
        raise MediaError(f"not a readable video ({ffmpeg.failure_reason(done.stderr)})")
    if _TEXT_ART.search(done.stderr):
        raise MediaError("not a video but text")
    header, first_frame = _parse_framecrc(done.stdout)
    if not first_frame or "dimensions" not in header:
        raise MediaError("a video without frames")
    description = done.stderr.partition("Stream mapping:")[0]
    width, height = (int(n) for n in header["dimensions"].split("x"))
    aspect = Fraction(header.get("sar", "1/1").replace("0/1", "1/1"))
    rate = 1 / Fraction(header["tb"])
    streams = [match for match in _STREAM.finditer(description) if "attached pic" not in match[3]]
    rotation = _ROTATION.search(description)
    return VideoInfo(
        width=max(1, round(width * aspect)),
        height=height,
        fps=rate if rate <= _MAX_FPS else _DEFAULT_FPS,
        duration=_duration(description),
        codec=next((match[2] for match in streams if match[1] == "Video"), "unknown"),
        audio_codec=next((match[2] for match in streams if match[1] == "Audio"), None),
        rotation=round(float(rotation[1])) if rotation else 0,
    )


def _parse_framecrc(text: str) -> tuple[dict[str, str], bool]:
    """The ``#tb 0: 1/25`` lines as a dictionary, and whether a frame follows them."""
    header: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            return header, True
        key, _, value = line[1:].partition(" 0: ")
        header[key] = value.strip()
    return header, False


def _duration(text: str) -> float | None:
    match = _DURATION.search(text)
    if match is None:
        return None
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])


class FrameReader(Iterator[Frame]):
    """Iterator over the frames of a video, with one frame in memory at a time.

    ffmpeg runs only while the reader is open. It is stopped after the last frame, by
    :meth:`close`, at the end of a ``with`` block, and when the reader is garbage collected.

    Attributes:
        info: what the video is like.
        size: (width, height) of the frames, in pixels.
        fps: frames per second.
        warning: after the last frame, what was damaged; None: nothing. Damage in the middle of a
            file does not raise: every frame that can be decoded comes.

    Raises:
        MediaError: while iterating, if no frame can be read.
    """

    def __init__(
        self,
        info: VideoInfo,
        process: ffmpeg.Process,
        *,
        size: tuple[int, int],
        fps: Fraction,
        start: float,
    ) -> None:
        self.info = info
        self.size = size
        self.fps = fps
        self.warning: str | None = None
        self._start = start
        self._next = 0
        self._process = process

    def __next__(self) -> Frame:
        if self._next < 0:
            raise StopIteration
        width, height = self.size
        image = np.empty((height, width, 3), np.uint8)
        pixels = image.data.cast("B")
        if self._process.read_into(pixels) == len(pixels):
            frame = Frame(self._next, self._start + float(self._next / self.fps), image)
            self._next += 1
            return frame
        frames, self._next = self._next, -1
        code, messages = self._process.wait()
        if frames == 0:
            why = f" ({ffmpeg.failure_reason(messages)})" if messages.strip() else ""
            raise MediaError(f"no frames there{why}")
        if code != 0 or messages.strip():
            self.warning = f"damaged video ({ffmpeg.failure_reason(messages)})"
        raise StopIteration

    def close(self) -> None:
        """Stop ffmpeg. No frame comes after that."""
        self._next = -1
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
        self.close()


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
    """Open the video at ``path`` and decode it at a constant frame rate.

    Frames are dropped or repeated to reach the rate, also where the video's own rate varies, so
    that ``time`` agrees with the sound.

    Args:
        path: of the video.
        fps: frames per second; None: the video's own, exactly.
        start: of the part to read, seconds.
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
    width, height = size or (info.width, info.height)
    # The fps filter comes first: frames that are dropped need not be scaled. Rounding up gives the
    # frame that is on the screen at each time.
    filters = [f"fps={rate}:round=up"] if rate < info.fps else []
    filters.append(f"scale={width}:{height}:flags=area,setsar=1")
    arguments = [
        *_pair("-threads", threads),
        *_pair("-ss", start or None),
        *_pair("-t", duration),
        *ffmpeg.input_options(path),
        *("-map", "0:V:0", "-vf", ",".join(filters)),
        *("-fps_mode", "cfr", "-r", str(rate)),
        *_pair("-frames:v", max_frames),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    ]
    process = ffmpeg.Process(arguments)
    return FrameReader(info, process, size=(width, height), fps=rate, start=start)


def _pair(option: str, value: float | None) -> list[str]:
    return [] if value is None else [option, str(value)]
