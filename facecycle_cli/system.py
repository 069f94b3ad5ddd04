"""What every floor needs of the machine: whole files, hashes, cores, and optional libraries."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import secrets
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
"""Importable name -> the distribution that has it, and the extra of ours that installs it."""

_CHUNK_BYTES = 1 << 20


class PendingFile:
    """A file in the making: written at ``path``, seen at its own name only after `commit`.

    ``path`` is in the same folder (which is created) and has the same suffix. What is no regular
    file (``/dev/null``, a named pipe) is its own ``path``, and a link is followed rather than
    replaced.
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
        """Whether ``path`` is not the target itself."""
        return self.path != self.target

    def commit(self) -> None:
        """Give the complete file its name."""
        if self.is_temporary:
            os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove what was written."""
        if self.is_temporary:
            self.path.unlink(missing_ok=True)


@contextmanager
def atomic_path(name: str | os.PathLike[str]) -> Iterator[Path]:
    """`PendingFile.path`, committed when the block ends well and discarded when it raises."""
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
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def usable_cores() -> int:
    """How many CPU cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def import_extra(module: str) -> ModuleType:
    """Import ``module`` of an optional extra when it is first needed.

    Raises:
        MissingExtraError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # it is there, and something inside of it is broken
        raise _missing(top) from None


def require_extra(module: str) -> None:
    """Check, without importing it, that ``module`` is installed.

    Raises:
        MissingExtraError: it is not; the message says how to install it.
    """
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise _missing(top)


def import_in_thread(module: str) -> None:
    """Start to import ``module`` in a thread of its own, while something else takes its time."""
    threading.Thread(target=_try_import, args=(module,), daemon=True).start()


def _try_import(module: str) -> None:
    with suppress(Exception):  # whoever needs it meets the error again
        importlib.import_module(module)


def _missing(top: str) -> MissingExtraError:
    distribution, extra = _EXTRA_OF[top]
    return MissingExtraError(f"this needs {distribution}: pip install 'facecycle[{extra}]'")
