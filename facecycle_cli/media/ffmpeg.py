"""The ffmpeg program: found, run, watched, and its complaints in one line.

Videos go through the ffmpeg that imageio-ffmpeg brings, over pipes. There is no shell anywhere, and
files are named with their protocol (``file:``), so that no name can be taken for an option, a
pattern or an address.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import IO, Any

from facecycle_cli.errors import MediaError

# Without a terminal of its own, ffmpeg must not read one; in its own session, Ctrl-C reaches us
# alone and we decide what becomes of the file.
_COMMON = ("-hide_banner", "-nostdin")
_OWN_SESSION: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if os.name == "nt"
    else {"start_new_session": True}
)


@lru_cache(maxsize=1)
def executable() -> str:
    """Path of ffmpeg: ``$IMAGEIO_FFMPEG_EXE``, imageio-ffmpeg's own, or the system's."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MediaError(
            "ffmpeg is missing; install imageio-ffmpeg's binary wheel or set IMAGEIO_FFMPEG_EXE"
        ) from error


def url(path: str | os.PathLike[str]) -> str:
    """``path`` as ffmpeg takes it without interpreting it."""
    return f"file:{os.fspath(path)}"


def input_options(path: str | os.PathLike[str]) -> list[str]:
    """Options that name ``path`` as an input; a playlist in it cannot reach the network."""
    return ["-protocol_whitelist", "file,pipe", "-i", url(path)]


def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end with both outputs captured; the caller looks at ``returncode``."""
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
    """A running ffmpeg that we read from, or (``feed``) write to; gone after `stop` or `wait`.

    ``to_our_stdout`` lets it write its output where our own standard output goes. What it says goes
    to a nameless temporary file: a pipe would fill up and halt it.
    """

    def __init__(
        self, arguments: Sequence[str], *, feed: bool = False, to_our_stdout: bool = False
    ) -> None:
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
        _widen(self._process.stdin or self._process.stdout)

    def read_into(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from ffmpeg's output and return how much came before the output ended."""
        assert self._process.stdout is not None
        filled = 0
        while filled < len(buffer):
            count = self._process.stdout.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def write(self, data: memoryview) -> None:
        """Feed all of ``data``; raises BrokenPipeError once ffmpeg has gone."""
        assert self._process.stdin is not None
        while data:
            data = data[self._process.stdin.write(data) :]

    def wait(self) -> tuple[int, str]:
        """End the feed, let ffmpeg finish, and give its exit code and what it said."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        code = self._process.wait()
        return code, self._release()

    def stop(self) -> None:
        """Kill ffmpeg if it still runs. Safe to call twice."""
        if self._messages.closed:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._release()

    def _release(self) -> str:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(0, self._messages.tell() - 65536))
        messages = self._messages.read().decode("utf-8", "replace")
        self._messages.close()
        return messages


def _start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """A process that is ours to end, whenever Ctrl-C comes.

    Between the birth of a process and the assignment of its handle an interrupt would leave it
    running without anybody who knows of it. Interrupts reach the main thread only, so another one
    does it.
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


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold 1 MiB where the system can: fewer turns of two processes per frame."""
    if pipe is not None and sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


_SPEAKER = re.compile(r"^(\[[^\]]+\] ?)+")
_NOISE = re.compile(
    r"^(Error (opening|parsing|while)|Task finished|Terminating|Conversion failed|Last message|"
    r"Stream map|To ignore|Failed to set value|Format .* detected only|UDTA parsing)"
)


def reason(messages: str) -> str:
    """The first of ffmpeg's messages that tells something, without speaker and file name."""
    lines = [_SPEAKER.sub("", line).strip() for line in messages.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if not _NOISE.match(line)]
    if telling:
        return telling[0]
    opening = [line for line in lines if line.startswith("Error opening input: ")]
    if opening:
        return opening[0].removeprefix("Error opening input: ")
    return lines[0] if lines else "ffmpeg failed without a word"


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Tags of a video file, names in lower case; raises `MediaError` if it cannot be read."""
    with open(path, "rb"):
        pass  # the system's own words for a missing or forbidden file
    done = run([*("-v", "error"), *input_options(path), "-f", "ffmetadata", "-"])
    if done.returncode != 0:
        raise MediaError(f"not a picture or video ({reason(done.stderr)})")
    tags: dict[str, str] = {}
    for line in re.sub(r"\\\n", "\0", done.stdout).splitlines():
        if line.startswith("["):
            break  # the streams' and chapters' own
        key, separator, value = line.partition("=")
        if separator and not line.startswith(";"):
            tags[key.lower()] = re.sub(r"\\(.)", r"\1", value.replace("\0", "\n"))
    return tags
