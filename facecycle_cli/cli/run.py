"""Every input in turn: what fails is said in one line, and the others are still done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from facecycle_cli.cli.console import CommandError, Console, reason
from facecycle_cli.cli.outputs import Outputs, Skip

if TYPE_CHECKING:
    from facecycle_cli.media import Input, Provenance
    from facecycle_cli.types import RGBImage

T = TypeVar("T")


@dataclass
class Outcome:
    """What became of one input: ``text`` for people, ``fields`` for ``--json``."""

    text: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Pictures:
    """What a command made of one picture, and the ``fields`` to report about it."""

    images: Sequence[RGBImage]
    provenance: Provenance
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """How many inputs came to which end."""

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
    items: Iterable[T], process: Callable[[T], Outcome], console: Console, *, what: str = "inputs"
) -> Tally:
    """Call ``process`` for each of ``items`` (whose ``str`` is its name) and print what comes of
    it.

    An exception is that input's failure; `Skip` is none. Only `CommandError`, a closed standard
    output and interruption end the loop. Raises `typer.Exit` with code 1 at the end if any input
    failed.
    """
    tally = Tally()
    with console.progress(what) as progress:
        for item in items:
            name = str(item)
            started = time.perf_counter()
            try:
                outcome = process(item)
            except (CommandError, BrokenPipeError, typer.Exit, typer.Abort):
                raise
            except Skip as why:
                tally.skipped += 1
                console.note(f"{name}: skipped, {why}")
                outcome = Outcome(fields={"status": "skipped", "reason": str(why)})
            except Exception as error:
                tally.failed += 1
                console.failure(name, error)
                outcome = Outcome(fields={"status": "failed", "reason": reason(error, name)})
            else:
                tally.done += 1
                outcome.fields = {"status": "done", **outcome.fields}
                console.detail(f"{name}: {time.perf_counter() - started:.3f} s")
            console.result(outcome.text, {"input": name, **outcome.fields})
            progress.advance(text=name)
    if tally.total != 1:
        console.note(str(tally))
    if tally.failed:
        raise typer.Exit(1)
    return tally


def run_pictures(
    inputs: Sequence[str],
    outputs: Outputs,
    transform: Callable[[RGBImage], Pictures],
    console: Console,
) -> Tally:
    """Read each picture that ``inputs`` stand for, ``transform`` it, write what comes out.

    Prints the names of the files written. Ends as `run_each` does.
    """
    from facecycle_cli.errors import MediaError
    from facecycle_cli.media import expand_inputs

    if outputs.to_stdout and console.json:
        raise typer.BadParameter("standard output takes the picture or --json, not both")

    def one(item: Input) -> Outcome:
        if item.problem is not None:
            raise MediaError(item.problem)
        destination = outputs.claim(item)
        pictures = transform(_read(item))
        written = [str(path) for path in destination.write(pictures.images, pictures.provenance)]
        output = written if destination.numbered else (written[0] if written else "-")
        return Outcome("\n".join(written) or None, {"output": output, **pictures.fields})

    items: Iterable[Input] = expand_inputs(inputs, {"image"})
    if outputs.beside:
        items = _without_earlier_results(items, console)
    return run_each(items, one, console, what="pictures")


def _read(item: Input) -> RGBImage:
    from facecycle_cli.media import read_image

    return read_image(sys.stdin.buffer if item.is_stdin else item.path)


def _without_earlier_results(items: Iterable[Input], console: Console) -> Iterator[Input]:
    """Results lie beside their inputs: a second walk must not make results of results."""
    from facecycle_cli.media import read_provenance

    for item in items:
        if item.from_folder and item.problem is None:
            try:
                made_here = read_provenance(item.path) is not None
            except (OSError, ValueError):
                made_here = False  # reading the picture will say what is wrong
            if made_here:
                console.detail(f"{item}: left out, it is a result itself")
                continue
        yield item
