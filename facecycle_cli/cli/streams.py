"""Standard input, output and error as a command may find them: closed, full, of any encoding.

The rest of the program then need not ask: each of the three is an open stream.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress

from facecycle_cli.errors import OutputError

__all__ = ["close_streams", "open_streams", "print_line", "stdout_is_closed", "write_stdout"]

_AS_IT_CAME = "facecycle-as-it-came"
"""Name of the error handler below."""


class _ClosedOutput(io.TextIOWrapper):
    """What stands in for a standard output that was closed before the program started.

    Text is dropped, because the work is done without it. Bytes are a result that would be lost, so
    that writing them to ``buffer`` fails as on any closed file.
    """

    def write(self, text: str) -> int:
        return len(text)


def open_streams() -> None:
    """Make the three standard streams usable, whatever they are.

    A closed one is opened on the null device. What the encoding of an output does not know is
    written as an escape, and bytes of file names that are no text leave as they came.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _stand_in(number))
    codecs.register_error(_AS_IT_CAME, _as_it_came)
    for stream, handler in ((sys.stdout, _AS_IT_CAME), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=handler)


def _stand_in(number: int) -> io.TextIOWrapper:
    # Standard output is opened for reading, so that writing bytes fails.
    descriptor = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    # The number itself must be taken: the next file that is opened would be the standard output of
    # every process that is started.
    if descriptor != number:
        with suppress(OSError):
            os.fstat(number)
            number = descriptor
        if number != descriptor:
            os.dup2(descriptor, number)
            os.close(descriptor)
    os.set_inheritable(number, True)
    if number == 0:
        return open(number, encoding="utf-8")
    kind = _ClosedOutput if number == 1 else io.TextIOWrapper
    return kind(open(number, "wb"), "utf-8", line_buffering=True)


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode one character: a byte that stands for itself as this byte, others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return character.encode("ascii", "backslashreplace").decode(), error.start + 1


def stdout_is_closed() -> bool:
    """Whether there is no standard output: what is written there is lost."""
    return isinstance(sys.stdout, _ClosedOutput)


def write_stdout(text: str) -> None:
    """Write ``text`` to standard output at once.

    Raises:
        BrokenPipeError: its reader has closed it.
        OutputError: it cannot be written, such as on a full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror or error}") from error


def print_line(text: str) -> None:
    """Write ``text`` and a line break to standard error, if that can be written.

    Raises:
        BrokenPipeError: its reader has closed it.
    """
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except OSError:
        pass  # there is no place left to say so


def close_streams(code: int | str | None) -> int | str | None:
    """Write out what is still waiting, at the end of the program.

    Args:
        code: the exit code so far.

    Returns:
        The exit code: 1 where the program succeeded and its last results cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if (
                stream is sys.stdout
                and code in (0, None)
                and not isinstance(error, BrokenPipeError)
            ):
                print_line(f"facecycle: standard output: {error.strerror or error}")
                code = OutputError.exit_code
            # Python flushes once more when it shuts down, and would complain.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code
