"""From a video file to another: the part that is read, and frames with its times and sound."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from facecycle_cli.media.files import IMAGE_SUFFIXES, suffix_of
from facecycle_cli.media.images import is_still
from facecycle_cli.media.provenance import Provenance
from facecycle_cli.media.streams import is_pipe
from facecycle_cli.media.video import Frame, FrameReader, VideoInfo, probe, read_frames
from facecycle_cli.media.video_writer import open_video
from facecycle_cli.system import LOCK_FILE, locked_folder
from facecycle_cli.types import RGBImage

__all__ = [
    "STREAM",
    "Clip",
    "Part",
    "Silent",
    "is_frame_folder",
    "is_video",
    "local_file",
    "output_exists",
    "write_frames",
]

STREAM: Final = "-"
"""The name of standard input and of standard output."""

_MOVING_SUFFIXES: Final = frozenset((".apng", ".gif", ".png", ".webp"))
"""Of pictures that may be animations."""


@dataclass(frozen=True)
class Part:
    """Which part of a video is used.

    Attributes:
        start: where to begin, in seconds.
        duration: how much to use, in seconds; None: all.
        max_frames: how many frames at most; None: all.
    """

    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None

    def seconds(self, fps: Fraction) -> float | None:
        """How much is wanted; None: all to the end."""
        limits = [] if self.duration is None else [self.duration]
        limits += [] if self.max_frames is None else [float(self.max_frames / fps)]
        return min(limits, default=None)


@dataclass(frozen=True)
class Clip:
    """A part of a video file.

    Attributes:
        path: of the file.
        info: what :func:`.probe` said of it.
        part: which part.
    """

    path: str
    info: VideoInfo
    part: Part

    @classmethod
    def of(cls, path: str, part: Part) -> Clip:
        """A part of the video at ``path``.

        Raises:
            MediaError: it is no video.
            OSError: it cannot be opened.
        """
        return cls(path, probe(path), part)

    @property
    def frames(self) -> int | None:
        """About how many there are; None: that is unknown."""
        wanted = self.part.seconds(self.info.fps)
        there = self.info.duration
        there = None if there is None else max(0.0, there - self.part.start)
        lengths = [length for length in (wanted, there) if length is not None]
        return round(min(lengths) * self.info.fps) if lengths else None

    def read(self, size: tuple[int, int] | None = None) -> FrameReader:
        """Its frames, of ``size`` (width, height) pixels.

        Raises:
            MediaError: it cannot be decoded.
        """
        part = self.part
        return read_frames(
            self.path,
            start=part.start,
            duration=part.duration,
            max_frames=part.max_frames,
            size=size,
            info=self.info,
        )


@dataclass(frozen=True)
class Silent:
    """In the place of a clip: frames without a file, and so without sound.

    Attributes:
        fps: frames per second.
    """

    fps: Fraction


def write_frames(
    frames: Iterator[RGBImage],
    places: deque[Frame],
    output: str,
    clip: Clip | Silent,
    *,
    provenance: Provenance,
    advance: Callable[[], None] = lambda: None,
    opening: AbstractContextManager[None] | None = None,
) -> str | None:
    """Write frames at the times of a clip's own, with its sound.

    Args:
        frames: at least one; all of one size.
        places: the clip's frames that were read so far, see :func:`.images_of`; one is taken for
            each frame that is written.
        output: a file, a folder for the frames, or ``-``.
        clip: the source.
        provenance: the note that the output carries.
        advance: called after each frame.
        opening: a context in which the output is opened.

    Returns:
        What a user should know about the result; None: nothing.

    Raises:
        MediaError: the output cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    first = next(frames)
    with ExitStack() as stack:
        with opening or nullcontext():
            if is_frame_folder(output):
                stack.enter_context(locked_folder(output))
            size = first.shape[1], first.shape[0]
            if isinstance(clip, Silent):
                opened = open_video(output, clip.fps, size, provenance=provenance)
            else:
                opened = open_video(
                    output,
                    clip.info.fps,
                    size,
                    provenance=provenance,
                    audio_from=clip.path,
                    audio_info=clip.info,
                    start=places[0].time,
                    duration=clip.part.seconds(clip.info.fps),
                )
        with opened as writer:
            writer.write(first, places.popleft().number)
            for frame in frames:
                advance()
                writer.write(frame, places.popleft().number)
        if os.path.isdir(output):
            _remove_older_frames(output, writer.frames)
    return writer.note


def is_video(path: str) -> bool:
    """Whether a file is a video, or a picture that moves. What cannot be opened is none.

    A file whose suffix is that of a photograph is not opened.
    """
    suffix = suffix_of(path)
    if suffix in IMAGE_SUFFIXES and suffix not in _MOVING_SUFFIXES:
        return False
    try:
        return not is_still(path)
    except OSError:
        return False  # whoever reads it says what is wrong


@contextmanager
def local_file(name: str) -> Iterator[str]:
    """A file of that name; a pipe is copied, because videos are not read in order."""
    if name != STREAM and not is_pipe(name):
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="facecycle-") as folder, ExitStack() as stack:
        path = os.path.join(folder, "stdin")
        stream = sys.stdin.buffer if name == STREAM else stack.enter_context(open(name, "rb"))
        with open(path, "wb") as file:
            shutil.copyfileobj(stream, file)
        yield path


def is_frame_folder(output: str) -> bool:
    """Whether a video that is written there becomes a folder of frames."""
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    return output != STREAM and (is_folder or not Path(output).suffix)


def output_exists(output: str) -> bool:
    """Whether there is such a file, or such a folder with something in it.

    A run that was killed leaves its lock in the folder: its frames are not complete.
    """
    if not os.path.isdir(output):
        return os.path.isfile(output)
    names = os.listdir(output)
    return bool(names) and LOCK_FILE not in names


def _remove_older_frames(folder: str, frames: int) -> None:
    """Remove what an earlier, longer result has left in a folder of frames."""
    for path in Path(folder).glob("[0-9]" * 6 + ".png"):
        if int(path.stem) >= frames:
            path.unlink()
