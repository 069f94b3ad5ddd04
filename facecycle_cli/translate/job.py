"""What translate is asked to do: the names of its files, and what fits together."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from facecycle_cli.errors import MediaError, OutputError, SettingsError
from facecycle_cli.media import IMAGE_FORMATS, VIDEO_FORMATS, is_still, probe, read_image
from facecycle_cli.media.clips import STREAM, Part
from facecycle_cli.media.streams import is_pipe
from facecycle_cli.translate.settings import MOTION_SUFFIX, TranslateSettings
from facecycle_cli.types import MotionMode, RGBImage

__all__ = ["TranslateJob", "check_motion_files", "is_motion_file", "name_output", "read_target"]

_ARCHIVE = b"PK\x03\x04"
"""What an .npz begins with, whatever its name; no video does."""


@dataclass(frozen=True)
class TranslateJob:
    """What to translate, and where to write it.

    Attributes:
        source: file whose motion is taken: a picture, a video, or a motion that was saved
            (``.npz``); ``-`` for standard input.
        target: file of the picture whose face takes it on; ``-`` for standard input.
        output: file, folder, or ``-`` for standard output; None: ``<source>_<target>`` beside the
            source, or standard output where the source is standard input.
        motion: None: ``relative`` for a video; that of a picture is always ``absolute``.
        settings: what the translation should be like; ``motion`` above takes the place of its own.
        start: where to begin in the source, in seconds.
        duration: how much of it to use, in seconds; None: all.
        max_frames: how many of its frames at most; None: all.
        overwrite: replace an output that exists.
        measure: measure how well the motion arrived.
        save_motion: an ``.npz`` for the motion of the source; None: it is not kept.
        second_process: draw long videos in a second process, see :class:`.Translation`.
    """

    source: str
    target: str
    output: str | None = None
    motion: MotionMode | None = None
    settings: TranslateSettings = field(default_factory=TranslateSettings)
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None
    overwrite: bool = False
    measure: bool = False
    save_motion: str | None = None
    second_process: bool = False

    @property
    def part(self) -> Part:
        """Of the source."""
        return Part(self.start, self.duration, self.max_frames)


def is_motion_file(path: str) -> bool:
    """Whether a file is a motion that was saved, or may be: an archive, or named as one.

    Raises:
        OSError: it cannot be opened.
    """
    if Path(path).suffix.lower() == MOTION_SUFFIX:
        return True
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def check_motion_files(job: TranslateJob, *, is_motion: bool) -> None:
    """Check what has to do with motions as files.

    Args:
        job: what to do.
        is_motion: whether the source is such a file.

    Raises:
        SettingsError: options that a motion does not have, or another suffix.
        OutputError: the motion cannot be written.
    """
    saved = job.save_motion
    if saved is not None and Path(saved).suffix.lower() != MOTION_SUFFIX:
        raise SettingsError(f"--save-motion {saved}: a motion is written as {MOTION_SUFFIX}")
    if saved is not None and not is_motion:
        _check_writable(saved)
    if not is_motion:
        return
    if saved is not None:
        raise SettingsError("--save-motion: SRC is a motion already")
    if job.settings.side_by_side:
        raise SettingsError("--side-by-side: a motion has no picture of SRC")
    if job.settings.face != "largest":
        raise SettingsError("--face: a motion is that of one face")


def _check_writable(name: str) -> None:
    """Raises OutputError: no file can be made there; a video would be lost work."""
    folder = Path(name).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"--save-motion {name}: {error.strerror}") from error


def name_output(job: TranslateJob, still: bool) -> str:
    """The file, folder or ``-`` for the result.

    Raises:
        SettingsError: results of that kind are not written to such a file.
    """
    output = job.output
    if output is None:
        output = STREAM if job.source == STREAM else _default_output(job, still)
    if output == STREAM:
        return output
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    if is_folder and still:
        return os.path.join(output, os.path.basename(_default_output(job, still)))
    suffix = Path(output).suffix.lower()
    formats, kind = (IMAGE_FORMATS, "a picture") if still else (VIDEO_FORMATS, "a video")
    # A video without a suffix is a folder of frames.
    if not is_folder and suffix not in formats and (suffix or still):
        raise SettingsError(f"-o {output}: SRC is {kind}; it is written as {', '.join(formats)}")
    return output


def _default_output(job: TranslateJob, still: bool) -> str:
    stems = ["stdin" if name == STREAM else Path(name).stem for name in (job.source, job.target)]
    name = "_".join(stems) + (".png" if still else ".mp4")
    nowhere = job.source == STREAM or is_pipe(job.source)  # beside a pipe there is no room
    return name if nowhere else str(Path(job.source).with_name(name))


def read_target(name: str) -> RGBImage:
    """The target's picture.

    Raises:
        MediaError: it is none.
        OSError: it cannot be opened.
    """
    if name == STREAM:
        return read_image(sys.stdin.buffer)
    if is_still(name):
        return read_image(name)
    try:
        probe(name)
    except MediaError:
        return read_image(name)  # its error says best what is wrong with the file
    raise MediaError("a video; the target has to be a picture")
