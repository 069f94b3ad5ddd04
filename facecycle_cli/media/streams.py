"""Opening the file of a picture: regular files, and pipes that the user names, up to a limit."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, Final, TypeAlias

from facecycle_cli.errors import MediaError

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"
"""A path, the bytes of a file, or a binary stream."""

NOT_REGULAR: Final = "not a regular file"
"""What is said of a device, a named pipe or a socket."""

PIPE_BYTES: Final = 1_000_000_000
"""The most that is read from a pipe, in bytes."""
_CHUNK_BYTES: Final = 1 << 20

_NAMED_PIPE: Final = re.compile(r"/dev/stdin|/dev/fd/\d+|/proc/self/fd/\d+")
"""What a shell writes for ``<(command)``, and standard input by name."""


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is ``/dev/stdin`` or ``/dev/fd/N``, and a pipe: it can be read only once.

    A named pipe somewhere else is no input: opening it may wait forever.
    """
    name = os.fspath(path)
    try:
        return bool(_NAMED_PIPE.fullmatch(name)) and stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


def require_file(path: str | os.PathLike[str]) -> None:
    """Check that ``path`` is a regular file, without opening it.

    Raises:
        MediaError: it is a device, a named pipe or a socket.
        OSError: there is no such file, or it is a folder (the error says which).
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise MediaError(NOT_REGULAR)


@contextmanager
def open_seekable(source: ImageSource) -> Iterator[BinaryIO]:
    """A stream over ``source`` that can be read more than once, at its beginning.

    Yields:
        The stream. A file that was named is closed at the end, a stream that was given is not.

    Raises:
        MediaError: not a regular file, or a pipe with more than ``PIPE_BYTES``.
        OSError: it cannot be opened or read.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        if not is_pipe(source):
            require_file(source)
        with open(source, "rb") as file:
            yield _seekable(file)
    else:
        yield _seekable(source)


def _seekable(stream: BinaryIO) -> BinaryIO:
    """``stream``, or what it holds if it cannot go back or is a device, which may have no end."""
    mode = None
    with suppress(OSError, AttributeError):  # a stream in memory has no file
        mode = os.fstat(stream.fileno()).st_mode
    if stream.seekable() and (mode is None or stat.S_ISREG(mode)):
        return stream
    held = io.BytesIO()
    while chunk := stream.read(_CHUNK_BYTES):
        held.write(chunk)
        if held.tell() > PIPE_BYTES:
            raise MediaError(f"more than {PIPE_BYTES // 1_000_000_000} GB from a pipe")
    held.seek(0)
    return held


_QUIET = threading.Lock()


@contextmanager
def quiet_library() -> Iterator[None]:
    """A context in which nothing reaches standard error.

    libtiff writes what is wrong with a file there itself, in several lines and under a name of its
    own. What is wrong is in our error, too.
    """
    with _QUIET, ExitStack() as stack:  # one thread at a time: each restores what it found
        with suppress(OSError):  # standard error is closed: then there is nothing to silence
            before = os.dup(2)
            stack.callback(os.close, before)
            nothing = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, nothing)
            os.dup2(nothing, 2)
            stack.callback(os.dup2, before, 2)
        yield
