"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from facecycle_cli.cli.streams import print_line, write_stdout
from facecycle_cli.errors import CommandError, FacecycleError, OutputError, exit_code_of
from facecycle_cli.text import json_text, one_line, shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Console", "ProgressLine", "prefix_errors", "print_error", "reason"]

DEBUG_VARIABLE = "FACECYCLE_DEBUG"
"""With this environment variable set (and not 0), errors are printed with their tracebacks."""


def reason(error: BaseException, name: str = "") -> str:
    """``error`` in one line: its message, with its type in front if it is none of ours.

    Args:
        error: What went wrong.
        name: What the line names already. The file that a system error names is left out if it is
            the same.
    """
    if isinstance(error, OSError) and error.strerror:
        named = isinstance(error.filename, (str, bytes, os.PathLike))  # not a number, or nothing
        file = os.fsdecode(error.filename) if named else ""
        return one_line(f"{file}: {error.strerror}" if file and file != name else error.strerror)
    message = next((line for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, FacecycleError) and message:
        return one_line(message)
    kind = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
    return one_line(f"{kind}: {message}" if message else kind)


def print_error(error: BaseException, name: str = "") -> None:
    """Print ``facecycle: NAME: reason`` on standard error, and the traceback when debugging."""
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        print_line(shown("".join(traceback.format_exception(error)).rstrip("\n")))
    prefix = f"facecycle: {one_line(name)}" if name else "facecycle"
    print_line(f"{prefix}: {reason(error, name)}")


class ProgressLine:
    """A live line on the terminal; without a ``bar`` it shows nothing."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self._bar = bar
        self._task = task

    def advance(self, count: int = 1, text: str | None = None) -> None:
        """``count`` more are done; ``text`` (a name, a loss) is shown behind the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count)
            if text is not None:
                self._bar.update(self._task, text=one_line(text))

    def expect(self, total: int) -> None:
        """Set how many there are in all, where that was not known at the start."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)


@dataclass
class Console:
    """The two outputs of a command.

    Attributes:
        quiet: Print errors only, besides results.
        verbose: Print details, too.
        json: Print results as JSON, one object in a line.
    """

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    _bar: Progress | None = field(default=None, init=False, repr=False)
    _line: ProgressLine | None = field(default=None, init=False, repr=False)

    def result(self, text: str | None, fields: Mapping[str, Any]) -> None:
        """Print one result: ``text`` (None: nothing), or with ``--json`` its ``fields``.

        A pipe or a file gets the text as it is, so that other programs find the files that it
        names. A terminal gets no control characters.

        Raises:
            BrokenPipeError: The reader of standard output has closed it.
            CommandError: Standard output cannot be written: no other result could be, either.
        """
        line = json_text(fields) if self.json else text
        if line is None:
            return
        with self._without_bar(sys.stdout):
            try:
                write_stdout((shown(line) if sys.stdout.isatty() else line) + "\n")
            except OutputError as error:
                raise CommandError(str(error)) from error

    def name(self, name: str) -> str:
        """A name that is part of a result: as it is in a pipe, in one line on a terminal."""
        return one_line(name) if sys.stdout.isatty() else name

    def note(self, text: str) -> None:
        """Print something worth knowing; not with ``--quiet``."""
        if not self.quiet:
            with self._without_bar(sys.stderr):
                print_line(f"facecycle: {one_line(text)}")

    def detail(self, text: str) -> None:
        """Print a detail, such as a time; only with ``--verbose``."""
        if self.verbose:
            self.note(text)

    def failure(self, name: str, error: BaseException) -> None:
        """Print the line of an input that failed; also with ``--quiet``."""
        with self._without_bar(sys.stderr):
            print_error(error, name)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[ProgressLine]:
        """Show ``what`` is counted, how many of ``total`` are done, and the time.

        Nothing is shown with ``--quiet``, or where standard error is no terminal.
        """
        if self.quiet or not sys.stderr.isatty():
            yield ProgressLine()
            return
        with _progress_bar(timed=total is None) as bar:
            self._bar = bar
            try:
                self._line = ProgressLine(bar, bar.add_task(what, total=total, text=""))
                yield self._line
            finally:
                self._bar = self._line = None

    def status(self, text: str) -> None:
        """Show how far one input is, behind the bar of :meth:`progress`."""
        if self._line is not None:
            self._line.advance(0, text)

    @contextmanager
    def _without_bar(self, stream: TextIO) -> Iterator[None]:
        """Take the live line off the terminal while something is written to ``stream``."""
        if self._bar is None or not stream.isatty():
            yield
            return
        self._bar.stop()
        try:
            yield
            stream.flush()
        finally:
            self._bar.start()


@contextmanager
def prefix_errors(name: str) -> Iterator[None]:
    """Let what goes wrong inside end the command, with ``name`` in front of the message.

    This is for what all inputs need, such as the checkpoint.

    Args:
        name: The file, or the option and its value.

    Raises:
        CommandError: Any ``OSError`` or ``ValueError`` was raised inside.
    """
    try:
        yield
    except CommandError:
        raise
    except (OSError, ValueError) as error:
        raise CommandError(f"{name}: {reason(error, name)}", exit_code_of(error)) from error


def _progress_bar(*, timed: bool) -> Progress:
    """A bar of rich on standard error; ``timed`` shows the time so far, not the time to come."""
    from rich.console import Console as Terminal
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn() if timed else TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Terminal(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
