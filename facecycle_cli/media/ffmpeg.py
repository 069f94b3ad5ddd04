"""The ffmpeg program: found, run, stopped, and its error messages reduced to one line.

Videos go through the ffmpeg that `imageio-ffmpeg <https://github.com/imageio/imageio-ffmpeg>`_
brings, over pipes. No shell is involved. An input is an open file: ffmpeg gets its descriptor, no
name, and may open nothing else (:class:`InputFile`).
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

from facecycle_cli.errors import MediaError
from facecycle_cli.media.streams import NOT_REGULAR

_PIPE_BYTES: Final = 1 << 20
_LAST_MESSAGES_BYTES: Final = 1 << 16
"""How much of ffmpeg's messages is kept, from their end."""

# ffmpeg must not read our terminal. In a session of its own it does not get Ctrl-C, so that we
# decide what happens to the file.
_COMMON = ("-hide_banner", "-nostdin")
_ON_WINDOWS: Final = sys.platform == "win32"

MAX_PIXELS: Final = 8192 * 4608
"""The most pixels of a frame that is decoded: 8K. Beyond that a kilobyte could take all memory."""

# Containers of moving pictures. None of them opens another file, none is a text.
_READABLE: Final = (
    "mov matroska avi flv mpegts mpeg mpegvideo asf ogg mxf gif apng webp_anim jpegxl_anim dv rm "
    "h264 hevc m4v mjpeg ivf nut wtv obu vc1 yuv4mpegpipe"
).split()

RAW_JPEG_SUFFIXES: Final = frozenset((".mjpeg", ".mjpg"))
"""Of JPEG pictures one after the other: nothing in such a file says that it is a video."""
_JPEG_BEGIN: Final = b"\xff\xd8"

OWN_SESSION: dict[str, Any]
if sys.platform == "win32":
    OWN_SESSION = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    OWN_SESSION = {"start_new_session": True}
"""What keeps Ctrl-C from a process: its parent decides."""


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


Finished: TypeAlias = "subprocess.CompletedProcess[str]"
"""An ffmpeg that has ended: ``returncode``, ``stdout``, ``stderr``."""


class InputFile(AbstractContextManager["InputFile"]):
    """A video that ffmpeg may read, and nothing but that.

    What a file says inside is not to be trusted: playlists (HLS, DASH, ffconcat) name other files
    or addresses, whatever their suffix is. So the formats that can be read are listed, and the only
    protocol is an open descriptor. (Windows passes no descriptors on; there it is plain files.)

    Args:
        path: of the file.

    Raises:
        MediaError: it is empty or no regular file.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # A FIFO that nobody writes to would block.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(self._descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
            if not stat.S_ISREG(status.st_mode):
                raise MediaError(NOT_REGULAR)
            if not status.st_size:
                raise MediaError("empty file")
        except BaseException:
            self.__exit__()
            raise
        self.descriptors: tuple[int, ...] = () if _ON_WINDOWS else (self._descriptor,)
        self.options: list[str] = [
            *("-format_whitelist", ",".join(_READABLE), "-max_pixels", str(MAX_PIXELS)),
            *(("-f", "mjpeg") if self._is_raw_jpeg(path) else ()),
            *self._name(path),
        ]

    def _is_raw_jpeg(self, path: str | os.PathLike[str]) -> bool:
        """Whether these are JPEG pictures one after the other, by the suffix and the beginning."""
        if os.path.splitext(path)[1].lower() not in RAW_JPEG_SUFFIXES:
            return False
        begin = os.read(self._descriptor, len(_JPEG_BEGIN))
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return begin == _JPEG_BEGIN

    def _name(self, path: str | os.PathLike[str]) -> tuple[str, ...]:
        if _ON_WINDOWS:
            return ("-protocol_whitelist", "file", "-i", url(path))
        if not _takes_descriptors():
            return ("-protocol_whitelist", "file", "-i", url(f"/dev/fd/{self._descriptor}"))
        return ("-protocol_whitelist", "fd", "-fd", str(self._descriptor), "-i", "fd:")

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def run(arguments: Sequence[str], *, descriptors: Sequence[int] = ()) -> Finished:
    """Run ffmpeg to its end and capture both outputs. The caller checks ``returncode``.

    Args:
        arguments: for ffmpeg.
        descriptors: of the files that it may read.
    """
    return subprocess.run(
        [executable(), *_COMMON, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        **_passed(descriptors),
        **OWN_SESSION,
    )


@lru_cache(maxsize=1)
def _takes_descriptors() -> bool:
    """Whether this ffmpeg has the protocol ``fd`` (from 6.0 on; imageio-ffmpeg's own has)."""
    return "fd" in run(["-protocols"]).stdout.split()


def _passed(descriptors: Sequence[int]) -> dict[str, Any]:
    return {"pass_fds": tuple(descriptors)} if descriptors else {}


class Process:
    """A running ffmpeg that we read from or write to, until :meth:`stop` or :meth:`wait`.

    Its messages go to a temporary file without a name: a pipe that nobody reads would fill up and
    stop it.

    Args:
        arguments: for ffmpeg.
        feed: write to its standard input; otherwise read from its standard output.
        to_our_stdout: let it write to our standard output (only with ``feed``).
        descriptors: of the files that it may read; they may be closed here after this call.

    Raises:
        MediaError: there is no ffmpeg.
        OSError: it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        feed: bool = False,
        to_our_stdout: bool = False,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._feed = feed
        self._forgotten = 0
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed by _release)
        try:
            self._process = _start(
                [executable(), *_COMMON, "-v", "error", *arguments],
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=None if to_our_stdout else (subprocess.DEVNULL if feed else subprocess.PIPE),
                stderr=self._messages,
                bufsize=0,
                **_passed(descriptors),
                **OWN_SESSION,
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

    def forget_messages(self) -> None:
        """Leave its messages so far out of what :meth:`wait` gives."""
        self._forgotten = os.fstat(self._messages.fileno()).st_size

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
        self._messages.seek(max(self._forgotten, self._messages.tell() - _LAST_MESSAGES_BYTES))
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


def without_component(messages: str, name: str) -> str:
    """Ffmpeg's messages but for those of the component ``name``, such as a codec."""
    lines = messages.splitlines()
    return "\n".join(line for line in lines if not line.startswith(f"[{name}"))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the tags of the video file at ``path``.

    Returns:
        Name in lower case -> value.

    Raises:
        MediaError: it is no picture or video.
        OSError: it cannot be opened.
    """
    with InputFile(path) as file:
        arguments = ["-v", "error", *file.options, "-f", "ffmetadata", "-"]
        done = run(arguments, descriptors=file.descriptors)
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
