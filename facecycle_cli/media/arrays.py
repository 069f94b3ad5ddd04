"""``.npz`` files whose arrays are longer than memory: written and read some rows at a time."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ArrayKind",
    "BytesKind",
    "Kind",
    "Row",
    "RowWriter",
    "has_array",
    "read_rows",
    "read_small_array",
    "write_array",
]

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""Of the arrays in a file: the same rows give the same bytes."""

_BLOCK = 64
"""Rows that are read at once."""

_PART = 1 << 20
"""Bytes that are copied at once."""

_MAX_HEADER = 10_000
"""Bytes of an array's header: numpy's own limit."""

Row: TypeAlias = "Mapping[str, NDArray[Any]]"


class ArrayKind(NamedTuple):
    """What one row of an array is.

    Attributes:
        dtype: as numpy writes it: ``<f4``.
        shape: of one row.
    """

    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class BytesKind:
    """Rows of as many bytes as each needs, (n,) uint8.

    The file has an array of all of them, one row after the other, and an array ``NAME_size`` of how
    many each row has.

    Attributes:
        most: in a row.
    """

    most: int


Kind: TypeAlias = "ArrayKind | BytesKind"

_BYTE, _SIZE = ArrayKind("|u1"), ArrayKind("<i4")


def write_array(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    data: Iterator[bytes],
) -> None:
    """Write an array to an ``.npz``, from its bytes in pieces."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_DATE), "w", force_zip64=True) as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in data:
            file.write(part)


class RowWriter:
    """Collects rows on disk until their number is known. A context.

    Args:
        kinds: of the arrays, by name.

    Attributes:
        rows: how many there are.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self.rows = 0
        self._kinds = dict(kinds)
        self._arrays = _arrays(kinds)
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> RowWriter:
        for name in self._arrays:
            self._files[name] = self._stack.enter_context(tempfile.TemporaryFile())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def append(self, row: Row) -> None:
        """Take one row of every array.

        Raises:
            ValueError: one is of another shape, or has too many bytes.
            OSError: the disk is full.
        """
        for name, kind in self._kinds.items():
            if isinstance(kind, BytesKind):
                values = np.asarray(row[name], _BYTE.dtype)
                if values.ndim != 1 or len(values) > kind.most:
                    raise ValueError(f"{name} is {values.shape}, not at most ({kind.most},)")
                self._files[_size_name(name)].write(np.array(len(values), _SIZE.dtype).tobytes())
            else:
                values = np.asarray(row[name], kind.dtype)
                if values.shape != kind.shape:
                    raise ValueError(f"{name} is {values.shape}, not {kind.shape}")
            self._files[name].write(values.tobytes())
        self.rows += 1

    def write(self, path: str | PathLike[str], beside: Row) -> None:
        """Write all rows.

        Args:
            path: of the file.
            beside: other arrays, which are written before them.

        Raises:
            OSError: it cannot be written.
        """
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, array in beside.items():
                write_array(archive, name, array.dtype, array.shape, iter([array.tobytes()]))
            for name, kind in self._arrays.items():
                rows = self._files[name].tell() // kind.row_bytes
                shape = (rows, *kind.shape)
                write_array(archive, name, np.dtype(kind.dtype), shape, self._parts(name))

    def _parts(self, name: str) -> Iterator[bytes]:
        file = self._files[name]
        file.seek(0)
        while part := file.read(_PART):
            yield part


def has_array(path: str | PathLike[str], name: str) -> bool:
    """Whether an ``.npz`` has an array of that name.

    Raises:
        ValueError: this is no such file.
        OSError: it cannot be read.
    """
    with _opened(path) as archive:
        return f"{name}.npy" in archive.namelist()


def read_small_array(path: str | PathLike[str], name: str, most_bytes: int) -> NDArray[Any]:
    """One array of an ``.npz``.

    Raises:
        ValueError: this is no such file, it has no such array, or that is larger than
            ``most_bytes``.
        OSError: it cannot be read.
    """
    with _opened(path) as archive, _member(archive, name) as file:
        shape, dtype = _header(file)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size > most_bytes:
            raise ValueError(f"{name} has {size:,} bytes, more than {most_bytes:,}")
        return np.frombuffer(_exactly(file, size), dtype).reshape(shape)


def read_rows(path: str | PathLike[str], kinds: Mapping[str, Kind]) -> Generator[Row, None, None]:
    """The rows of an ``.npz``, each a mapping from names to arrays.

    Raises:
        ValueError: this is no such file, it cannot be read, or an array is missing, of another
            kind, or of another length.
        OSError: it cannot be read.
    """
    with _opened(path) as archive, ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        lengths = {}
        for name, array in _arrays(kinds).items():
            files[name] = stack.enter_context(_member(archive, name))
            shape, dtype = _header(files[name])
            if dtype.str != array.dtype or not shape or tuple(shape[1:]) != array.shape:
                raise ValueError(f"{name} is {dtype.str}{shape}, not {array.dtype}{array.shape}")
            lengths[name] = shape[0]
        bytes_left = {
            name: lengths.pop(name) for name, kind in kinds.items() if isinstance(kind, BytesKind)
        }
        if len(set(lengths.values())) != 1:
            raise ValueError("its arrays are not of one length")
        count = next(iter(lengths.values()))
        for start in range(0, count, _BLOCK):
            rows = min(_BLOCK, count - start)
            block: dict[str, Any] = {}
            for name, kind in kinds.items():
                if isinstance(kind, BytesKind):
                    sizes = _array(files[_size_name(name)], _SIZE, rows)
                    bytes_left[name] -= int(sizes.sum())
                    if (sizes < 0).any() or (sizes > kind.most).any() or bytes_left[name] < 0:
                        raise ValueError(f"{name} is not as long as {_size_name(name)} says")
                    block[name] = [_array(files[name], _BYTE, int(size)) for size in sizes]
                else:
                    block[name] = _array(files[name], kind, rows)
            for number in range(rows):
                yield {name: values[number] for name, values in block.items()}


def _arrays(kinds: Mapping[str, Kind]) -> dict[str, ArrayKind]:
    """The arrays of a file that has such rows."""
    arrays = {}
    for name, kind in kinds.items():
        if isinstance(kind, BytesKind):
            arrays[name], arrays[_size_name(name)] = _BYTE, _SIZE
        else:
            arrays[name] = kind
    return arrays


def _size_name(name: str) -> str:
    return f"{name}_size"


def _opened(path: str | PathLike[str]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError):
        raise ValueError("it is no .npz file") from None


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(f"{name}.npy")
    except KeyError:
        raise ValueError(f"it has no array {name!r}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise ValueError(f"{name} cannot be read") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array in C order, not of objects."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, in_columns, dtype = read(file, max_header_size=_MAX_HEADER)
    except (ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile, SyntaxError):
        raise ValueError("one of its arrays cannot be read") from None
    if in_columns or dtype.hasobject or any(length < 0 for length in shape):
        raise ValueError("it holds arrays of another kind")
    return shape, dtype


def _exactly(file: IO[bytes], size: int) -> bytes:
    try:
        data = file.read(size)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ValueError("one of its arrays cannot be read") from None
    if len(data) != size:
        raise ValueError("it is cut off")
    return data


def _array(file: IO[bytes], kind: ArrayKind, rows: int) -> NDArray[Any]:
    """The next rows of an array."""
    data = _exactly(file, rows * kind.row_bytes)
    return np.frombuffer(data, kind.dtype).reshape(rows, *kind.shape)
