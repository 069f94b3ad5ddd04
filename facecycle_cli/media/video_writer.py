"""Videos out: MP4, WebM, Matroska, GIF, a folder of frames, or Matroska on standard output."""

from __future__ import annotations

import errno
import os
import sys
import weakref
from abc import abstractmethod
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import numpy as np

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg, matroska
from facecycle_cli.media.audio import (
    MATROSKA_SOUND,
    MOV_SOUND,
    MP4_SOUND,
    WEBM_SOUND,
    Sound,
    SoundFormat,
    extract_sound,
)
from facecycle_cli.media.images import encode_image
from facecycle_cli.media.provenance import Provenance, add_gif_comment
from facecycle_cli.media.video_info import VideoInfo
from facecycle_cli.system import PendingFile, atomic_path
from facecycle_cli.types import RGBImage


class _Container(NamedTuple):
    """How ffmpeg writes a kind of file.

    Attributes:
        muxer: ffmpeg's name of the container.
        filters: for the frames.
        video: options of the encoder.
        sound: what sound it holds; None: none.
        max_fps: frames per second that players can show.
    """

    muxer: str
    filters: str
    video: tuple[str, ...]
    sound: SoundFormat | None
    max_fps: int | None = None


# bt709 both in the pixels and in the file's tags. Without tags, players guess by the frame size.
_TO_YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"
_YUV = (
    *("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
_H264 = (*_YUV, "-c:v", "libx264", "-preset", "fast", "-crf", "17")
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-row-mt", "1", "-cpu-used", "4")
_MP4 = _Container("mp4", _TO_YUV, (*_H264, "-movflags", "+faststart"), MP4_SOUND)
_MATROSKA = _Container("matroska", _TO_YUV, _H264, MATROSKA_SOUND)
# A palette for each frame, in one pass. One palette for all frames, and imageio's GIF writer, would
# hold all frames in memory.
_PALETTE = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
_CONTAINERS: Final = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4._replace(muxer="mov", sound=MOV_SOUND),
    ".mkv": _MATROSKA,
    ".webm": _Container("webm", _TO_YUV, (*_YUV, *_VP9), WEBM_SOUND),
    # Browsers show a frame that is to be shorter than two hundredths of a second for ten.
    ".gif": _Container("gif", _PALETTE, (), None, max_fps=50),
}
VIDEO_FORMATS: Final = tuple(_CONTAINERS)
"""Suffixes of the videos that can be written."""


_LONGEST_FILLED: Final = 10
"""Seconds of the longest gap that a folder of frames fills with the frame before."""


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes frames of one size.

    As a context manager it finishes the video, or removes it if the block raises.

    Attributes:
        frames: how many were given.
        note: what a user should know about the result; None: nothing.
    """

    frames: int = 0
    note: str | None = None

    @abstractmethod
    def write(self, frame: RGBImage, number: int | None = None) -> None:
        """Append ``frame``, RGB uint8 (H, W, 3).

        Args:
            frame: as above.
            number: its place, in units of the frame rate; None: the one after the last. Over a gap
                in these the frame before stays on the screen.

        Raises:
            MediaError: its size is not that of the video, or the encoder failed.
            BrokenPipeError: standard output was closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the video, which now appears under its name.

        Raises:
            MediaError: no frame was written, or the encoder failed.
        """

    @abstractmethod
    def abort(self) -> None:
        """Remove what was written."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def open_video(
    target: str | os.PathLike[str],
    fps: Fraction,
    size: tuple[int, int],
    *,
    provenance: Provenance | None,
    audio_from: str | os.PathLike[str] | None = None,
    audio_info: VideoInfo | None = None,
    start: float = 0.0,
    duration: float | None = None,
) -> VideoWriter:
    """Open ``target`` for writing.

    Args:
        target: a file with one of the suffixes :data:`VIDEO_FORMATS`, ``-`` for Matroska on
            standard output, or a folder for one PNG per frame. A folder exists already, is named
            with a slash at its end, or has no suffix.
        fps: frames per second.
        size: (width, height) in pixels. Where the format needs even numbers, an odd size is padded
            by one line of repeated pixels.
        provenance: None only for videos that were not generated.
        audio_from: a video whose sound is taken, if it has any. It is copied, encoded again if the
            container cannot hold it, and left out with a note if it cannot be read.
        audio_info: what :func:`.probe` said of that video, which saves asking again.
        start: of the sound to take, seconds.
        duration: of the sound to take, seconds; None: to the end.

    Raises:
        MediaError: an unknown suffix.
        OSError: the target cannot be written.
    """
    name = os.fspath(target)
    suffix = Path(name).suffix.lower()
    if name != "-" and (name.endswith(("/", os.sep)) or os.path.isdir(name) or not suffix):
        return _FolderWriter(Path(name), size, fps, provenance)
    if name != "-" and suffix not in _CONTAINERS:
        raise MediaError(
            f"cannot write {suffix} videos; use {', '.join(VIDEO_FORMATS)} or a folder"
        )
    container = _MATROSKA if name == "-" else _CONTAINERS[suffix]
    sound, note = None, None
    if audio_from is not None and container.sound is not None:
        sound, note = extract_sound(
            audio_from, container.sound, start=start, duration=duration, info=audio_info
        )
    writer = _ContainerWriter(name, container, fps, size, provenance, sound)
    writer.note = note
    return writer


def _check(frame: RGBImage, size: tuple[int, int]) -> None:
    if frame.dtype != np.uint8 or frame.shape != (size[1], size[0], 3):
        raise MediaError(
            f"a frame of {frame.dtype} {frame.shape} in a video of {size[0]}x{size[1]} pixels"
        )


class _ContainerWriter(VideoWriter):
    """Writes frames through a pipe into ffmpeg."""

    def __init__(
        self,
        name: str,
        container: _Container,
        fps: Fraction,
        size: tuple[int, int],
        provenance: Provenance | None,
        sound: Sound | None,
    ) -> None:
        self._size = size
        self._is_gif = container.muxer == "gif"
        self._padding = (0, 0) if self._is_gif else (size[1] % 2, size[0] % 2)
        self._comment = provenance.to_json() if provenance else None
        # Every second, third, ... frame: an even rhythm.
        self._step = -(-fps // container.max_fps) if container.max_fps else 1
        self._fps = fps / self._step
        self._last = -1
        self._number = 0
        self._sound = sound
        self._file = None if name == "-" else PendingFile(name)
        width, height = size[0] + self._padding[1], size[1] + self._padding[0]
        self._header = matroska.stream_header(width, height, self._fps)
        target = "pipe:1" if self._file is None else ffmpeg.url(self._file.path)
        sys.stdout.flush()
        try:
            if self._file is not None:
                self._file.path.touch()  # raises the system's own error if it cannot be written
                weakref.finalize(self, self._file.discard)
            self._process = ffmpeg.Process(
                self._arguments(container, target), feed=True, to_our_stdout=self._file is None
            )
            weakref.finalize(self, self._process.stop)
        except BaseException:
            self._discard()
            raise

    def _arguments(self, container: _Container, target: str) -> list[str]:
        period = 1 / self._fps
        sound = self._sound.path if self._sound else None
        return [
            *matroska.RAW_INPUT,
            *(("-i", ffmpeg.url(sound)) if sound else ()),
            *("-map", "0:v:0", *(("-map", "1:a:0", "-c:a", "copy") if sound else ())),
            # The pipe counts milliseconds. Here each frame gets its exact time again.
            *("-vf", f"settb={period},{container.filters}"),
            *("-fps_mode", "passthrough", "-enc_time_base", str(period).replace("/", ":")),
            *container.video,
            # Without the source's own tags, which may say where it was filmed; and without dates,
            # so that the same frames give the same bytes.
            *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
            *("-flags:v", "+bitexact", "-flags:a", "+bitexact"),
            *(("-metadata", f"comment={self._comment}") if self._comment else ()),
            *("-y", "-f", container.muxer, target),
        ]

    def write(self, frame: RGBImage, number: int | None = None) -> None:
        _check(frame, self._size)
        self._number = self._number if number is None else max(number, self._number)
        place, self._number = self._number // self._step, self._number + 1
        self.frames += 1
        if place == self._last:
            return
        self._last = place
        if any(self._padding):
            frame = np.pad(frame, ((0, self._padding[0]), (0, self._padding[1]), (0, 0)), "edge")
        pixels = np.ascontiguousarray(frame).data.cast("B")
        header = matroska.frame_header(round(1000 * place / self._fps), len(pixels))
        try:
            self._process.write(memoryview(self._header + header))
            self._process.write(pixels)
        except BrokenPipeError:
            _, messages = self._process.wait()
            raise self._failure(messages) from None
        self._header = b""

    def close(self) -> None:
        try:
            if not self.frames:
                raise MediaError("no frames to write")
            code, messages = self._process.wait()
            if code != 0:
                raise self._failure(messages)
            if self._file is not None:
                if self._is_gif and self._comment and self._file.is_temporary:
                    add_gif_comment(self._file.path, self._comment)
                self._file.commit()
            if self._sound is not None:
                self._sound.close()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._process.stop()
        self._discard()

    def _discard(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._file is not None:
            self._file.discard()

    def _failure(self, messages: str) -> Exception:
        if self._file is None and "Broken pipe" in messages:
            return BrokenPipeError(errno.EPIPE, "standard output was closed")
        return MediaError(f"the video could not be written ({ffmpeg.failure_reason(messages)})")


class _FolderWriter(VideoWriter):
    """Writes frames as ``000000.png``, ``000001.png``, ...

    A short gap is filled with the frame before, so that a picture stands for each period.
    """

    def __init__(
        self, folder: Path, size: tuple[int, int], fps: Fraction, provenance: Provenance | None
    ) -> None:
        self._folder = folder
        self._size = size
        self._longest_filled = max(1, round(_LONGEST_FILLED * fps))
        self._provenance = provenance
        self._written = 0
        self._number = 0
        self._is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:06d}.png"

    def write(self, frame: RGBImage, number: int | None = None) -> None:
        _check(frame, self._size)
        number = self._number if number is None else number
        gap, self._number = number - self._number, number + 1
        if gap > self._longest_filled:
            self.note = "the frames of a folder have no times: a gap between them is lost"
        elif gap > 0 and self._written:
            before = self._path(self._written - 1).read_bytes()
            for _ in range(gap):
                self._write(before)
        self._write(encode_image(frame, provenance=self._provenance))
        self.frames += 1

    def _write(self, data: bytes) -> None:
        with atomic_path(self._path(self._written)) as path:
            path.write_bytes(data)
        self._written += 1

    def close(self) -> None:
        if not self.frames:
            self.abort()
            raise MediaError("no frames to write")

    def abort(self) -> None:
        for index in range(self._written):
            self._path(index).unlink(missing_ok=True)
        if self._is_new:
            with suppress(OSError):  # other files are in it
                self._folder.rmdir()
