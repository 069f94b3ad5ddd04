"""Where results go: beside the input, to a file, into a folder, or to standard output."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facecycle_cli.errors import OutputError, SettingsError
from facecycle_cli.system import refuse_dangling_links
from facecycle_cli.types import MediaKind

if TYPE_CHECKING:
    from facecycle_cli.media import Input, Provenance
    from facecycle_cli.types import RGBImage


_FIRST_FRAME = "000000.png"
"""In a folder for the frames of a video, not for results."""


class Skip(Exception):
    """There is nothing to do for an input; the message says why."""


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Check that ``path`` may be written.

    Raises:
        OutputError: It is a link that leads nowhere, or is below one.
        Skip: It is a file that exists, and ``overwrite`` is not given.
    """
    refuse_dangling_links(path)
    if path.is_file() and not overwrite:
        raise Skip(f"{path} exists (--overwrite to replace it)")


@dataclass(frozen=True)
class Destination:
    """Where the results of one input go.

    Attributes:
        path: The file; None is standard output.
        numbered: Whether there may be any number of results, with numbers in their names.
    """

    path: Path | None
    numbered: bool

    def paths(self, count: int = 1) -> list[Path]:
        """The files for ``count`` pictures: ``x_1.png``, ``x_2.png``, ... if numbered; none for
        standard output.
        """
        if self.path is None:
            return []
        if not self.numbered:
            return [self.path] * min(count, 1)
        numbers = range(1, count + 1)
        return [self.path.with_name(f"{self.path.stem}_{n}{self.path.suffix}") for n in numbers]

    def write(self, pictures: Sequence[RGBImage], provenance: Provenance) -> list[Path]:
        """Write pictures.

        Args:
            pictures: (H, W, 3) uint8 each; exactly one, unless this is numbered.
            provenance: The note that they carry.

        Returns:
            The files that were written.

        Raises:
            OutputError: They are not one, or cannot be written.
        """
        from facecycle_cli.media import write_image

        if len(pictures) != 1 and (self.path is None or not self.numbered):
            raise OutputError(f"{len(pictures)} pictures do not fit one output")
        if self.path is None:
            write_image(pictures[0], sys.stdout.buffer, provenance=provenance)
            sys.stdout.buffer.flush()
            return []
        paths = self.paths(len(pictures))
        for picture, path in zip(pictures, paths, strict=True):
            write_image(picture, path, provenance=provenance)
        return paths


class Outputs:
    """The names of all results of a command, from what ``-o`` says.

    Without ``-o`` a result lies beside its input as ``<stem><tag>.png``, that of a video as
    ``<stem><tag>.mp4``; that of standard input goes to standard output. ``-o -`` is standard
    output. ``-o`` is a folder if it ends in a slash, if it exists as one, or if there are several
    inputs (several arguments, a folder or a glob); it keeps the structure of the folders that are
    walked. Otherwise it is the file to write, in the format of its suffix; for a video, a name
    without a suffix is a folder for its frames. Inputs in one folder that differ in their suffix
    alone keep it in their results' names: ``IMG_1_jpg_frontal.png``.

    Args:
        target: The value of ``-o``; None if it is not given.
        inputs: The arguments of the command.
        tag: What is added to the names of inputs.
        overwrite: Whether existing files are replaced.
        numbered: Whether one input may have any number of results: ``<stem><tag>_1.png``, ...
        kinds: What the inputs may be.

    Attributes:
        to_stdout: Results go to standard output.

    Raises:
        typer.BadParameter: These cannot work together.
    """

    def __init__(
        self,
        target: str | None,
        inputs: Sequence[str],
        *,
        tag: str,
        overwrite: bool = False,
        numbered: bool = False,
        kinds: Sequence[MediaKind] = ("image",),
    ) -> None:
        self._tag = tag
        self._overwrite = overwrite
        self._numbered = numbered
        self._claimed: set[str] = set()
        several = len(inputs) != 1 or os.path.isdir(inputs[0]) or _is_glob(inputs[0])
        if target is None and list(inputs) == ["-"]:
            target = "-"
        self.to_stdout = target == "-"
        self._file: Path | None = None
        self._folder: Path | None = None
        if self.to_stdout:
            _check_stdout(several, numbered)
        elif target is not None:
            self._file, self._folder = _file_or_folder(target, several, kinds)

    def claim(self, item: Input) -> Destination:
        """Where the result of ``item`` goes.

        Raises:
            Skip: The result exists and may not be overwritten.
            OutputError: Another input of this command has the same output, or its place is a link
                that leads nowhere.
        """
        path = None if self.to_stdout else self._path(item, ".png")
        if self._file is not None and self._file.suffix.lower() not in _image_formats():
            raise SettingsError(_wrong_format(str(self._file), ["image"]))
        destination = Destination(path, self._numbered)
        for path in destination.paths():
            self._claim(path)
            refuse_existing(path, self._overwrite)
        return destination

    def _claim(self, path: Path) -> None:
        key = os.path.abspath(path)
        if key in self._claimed:
            raise OutputError(f"another input has the same output, {path}")
        self._claimed.add(key)
        refuse_dangling_links(path)

    def claim_video(self, item: Input) -> str:
        """Where the video made of ``item`` goes: a file, a folder for its frames, or ``-``.

        Raises:
            Skip, OutputError: As :meth:`claim`.
            SettingsError: The file that ``-o`` names is that of a picture.
        """
        from facecycle_cli.media import VIDEO_FORMATS
        from facecycle_cli.media.clips import output_exists

        if self.to_stdout:
            return "-"
        path = self._path(item, ".mp4")
        if path.suffix and path.suffix.lower() not in VIDEO_FORMATS:
            raise SettingsError(_wrong_format(str(path), ["video"]))
        self._claim(path)
        if not self._overwrite and output_exists(str(path)):
            raise Skip(f"{path} exists (--overwrite to replace it)")
        return str(path)

    @property
    def folder(self) -> Path | None:
        """The folder for all results that ``-o`` names; None if it names none."""
        return self._folder

    def _path(self, item: Input, suffix: str) -> Path:
        if self._file is not None:
            return self._file
        relative = Path("stdin" if item.is_stdin else item.relative)
        kind = relative.suffix.replace(".", "_") if item.shares_stem else ""
        name = f"{relative.stem}{kind}{self._tag}{suffix}"
        if self._folder is not None:
            return self._folder / relative.parent / name
        from facecycle_cli.media.streams import is_pipe

        nowhere = item.is_stdin or is_pipe(item.path)  # beside a pipe there is no room
        return Path(name) if nowhere else Path(item.path).with_name(name)


def _is_glob(pattern: str) -> bool:
    return glob.has_magic(pattern) and not os.path.lexists(pattern)


def _check_stdout(several: bool, numbered: bool) -> None:
    if several or numbered:
        raise typer.BadParameter("standard output takes one picture, of one input")
    if sys.stdout.isatty():
        raise typer.BadParameter("standard output is a terminal; use -o FILE or redirect it")


def _file_or_folder(
    target: str, several: bool, kinds: Sequence[MediaKind]
) -> tuple[Path | None, Path | None]:
    from facecycle_cli.media import VIDEO_FORMATS

    path = Path(target)
    has_frames = tuple(kinds) == ("video",) and (path / _FIRST_FRAME).is_file()
    if target.endswith(("/", os.sep)) or (path.is_dir() and not has_frames):
        return None, path
    formats = [*(_image_formats() if "image" in kinds else ())]
    formats += [*(VIDEO_FORMATS if "video" in kinds else ())]
    known = path.suffix.lower() in formats
    if several:
        if known or path.is_file():
            raise typer.BadParameter(f"-o {target} is one file, but there are several inputs")
        return None, path
    is_frame_folder = "video" in kinds and not path.suffix
    if not known and not is_frame_folder:
        raise typer.BadParameter(_wrong_format(target, kinds))
    return path, None


def _image_formats() -> tuple[str, ...]:
    from facecycle_cli.media import IMAGE_FORMATS

    return IMAGE_FORMATS


def _wrong_format(target: str, kinds: Sequence[MediaKind]) -> str:
    """What is said of a name of a file for one of these."""
    from facecycle_cli.media import VIDEO_FORMATS

    ways = []
    if "image" in kinds:
        ways.append(f"a picture as {', '.join(_image_formats())}")
    if "video" in kinds:
        ways.append(f"a video as {', '.join(VIDEO_FORMATS)}")
    return f"-o {target}: write {', or '.join(ways)}; end it with / if it is a folder"
