"""Vectors of faces that were found before, by the file that they are in and by the weights."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import OutputError

__all__ = ["FileState", "VectorCache"]

_APPLICATION = 0x66636373
"""SQLite's mark of our files."""

_WAIT_SECONDS = 30.0
"""How long another process may be writing."""

_TABLE = """
CREATE TABLE IF NOT EXISTS pictures (
    file BLOB, kind TEXT, size INTEGER, changed INTEGER, vectors BLOB, PRIMARY KEY (file, kind)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class FileState:
    """What says that a file is the one that was read before.

    Attributes:
        file: its full name.
        size: in bytes.
        changed: when it was last changed, nanoseconds.
    """

    file: str
    size: int
    changed: int

    @classmethod
    def of(cls, path: str) -> FileState:
        """The state of a file now.

        Raises:
            OSError: there is none.
        """
        status = os.stat(path)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)


class VectorCache:
    """A SQLite file that only its owner can read. A context; several processes may share it.

    Args:
        path: the file; None keeps everything in memory.
        kind: what the vectors depend on besides the file: weights, how faces are found.
        size: length of a vector.

    Raises:
        OutputError: the file is no cache of facecycle, or cannot be opened or written; all methods
            raise this, too.
    """

    def __init__(self, path: Path | None, kind: str, size: int) -> None:
        self._name = "memory" if path is None else str(path)
        self._kind = kind
        self._size = size
        with self._errors():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(path or ":memory:", timeout=_WAIT_SECONDS)
            try:
                self._claim()
            except BaseException:
                self._database.close()
                raise

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with closing(self._database), self._errors():
            self._database.commit()

    def get(self, state: FileState) -> NDArray[np.float32] | None:
        """The vectors of the file's faces, (N, size) float32; None if they are not known."""
        with self._errors():
            row = self._database.execute(
                "SELECT vectors FROM pictures WHERE file=? AND kind=? AND size=? AND changed=?",
                (os.fsencode(state.file), self._kind, state.size, state.changed),
            ).fetchone()
        if row is None or not isinstance(row[0], bytes) or len(row[0]) % (4 * self._size):
            return None
        vectors = np.frombuffer(row[0], "<f4").reshape(-1, self._size)
        return vectors if np.isfinite(vectors).all() else None

    def put(self, state: FileState, vectors: NDArray[np.float32]) -> None:
        """Keep the vectors of the file's faces, (N, size); N may be 0."""
        row = (os.fsencode(state.file), self._kind, state.size, state.changed)
        with self._errors():
            self._database.execute(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
                (*row, np.ascontiguousarray(vectors, "<f4").tobytes()),
            )

    def save(self) -> None:
        """Write what was kept so far."""
        with self._errors():
            self._database.commit()

    def _claim(self) -> None:
        (mark,) = self._database.execute("PRAGMA application_id").fetchone()
        (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mark != _APPLICATION and (mark or tables):
            raise OutputError(f"{self._name} is no cache of facecycle")
        self._database.execute(f"PRAGMA application_id={_APPLICATION}")
        self._database.execute(_TABLE)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(f"{self._name}: {error}") from error
        except OSError as error:
            raise OutputError(f"{self._name}: {error.strerror or error}") from error
