"""What every floor needs of the machine: atomic writing, hashes, CPU cores, optional libraries."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from facecycle_cli.errors import MissingExtraError

_EXTRA_OF = {
    "face_alignment": ("face-alignment", "face-alignment"),
    "matplotlib": ("matplotlib", "evaluate"),
    "onnx": ("onnx", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "ray": ("ray", "ray"),
    "scipy": ("scipy", "evaluate"),
    "skimage": ("scikit-image", "evaluate"),
    "sklearn": ("scikit-learn", "evaluate"),
}
"""Name of a module -> its distribution, and our extra that installs it."""

_CHUNK_BYTES = 1 << 20


class PendingFile:
    """A file that is written at ``path`` and appears under its own name only when committed.

    A link is followed and not replaced. What is no regular file (``/dev/null``, a named pipe) is
    written directly.

    Args:
        name: The file. Its folder is made if it is missing.

    Attributes:
        target: The file, with links followed.
        path: Where to write: a name in the same folder, with the same suffix.
    """

    def __init__(self, name: str | os.PathLike[str]) -> None:
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
