"""Every input in turn: what fails is said in one line, and the other inputs are still done."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from facecycle_cli.cli.console import Console, reason
from facecycle_cli.cli.outputs import Outputs, Skip
from facecycle_cli.errors import CommandError, FacecycleError, MediaError, SettingsError
from facecycle_cli.types import MediaKind

if TYPE_CHECKING:
    from facecycle_cli.media import Input, Provenance
    from facecycle_cli.types import RGBImage

_Item = TypeVar("_Item")
_Picture = TypeVar("_Picture")


@dataclass
class InputResult:
    """What a command has to say of one input that is done.

    Attributes:
        text: For people; None prints nothing.
        fields: For ``--json``.
    """

    text: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Pictures:
    """What a command made of one picture.

    Attributes:
        images: The pictures to write.
        provenance: The note that they carry.
        fields: What ``--json`` prints beside the names of the files.
    """

    images: Sequence[RGBImage]
    provenance: Provenance
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Counts:
    """How many inputs were done, skipped, and failed."""

    done: int = 0
    skipped: int = 0
    failed: int = 0

    def __str__(self) -> str:
        counts = {"done": self.done, "skipped": self.skipped, "failed": self.failed}
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing to do"

    @property
    def total(self) -> int:
        """All inputs so far."""
        return self.done + self.skipped + self.failed


def run_each(
    items: Iterable[_Item],
    process: Callable[[_Item], InputResult],
    console: Console,
    *,
    what: str = "inputs",
) -> Counts:
    """Process each input, and print its result or why it failed.

    An exception is the failure of one input, and the next input follows. Exceptions: ``Skip`` is no
    failure; ``CommandError`` and ``SettingsError`` would meet every input, so they end the loop, as
    do a closed standard output and an interruption.

    Args:
        items: The inputs; ``str`` of each is its name.
        process: What to do with each.
        console: Where to print.
        what: What the inputs are, in the plural, for the progress line.

    Returns:
        How many inputs came to which end.

    Raises:
        typer.Exit: Some input failed; with its exit code, after the last input.
    """
    counts = Counts()
    with console.progress(what) as progress:
        for item in items:
            name = str(item)
            started = time.perf_counter()
            try:
                result = process(item)
            except (CommandError, SettingsError, BrokenPipeError, typer.Exit, typer.Abort):
                raise
            except Skip as why:
                counts.skipped += 1
                console.note(f"{name}: skipped, {why}")
                result = InputResult(fields={"status": "skipped", "reason": str(why)})
            except Exception as error:
                counts.failed += 1
                console.failure(name, error)
                result = InputResult(fields={"status": "failed", "reason": reason(error, name)})
            else:
                counts.done += 1
                result.fields = {"status": "done", **result.fields}
                console.detail(f"{name}: {time.perf_counter() - started:.3f} s")
            console.result(result.text, {"input": name, **result.fields})
            progress.advance(text=name)
    if counts.total != 1:
        console.note(str(counts))
    if counts.failed:
        raise typer.Exit(FacecycleError.exit_code)
    return counts


def run_pictures(
    inputs: Sequence[str],
    outputs: Outputs,
    transform: Callable[[_Picture], Pictures],
    console: Console,
    *,
    read: Callable[[Input], _Picture],
    move: Callable[[Input, str], InputResult] | None = None,
) -> Counts:
    """Read each picture that ``inputs`` stand for, transform it, and write what comes out.

    Args:
        inputs: Files, folders, globs, or ``-``.
        outputs: Where the results go.
        transform: What to do with a picture.
        console: Where the names of the written files are printed.
        read: Reads a picture.
        move: What to do with a video: the input, and a local file; None: videos are no inputs.

    Returns:
        As :func:`run_each`.

    Raises:
        typer.BadParameter: Standard output is to take pictures and ``--json``.
        typer.Exit: As :func:`run_each`.
    """
    if outputs.to_stdout and console.json:
        raise typer.BadParameter("standard output takes the picture or --json, not both")

    def one(item: Input) -> InputResult:
        if item.problem is not None:
            raise MediaError(item.problem)
        if move is None:
            return picture(item, item)
        from facecycle_cli.media.clips import is_video, local_file

        with local_file(item.path) as path:
            return move(item, path) if is_video(path) else picture(item, replace(item, path=path))

    def picture(item: Input, local: Input) -> InputResult:
        destination = outputs.claim(item)
        pictures = transform(read(local))
        written = [str(path) for path in destination.write(pictures.images, pictures.provenance)]
        output = written if destination.numbered else (written[0] if written else "-")
        names = "\n".join(map(console.name, written))
        return InputResult(names or None, {"output": output, **pictures.fields})

    kinds: tuple[MediaKind, ...] = ("image",) if move is None else ("image", "video")
    items = walk_pictures(inputs, console, outputs.folder, kinds)
    return run_each(items, one, console, what="pictures" if move is None else "inputs")


def walk_pictures(
    inputs: Sequence[str],
    console: Console,
    skip: str | os.PathLike[str] | None = None,
    kinds: Sequence[MediaKind] = ("image",),
) -> Iterator[Input]:
    """The files that ``inputs`` stand for; after the last one, what was left out is printed.

    Args:
        inputs: Files, folders, globs, or ``-``.
        console: Where to print.
        skip: The output folder: it is left out of walks.
        kinds: What is looked for in folders.
    """
    from facecycle_cli.media.files import LeftOut, expand_inputs

    left_out = LeftOut()
    yield from expand_inputs(inputs, kinds, skip=skip, left_out=left_out)
    for line in left_out.lines("input" if "video" in kinds else "picture"):
        console.note(line)


def read_input(item: Input) -> RGBImage:
    """The picture of an input, (H, W, 3) uint8."""
    from facecycle_cli.media import read_image

    return read_image(sys.stdin.buffer if item.is_stdin else item.path)
