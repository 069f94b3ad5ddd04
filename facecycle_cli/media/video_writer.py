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
from facecycle_cli.media import ffmpeg
from facecycle_cli.media.images import write_image
from facecycle_cli.media.provenance import Provenance, add_gif_comment
from facecycle_cli.media.video import probe
from facecycle_cli.system import PendingFile
from facecycle_cli.types import RGBImage


class _Container(NamedTuple):
    """How ffmpeg writes a kind of file.

    Attributes:
        muxer: ffmpeg's name of the container.
        video, audio: options of the encoders.
        copied: audio codecs that are copied as they are; None: any.
    """

    muxer: str
    video: tuple[str, ...]
    audio: tuple[str, ...]
    copied: frozenset[str] | None


# bt709 both in the pixels and in the file's tags. Without tags, players guess by the frame size.
_YUV = (
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"),
    *("-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
_H264 = (*_YUV, "-c:v", "libx264", "-preset", "fast", "-crf", "17")
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_MP4 = _Container(
    "mp4", (*_H264, "-movflags", "+faststart"), ("-c:a", "aac", "-b:a", "160k"), _MP4_AUDIO
)
_MATROSKA = _Container("matroska", _H264, ("-c:a", "aac", "-b:a", "160k"), None)
_CONTAINERS: Final = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4._replace(muxer="mov"),
    ".mkv": _MATROSKA,
    ".webm": _Container(
        "webm",
        (*_YUV, "-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-row-mt", "1", "-cpu-used", "4"),
        ("-c:a", "libopus", "-b:a", "128k"),
        frozenset({"opus", "vorbis"}),
    ),
    # A palette for each frame, in one pass. One palette for all frames, and imageio's GIF writer,
    # would hold all frames in memory.
    ".gif": _Container(
        "gif",
        (
            "-vf",
            "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1",
        ),
        (),
        frozenset(),
    ),
}
VIDEO_FORMATS: Final = tuple(_CONTAINERS)
"""Suffixes of the videos that can be written."""


class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Writes frames of one size.

    As a context manager it finishes the video, or removes it if the block raises.

    Attributes:
        frames: how many were written.
    """

    frames: int = 0

    @abstractmethod
    def write(self, frame: RGBImage) -> None:
        """Append ``frame``, RGB uint8 (H, W, 3).

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
        audio_from: a video whose sound is taken, if it has any. It is copied, and encoded again
            only if the container cannot hold it.
        start: of the sound to take, seconds.
        duration: of the sound to take, seconds; None: to the end.

    Raises:
        MediaError: an unknown suffix.
        OSError: the target cannot be written.
    """
    name = os.fspath(target)
    suffix = Path(name).suffix.lower()
    if name != "-" and (name.endswith(("/", os.sep)) or os.path.isdir(name) or not suffix):
        return _FolderWriter(Path(name), size, provenance)
    if name != "-" and suffix not in _CONTAINERS:
        raise MediaError(
            f"cannot write {suffix} videos; use {', '.join(VIDEO_FORMATS)} or a folder"
        )
    container = _MATROSKA if name == "-" else _CONTAINERS[suffix]
    audio = _audio_options(container, audio_from, start, duration)
    return _ContainerWriter(name, container, fps, size, provenance, audio)


def _audio_options(
    container: _Container,
    audio_from: str | os.PathLike[str] | None,
    start: float,
    duration: float | None,
) -> tuple[list[str], list[str]]:
    """Ffmpeg options for the second input and for the output."""
    if audio_from is None or not container.audio:
        return [], []
    codec = probe(audio_from).audio_codec
    if codec is None:
        return [], []
    part = [*(("-ss", str(start)) if start else ())]
    part += [*(("-t", str(duration)) if duration is not None else ())]
    copied = container.copied is None or codec in container.copied
    encoding = ("-c:a", "copy") if copied else container.audio
    return [*part, *ffmpeg.input_options(audio_from)], ["-map", "1:a:0", *encoding]


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
        audio: tuple[list[str], list[str]],
    ) -> None:
        self._size = size
        self._is_gif = container.muxer == "gif"
        self._padding = (0, 0) if self._is_gif else (size[1] % 2, size[0] % 2)
        self._comment = provenance.to_json() if provenance else None
        self._file = None if name == "-" else PendingFile(name)
        audio_input, audio_output = audio
        width, height = size[0] + self._padding[1], size[1] + self._padding[0]
        arguments = [
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)),
            *("-i", "pipe:0", *audio_input, "-map", "0:v:0", *audio_output, *container.video),
            # Without the source's own tags, which may say where it was filmed; and without dates,
            # so that the same frames give the same bytes.
            *("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"),
            *("-flags:v", "+bitexact", "-flags:a", "+bitexact"),
            *(("-metadata", f"comment={self._comment}") if self._comment else ()),
            *("-y", "-f", container.muxer),
            "pipe:1" if self._file is None else ffmpeg.url(self._file.path),
        ]
        sys.stdout.flush()
        try:
            if self._file is not None:
                self._file.path.touch()  # raises the system's own error if it cannot be written
                weakref.finalize(self, self._file.discard)
            self._process = ffmpeg.Process(arguments, feed=True, to_our_stdout=self._file is None)
            weakref.finalize(self, self._process.stop)
        except BaseException:
            self._discard()
            raise

    def write(self, frame: RGBImage) -> None:
        _check(frame, self._size)
        if any(self._padding):
            frame = np.pad(frame, ((0, self._padding[0]), (0, self._padding[1]), (0, 0)), "edge")
        try:
            self._process.write(np.ascontiguousarray(frame).data.cast("B"))
        except BrokenPipeError:
            _, messages = self._process.wait()
            raise self._failure(messages) from None
        self.frames += 1

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
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self._process.stop()
        self._discard()

    def _discard(self) -> None:
        if self._file is not None:
            self._file.discard()

    def _failure(self, messages: str) -> Exception:
        if self._file is None and "Broken pipe" in messages:
            return BrokenPipeError(errno.EPIPE, "standard output was closed")
        return MediaError(f"the video could not be written ({ffmpeg.failure_reason(messages)})")


class _FolderWriter(VideoWriter):
    """Writes frames as ``000000.png``, ``000001.png``, ..."""

    def __init__(self, folder: Path, size: tuple[int, int], provenance: Provenance | None) -> None:
        self._folder = folder
        self._size = size
        self._provenance = provenance
        self._is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:06d}.png"

    def write(self, frame: RGBImage) -> None:
        _check(frame, self._size)
        write_image(frame, self._path(self.frames), provenance=self._provenance)
        self.frames += 1

    def close(self) -> None:
        if not self.frames:
            self.abort()
            raise MediaError("no frames to write")

    def abort(self) -> None:
        for index in range(self.frames):
            self._path(index).unlink(missing_ok=True)
        if self._is_new:
            with suppress(OSError):  # other files are in it
                self._folder.rmdir()
