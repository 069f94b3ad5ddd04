"""A table while it is written: a folder beside the file, which a killed run can go on with.

Every column of numbers is a file to which rows are appended. ``sources.jsonl`` says which inputs
are done and how many rows each has: rows beyond those are of a killed run, and are cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.encode.columns import SOURCE, Column
from facecycle_cli.errors import OutputError, SettingsError
from facecycle_cli.system import LOCK_FILE, locked_folder, parse_json
from facecycle_cli.text import json_text

__all__ = ["PartialTable"]

_SETTINGS, _SOURCES, _COMPLETE = "settings.json", "sources.jsonl", "complete"


class PartialTable:
    """Rows on disk, in the order in which they came. A context: one process writes it at a time.

    Args:
        folder: where; it is made, and holds nothing else.
        columns: of numbers; the names of the sources are kept beside them.
        settings: what the rows depend on, as JSON has it.

    Attributes:
        rows: how many are committed.
        sources: how many inputs these are of, with those that had no row.

    Raises:
        SettingsError: on entering, the folder holds rows that were made with other settings.
        OutputError: on entering, another process is writing it, or it is damaged.
    """

    def __init__(
        self, folder: Path, columns: Sequence[Column], settings: Mapping[str, Any]
    ) -> None:
        self.folder = folder
        self.columns = tuple(columns)
        self.rows = 0
        self.sources = 0
        self._settings = json_text(settings)
        self._files: dict[str, BinaryIO] = {}
        self._before = Counter[bytes]()
        self._stack = ExitStack()

    def __enter__(self) -> PartialTable:
        with ExitStack() as stack:
            stack.enter_context(locked_folder(self.folder))
            if (self.folder / _COMPLETE).exists():
                self._clear()  # its file was written: these rows are of the call before
            self._claim()
            self._recover()
            for name in (*(c.name for c in self.columns), SOURCE):
                self._files[name] = stack.enter_context(open(self._path(name), "ab"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if (self.folder / _COMPLETE).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def take_done(self, source: str) -> bool:
        """Whether an earlier call has committed the rows of this input; asked once for each time
        that it is among the inputs.
        """
        digest = _digest(source)
        if not self._before[digest]:
            return False
        self._before[digest] -= 1
        return True

    def append(
        self, rows: Mapping[str, NDArray[Any]], counts: Sequence[tuple[str, int]] = ()
    ) -> None:
        """Take rows; they count from the next :meth:`commit` on, which says what they are of.

        Raises:
            OSError: they cannot be written.
        """
        for column in self.columns:
            data = np.ascontiguousarray(rows[column.name], column.dtype)
            self._files[column.name].write(data.tobytes())

    def commit(self, counts: Sequence[tuple[str, int]]) -> None:
        """Count the rows since the last call.

        Args:
            counts: the inputs that they are of, and how many each has, in order.

        Raises:
            OSError: they cannot be written.
        """
        for column in self.columns:
            self._files[column.name].flush()
        lines = (json.dumps({SOURCE: name, "rows": count}) + "\n" for name, count in counts)
        self._files[SOURCE].write("".join(lines).encode("ascii"))
        self._files[SOURCE].flush()
        self.rows += sum(count for _, count in counts)
        self.sources += len(counts)

    def rollback(self) -> None:
        """Forget the rows since the last :meth:`commit`."""
        for column in self.columns:
            file = self._files[column.name]
            file.flush()
            file.truncate(self.rows * _row_bytes(column))

    def complete(self) -> None:
        """Say that the file is written: the folder is removed at the end of the context."""
        (self.folder / _COMPLETE).touch()

    # -- reading -----------------------------------------------------------------------------------

    def names(self) -> Iterator[tuple[str, int]]:
        """The inputs with rows, and how many each has, in the order of the rows."""
        for entry in self._entries():
            if entry["rows"]:
                yield entry[SOURCE], entry["rows"]

    def blocks(self, column: Column, size: int) -> Iterator[NDArray[Any]]:
        """The committed values of a column, (size, ...) at a time; the last block may be shorter.

        Raises:
            OutputError: the file is shorter than it was.
        """
        with open(self._path(column.name), "rb") as file:
            for start in range(0, self.rows, size):
                count = min(size, self.rows - start)
                data = file.read(count * _row_bytes(column))
                if len(data) != count * _row_bytes(column):
                    raise self._damaged()
                yield np.frombuffer(data, column.dtype).reshape(count, *column.shape)

    # -- parts -------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self.folder / (_SOURCES if name == SOURCE else f"{name}.bin")

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != LOCK_FILE:
                path.unlink()

    def _claim(self) -> None:
        path = self.folder / _SETTINGS
        try:
            before = path.read_text("ascii")
        except FileNotFoundError:
            self._clear()  # a run was killed before it wrote anything
            path.write_text(self._settings, "ascii")
            return
        except UnicodeDecodeError:
            raise self._damaged() from None
        if before != self._settings:
            raise SettingsError(
                f"{self.folder} holds a part of a table with other inputs, options or weights; "
                "remove it, or give the same ones to go on"
            )

    def _recover(self) -> None:
        """Find what is committed, and cut off the rest."""
        end = 0
        for entry in self._entries():
            self._before[_digest(entry[SOURCE])] += 1
            self.rows += entry["rows"]
            self.sources += 1
            end = entry["end"]
        for column in self.columns:
            self._cut(self._path(column.name), self.rows * _row_bytes(column))
        self._cut(self._path(SOURCE), end)

    def _cut(self, path: Path, size: int) -> None:
        with open(path, "ab") as file:
            if os.fstat(file.fileno()).st_size < size:
                raise self._damaged()
            file.truncate(size)

    def _entries(self) -> Iterator[dict[str, Any]]:
        """The lines of ``sources.jsonl``, with ``end``, the byte at which each ends."""
        path = self._path(SOURCE)
        if not path.exists():
            return
        end = 0
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # of a killed run
                    return
                end += len(line)
                try:
                    entry = parse_json(line)
                    yield {SOURCE: str(entry[SOURCE]), "rows": int(entry["rows"]), "end": end}
                except (KeyError, TypeError, ValueError):
                    raise self._damaged() from None

    def _damaged(self) -> OutputError:
        return OutputError(f"{self.folder} is damaged: remove it to begin again")


def _row_bytes(column: Column) -> int:
    return column.size * np.dtype(column.dtype).itemsize


def _digest(name: str) -> bytes:
    """Of a name, so that a million of them fit into memory."""
    return hashlib.blake2b(os.fsencode(name), digest_size=12).digest()
