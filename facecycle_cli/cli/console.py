"""What a command says and where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

DEBUG_VARIABLE = "FACECYCLE_DEBUG"


class CommandError(Exception):
    """Ends the command with this one line and exit code 1, whatever inputs remain."""


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def reason(error: BaseException, name: str = "") -> str:
    """``error`` in one line: plain words for what can be expected, with the type for what cannot.

    A file that the system complains about is named unless it is ``name``, which the line has
    already.
    """
    if isinstance(error, OSError) and error.strerror:
        file = "" if error.filename is None else os.fsdecode(error.filename)
        return one_line(f"{file}: {error.strerror}" if file and file != name else error.strerror)
    message = next((line for line in str(error).splitlines() if line.strip()), "")
    ours = isinstance(error, CommandError) or type(error).__module__.startswith("facecycle_cli.")
    if ours and message:
        return one_line(message)
    kind = type(error).__name__
    return one_line(f"{kind}: {message}" if message else kind)


def one_line(text: str) -> str:
    """``text`` with line breaks and other control characters (of file names) made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
                   for c in text)  # fmt: skip


def report(error: BaseException, name: str = "") -> None:
    """Say on standard error what went wrong (with ``name``): ``facecycle: NAME: reason``."""
    if debugging():
        traceback.print_exception(type(error), error, error.__traceback__)
    prefix = f"facecycle: {one_line(name)}" if name else "facecycle"
    sys.stderr.write(f"{prefix}: {reason(error, name)}\n")


def _plain(value: Any) -> Any:
    """What json does not know: arrays and their numbers, paths."""
    return value.tolist() if hasattr(value, "tolist") else os.fspath(value)


class Progress:
    """A live line on the terminal, or nothing at all."""

    def __init__(self, bar: RichProgress | None = None, task: TaskID | None = None) -> None:
        self._bar = bar
        self._task = task

    def advance(self, count: int = 1, text: str | None = None) -> None:
        """``count`` more are done; ``text`` (a name, a loss) is shown behind the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count)
            if text is not None:
                self._bar.update(self._task, text=one_line(text))

    def expect(self, total: int) -> None:
        """``total`` things are to be done: known only now."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)


@dataclass
class Console:
    """The two outputs of a command, after ``--quiet``, ``--verbose`` and ``--json``."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    _live: RichProgress | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # File names may hold bytes that are no text; they leave as they came.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="surrogateescape")

    def result(self, text: str | None, fields: Mapping[str, Any]) -> None:
        """One result: ``text`` for people (None: nothing to say), or with ``--json`` its
        ``fields``.
        """
        line = json.dumps(dict(fields), default=_plain) if self.json else text
        if line is None:
            return
        if self._live is not None and sys.stdout.isatty():
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something worth knowing; not with ``--quiet``."""
        if not self.quiet:
            self._say(f"facecycle: {one_line(text)}")

    def detail(self, text: str) -> None:
        """Something for the curious; only with ``--verbose``."""
        if self.verbose and not self.quiet:
            self._say(f"facecycle: {one_line(text)}")

    def failure(self, name: str, error: BaseException) -> None:
        """The line for an input that failed; also with ``--quiet``."""
        if self._live is not None and not debugging():
            self._say(f"facecycle: {one_line(name)}: {reason(error, name)}")
        else:
            report(error, name)

    def _say(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Progress]:
        """Live line "``what`` ... n/total ... rate"; silent with ``--quiet`` and off a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield Progress()
            return
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        timing = TimeElapsedColumn() if total is None else TimeRemainingColumn()
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), timing)
        bar = RichProgress(
            *columns,
            TextColumn("{task.fields[text]}", markup=False),
            console=RichConsole(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with bar:
            self._live = bar
            try:
                yield Progress(bar, bar.add_task(what, total=total, text=""))
            finally:
                self._live = None


@contextmanager
def prefix_errors(name: str) -> Iterator[None]:
    """Put ``name`` in front of what goes wrong inside, and let it end the command.

    For what all inputs need, such as the checkpoint.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise CommandError(f"{name}: {reason(error, name)}") from error
