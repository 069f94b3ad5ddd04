"""What every floor needs of the machine: files and their locks, processes, optional libraries.

Files that come from elsewhere are read with care: :func:`parse_json`, :func:`check_zip`.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import importlib.util
import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NoReturn

from facecycle_cli.errors import MissingExtraError, OutputError

_EXTRA_OF = {
    "face_alignment": ("face-alignment", "face-alignment"),
    "matplotlib": ("matplotlib", "evaluate"),
    "onnx": ("onnx", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "pillow_heif": ("pillow-heif", "heif"),
    "pyarrow": ("pyarrow", "parquet"),
    "python_multipart": ("python-multipart", "serve"),
    "ray": ("ray", "ray"),
    "scipy": ("scipy", "evaluate"),
    "skimage": ("scikit-image", "evaluate"),
    "sklearn": ("scikit-learn", "evaluate"),
    "starlette": ("starlette", "serve"),
    "uvicorn": ("uvicorn", "serve"),
}
"""Name of a module -> its distribution, and our extra that installs it."""

_CHUNK_BYTES = 1 << 20

LOCK_FILE = ".facecycle.lock"
"""In a folder that a run is writing. It stays behind if the run is killed: the folder is then not
complete."""


_LOCKED_BYTE = 1 << 30
"""Windows locks a part of a file, which nobody else can read: one byte, far behind the end."""

_IS_LOCKED = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
"""Errors of the system that say that another process has the lock; EACCES over NFS."""


class PendingFile:
    """A file that is written at ``path`` and appears under its own name only when committed.

    A link is followed and not replaced, but one that leads nowhere is refused: it could make a file
    anywhere. What is no regular file (``/dev/null``, a named pipe) is written directly.

    Args:
        name: The file. Its folder is made if it is missing.

    Raises:
        OutputError: It is a link that leads nowhere, or is below one.

    Attributes:
        target: The file, with links followed.
        path: Where to write: a name in the same folder, with the same suffix.
    """

    def __init__(self, name: str | os.PathLike[str]) -> None:
        refuse_dangling_links(name)
        self.target = Path(os.path.realpath(name))
        self.path = self.target
        if not self.target.exists() or self.target.is_file():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            unique = f".facecycle-{secrets.token_hex(6)}{self.target.suffix}"
            self.path = self.target.with_name(unique)

    @property
    def is_temporary(self) -> bool:
        """Whether ``path`` is another file than the target."""
        return self.path != self.target

    def commit(self) -> None:
        """Give the complete file its own name."""
        if self.is_temporary:
            os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove what was written."""
        if self.is_temporary:
            self.path.unlink(missing_ok=True)


def refuse_dangling_links(name: str | os.PathLike[str]) -> None:
    """Check that no link on the way to the file ``name``, or at its place, leads nowhere.

    Raises:
        OutputError: One does.
    """
    path = os.path.abspath(name)
    while not os.path.exists(path):
        if os.path.islink(path):
            raise OutputError(f"{path} is a link that leads nowhere")
        path = os.path.dirname(path)


@contextmanager
def atomic_path(name: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that it appears complete or not at all.

    Args:
        name: The file. Its folder is made if it is missing.

    Yields:
        Where to write. The file gets its own name at the end of the block, or is removed if the
        block raises.
    """
    pending = PendingFile(name)
    try:
        yield pending.path
        pending.commit()
    except BaseException:
        pending.discard()
        raise


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def open_locked(path: str | os.PathLike[str]) -> BinaryIO | None:
    """Open a file for appending that no other process has opened in this way.

    The lock ends with the process, however that ends. A file system without locks locks nothing.

    Returns:
        The file, without a buffer; None if another process has it.

    Raises:
        OSError: It cannot be opened.
    """
    while True:
        file = open(path, "ab", buffering=0)  # noqa: SIM115 (the caller closes it)
        try:
            if not _lock(file):
                file.close()
                return None
            # Whoever had it may have replaced or removed it: then this lock protects nothing.
            if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Lock an open file. False: another process has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _IS_LOCKED
    return True


@contextmanager
def locked_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Write a folder alone: a context with the folder's lock.

    The folder is made if it is missing, and removed at the end if it is still empty.

    Raises:
        OutputError: Another process has the lock.
        OSError: The folder cannot be made or written.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    try:
        lock = open_locked(path)
        if lock is None:
            raise OutputError("another run is writing this folder")
        try:
            yield
        finally:
            if sys.platform == "win32":  # where an open file cannot be removed
                lock.close()
            with suppress(OSError):
                path.unlink()
            lock.close()
    finally:
        with suppress(OSError):
            for empty in made:
                empty.rmdir()


def parse_json(text: bytes | str) -> Any:
    """Parse JSON from a file that anybody may have made.

    Raises:
        ValueError: It is not JSON in UTF-8, holds NaN or an infinity by name, or is nested too
            deeply; in one line.
    """
    try:
        return _JSON.decode(text if isinstance(text, str) else text.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos + 1})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def check_zip(path: str | os.PathLike[str], most_bytes: int) -> None:
    """Check what a ZIP file says it unpacks to, before anything is unpacked.

    Raises:
        ValueError: More than ``most_bytes``, or it is no ZIP file.
        OSError: It cannot be read.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, EOFError):
        raise ValueError("damaged, or not a ZIP file") from None
    if size > most_bytes:
        raise ValueError(f"it unpacks to {size:,} bytes, and {most_bytes:,} are allowed")


def cache_folder() -> Path:
    """Where the user's programs keep what can be made again; ours is a folder in it.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if sys.platform == "win32":
        named, usual = os.environ.get("LOCALAPPDATA"), Path("AppData", "Local")
    elif sys.platform == "darwin":
        named, usual = None, Path("Library", "Caches")
    else:
        named, usual = os.environ.get("XDG_CACHE_HOME"), Path(".cache")
    return (Path(named) if named and os.path.isabs(named) else Path.home() / usual) / "facecycle"


def end_process(code: int) -> NoReturn:
    """End this process at once, after the programs that it runs, without cleaning up."""
    try:
        import psutil

        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    finally:  # whatever happens on the way, memory may be used up
        os._exit(code)


def usable_cores() -> int:
    """How many CPU cores this process may use, at least 1.

    A job of Slurm or a container often may use fewer cores than the machine has.
    """
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    elif sys.platform == "linux":
        return len(os.sched_getaffinity(0)) or 1
    else:
        return os.cpu_count() or 1


def import_extra(module: str) -> ModuleType:
    """Import a module of an optional extra when it is first needed.

    Args:
        module: Its full name.

    Raises:
        MissingExtraError: It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # it is installed, and something that it imports is missing
        raise _missing(top) from None


def require_extra(module: str) -> None:
    """Check that a module of an optional extra is installed, without importing it.

    Raises:
        MissingExtraError: It is not installed; the message says how to install it.
    """
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise _missing(top)


def import_in_thread(module: str) -> None:
    """Import ``module`` in a thread of its own, while this one does something else."""
    threading.Thread(target=_try_import, args=(module,), daemon=True).start()


def _try_import(module: str) -> None:
    with suppress(Exception):  # who needs the module imports it again, and gets the error
        importlib.import_module(module)


def _missing(top: str) -> MissingExtraError:
    distribution, extra = _EXTRA_OF[top]
    return MissingExtraError(f"this needs {distribution}: pip install 'facecycle[{extra}]'")
