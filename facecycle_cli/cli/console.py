"""What a command prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from facecycle_cli.errors import CommandError, FacecycleError, exit_code_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Console", "ProgressLine", "one_line", "prefix_errors", "print_error", "reason"]

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
        file = "" if error.filename is None else os.fsdecode(error.filename)
        return one_line(f"{file}: {error.strerror}" if file and file != name else error.strerror)
    message = next((line for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, FacecycleError) and message:
        return one_line(message)
    kind = type(error).__name__
    return one_line(f"{kind}: {message}" if message else kind)


def one_line(text: str) -> str:
    """``text`` with line breaks and other control characters (in file names) as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def print_error(error: BaseException, name: str = "") -> None:
    """Print ``facecycle: NAME: reason`` on standard error, and the traceback when debugging."""
    if os.environ.get(DEBUG_VARIABLE, "") not in ("", "0"):
        traceback.print_exception(type(error), error, error.__traceback__)
    prefix = f"facecycle: {one_line(name)}" if name else "facecycle"
    sys.stderr.write(f"{prefix}: {reason(error, name)}\n")


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

    def __post_init__(self) -> None:
        # File names may hold bytes that are no text; they leave as they came.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="surrogateescape")

    def result(self, text: str | None, fields: Mapping[str, Any]) -> None:
        """Print one result: ``text`` (None: nothing), or with ``--json`` its ``fields``."""
        line = json.dumps(dict(fields), default=_plain) if self.json else text
        if line is not None:
            with self._without_bar(sys.stdout):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print something worth knowing; not with ``--quiet``."""
        if not self.quiet:
            with self._without_bar(sys.stderr):
                sys.stderr.write(f"facecycle: {one_line(text)}\n")

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
                yield ProgressLine(bar, bar.add_task(what, total=total, text=""))
            finally:
                self._bar = None

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


def _plain(value: Any) -> Any:
    """What the module ``json`` does not know: paths; numpy's arrays and numbers."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value.tolist()


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
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn() if timed else TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Terminal(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
