"""The ffmpeg program: found, run, stopped, and its error messages reduced to one line.

Videos go through the ffmpeg that `imageio-ffmpeg <https://github.com/imageio/imageio-ffmpeg>`_
brings, over pipes. No shell is involved. Files are named with their protocol (``file:``), so that
no name can be taken for an option, a pattern or an address.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, cast

from facecycle_cli.errors import MediaError

_PIPE_BYTES: Final = 1 << 20
_LAST_MESSAGES_BYTES: Final = 1 << 16
"""How much of ffmpeg's messages is kept, from their end."""

# ffmpeg must not read our terminal. In a session of its own it does not get Ctrl-C, so that we
# decide what happens to the file.
_COMMON = ("-hide_banner", "-nostdin")
_OWN_SESSION: dict[str, Any]
if sys.platform == "win32":
    _OWN_SESSION = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    _OWN_SESSION = {"start_new_session": True}


@lru_cache(maxsize=1)
def executable() -> str:
    """Path of ffmpeg: ``$IMAGEIO_FFMPEG_EXE``, imageio-ffmpeg's own, or the system's.

    Raises:
        MediaError: there is none.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MediaError(
            "ffmpeg is missing; install imageio-ffmpeg's binary wheel or set IMAGEIO_FFMPEG_EXE"
        ) from error


def url(path: str | os.PathLike[str]) -> str:
    """``path`` in the form that ffmpeg does not interpret."""
    return f"file:{os.fspath(path)}"


def input_options(path: str | os.PathLike[str]) -> list[str]:
    """Options that name ``path`` as an input. A playlist in it cannot reach the network."""
    return ["-protocol_whitelist", "file,pipe", "-i", url(path)]


def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run ffmpeg to its end and capture both outputs. The caller checks ``returncode``."""
    return subprocess.run(
        [executable(), *_COMMON, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        **_OWN_SESSION,
    )


class Process:
    """A running ffmpeg that we read from or write to, until :meth:`stop` or :meth:`wait`.

    Its messages go to a temporary file without a name: a pipe that nobody reads would fill up and
    stop it.

    Args:
        arguments: for ffmpeg.
        feed: write to its standard input; otherwise read from its standard output.
        to_our_stdout: let it write to our standard output (only with ``feed``).

    Raises:
        MediaError: there is no ffmpeg.
        OSError: it cannot be started.
    """

    def __init__(
        self, arguments: Sequence[str], *, feed: bool = False, to_our_stdout: bool = False
    ) -> None:
        self._feed = feed
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _release)
        try:
            self._process = _start(
                [executable(), *_COMMON, "-v", "error", *arguments],
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=None if to_our_stdout else (subprocess.DEVNULL if feed else subprocess.PIPE),
                stderr=self._messages,
                bufsize=0,
                **_OWN_SESSION,
            )
        except BaseException:
            self._messages.close()
            raise
        # Without a buffer the pipe is a raw file.
        self._pipe = cast(io.FileIO, self._process.stdin if feed else self._process.stdout)
        _widen(self._pipe)

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from ffmpeg's output.

        Returns:
            The number of bytes read: fewer than ``buffer`` holds at the end of the output.
        """
        filled = 0
        while filled < len(buffer):
            count = self._pipe.readinto(buffer[filled:])
            if not count:
                break
            filled += count
        return filled

    def write(self, data: memoryview) -> None:
        """Write all of ``data`` to ffmpeg's input.

        Raises:
            BrokenPipeError: ffmpeg has ended.
        """
        while data:
            data = data[self._pipe.write(data) :]

    def wait(self) -> tuple[int, str]:
        """End the input and let ffmpeg finish.

        Returns:
            Its exit code and its messages.
        """
        if self._feed:
            self._pipe.close()
        code = self._process.wait()
        return code, self._release()

    def stop(self) -> None:
        """Kill ffmpeg if it still runs. May be called twice."""
        if self._messages.closed:
            return
        self._process.kill()
        self._process.wait()
        self._release()

    def _release(self) -> str:
        self._pipe.close()
        self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(0, self._messages.tell() - _LAST_MESSAGES_BYTES))
        messages = self._messages.read().decode("utf-8", "replace")
        self._messages.close()
        return messages


def _start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process so that an interrupt cannot leave it running unknown to us.

    An interrupt between the start of the process and the assignment of its handle would. Interrupts
    reach the main thread only, so another thread starts it.
    """
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(lambda: subprocess.Popen[bytes](command, **options))
        try:
            return started.result()
        except (KeyboardInterrupt, SystemExit):
            process = started.result()
            process.kill()
            process.wait()
            raise


def _widen(pipe: io.FileIO) -> None:
    """Let the pipe hold more where the system can: the two processes then switch less often."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


_COMPONENT = re.compile(r"^(\[[^\]]+\] ?)+")
"""The part of ffmpeg that a message is from: ``[mov @ 0x55d0]``."""
_GENERIC = re.compile(
    r"^(Error (opening|parsing|while)|Task finished|Terminating|Conversion failed|Last message|"
    r"Stream map|To ignore|Failed to set value|Format .* detected only|UDTA parsing)"
)


def failure_reason(messages: str) -> str:
    """The first of ffmpeg's messages that says what is wrong, without component and file name."""
    lines = [_COMPONENT.sub("", line).strip() for line in messages.splitlines()]
    lines = [line for line in lines if line]
    specific = [line for line in lines if not _GENERIC.match(line)]
    if specific:
        return specific[0]
    opening = [line for line in lines if line.startswith("Error opening input: ")]
    if opening:
        return opening[0].removeprefix("Error opening input: ")
    return lines[0] if lines else "ffmpeg failed without an error message"


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the tags of the video file at ``path``.

    Returns:
        Name in lower case -> value.

    Raises:
        MediaError: it is no picture or video.
        OSError: it cannot be opened.
    """
    with open(path, "rb"):
        pass  # raises the system's own error for a missing or forbidden file
    done = run([*("-v", "error"), *input_options(path), "-f", "ffmetadata", "-"])
    if done.returncode != 0:
        raise MediaError(f"not a picture or video ({failure_reason(done.stderr)})")
    tags: dict[str, str] = {}
    for line in re.sub(r"\\\n", "\0", done.stdout).splitlines():
        if line.startswith("["):
            break  # the streams' and chapters' own
        key, separator, value = line.partition("=")
        if separator and not line.startswith(";"):
            tags[key.lower()] = re.sub(r"\\(.)", r"\1", value.replace("\0", "\n"))
    return tags
