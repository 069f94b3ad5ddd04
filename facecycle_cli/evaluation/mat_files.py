"""Single variables of Matlab's files, which anybody may have made: :func:`read_mat_variable`.

scipy reads them. A compressed variable may say that it unpacks to any size, and scipy would believe
it. The file's elements are therefore unpacked here, up to a limit, and scipy gets those that fit.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.system import import_extra

__all__ = ["read_mat_variable"]

_HEADER_BYTES = 128
_TAG_BYTES = 8
_COMPRESSED = 15
"""Type of an element that holds another one, packed by zlib."""

_LARGEST_ELEMENT = 1 << 16
"""Bytes of an element that is read, unpacked; the parameters of a pose have less than a hundred."""

_NAME_BYTES = 200
"""An element has its name within so many of its first bytes."""

_MOST_NUMBERS = 1000
_MOST_ELEMENTS = 1000
_LARGEST_VERSION_4 = 1 << 20
"""Bytes of a file without a header, which is never compressed."""

_NUMERIC = frozenset(
    {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
)


def read_mat_variable(path: Path, name: str) -> NDArray[np.float64] | None:
    """A variable with a few real numbers, in one dimension; None if the file has none of its name.

    Args:
        path: a .mat file of version 4 to 7.2.
        name: the variable.

    Raises:
        DataError: the file is damaged or of another kind, or the variable is not a few numbers.
        OSError: it cannot be read.
        MissingExtraError: scipy is not installed.
    """
    scipy_io = import_extra("scipy.io")
    if not path.is_file():
        raise DataError("not a regular file")  # and opening it might wait forever
    with path.open("rb") as file:
        small = io.BytesIO(_small_elements(file, name.encode()))
    try:
        found = {variable: (shape, kind) for variable, shape, kind in scipy_io.whosmat(small)}
        if name not in found:
            return None
        shape, kind = found[name]
        if kind not in _NUMERIC or math.prod(shape) > _MOST_NUMBERS:
            raise DataError(f"{name} is {'x'.join(map(str, shape))} {kind}, not a few numbers")
        values = np.ravel(scipy_io.loadmat(small, variable_names=[name])[name])
        if values.dtype.kind not in "iuf":
            raise DataError(f"{name} is of complex numbers")
        return np.asarray(values, np.float64)
    except DataError:
        raise
    except Exception as error:  # scipy's parser raises what it happens to meet
        raise DataError(f"damaged, or not a .mat file ({type(error).__name__}: {error})") from error


def _small_elements(file: BinaryIO, name: bytes) -> bytes:
    """The file without those elements that are too large.

    Raises:
        DataError: it ends within an element, or cannot be unpacked; or the variable ``name`` is
            too large.
    """
    header = file.read(_HEADER_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None:  # version 4, or something else
        data = header + file.read(_LARGEST_VERSION_4)
        if len(data) > _LARGEST_VERSION_4:
            raise DataError("not a .mat file of version 5 to 7.2")
        return data
    return header + b"".join(_elements(file, order, name))


def _elements(file: BinaryIO, order: str, name: bytes) -> Iterator[bytes]:
    for _ in range(_MOST_ELEMENTS):
        tag = file.read(_TAG_BYTES)
        if not tag.strip(b"\0"):
            return
        if len(tag) < _TAG_BYTES:
            raise DataError("damaged .mat file: it ends too early")
        kind, size = struct.unpack(f"{order}II", tag)
        data = file.read(min(size, _LARGEST_ELEMENT))
        if len(data) < min(size, _LARGEST_ELEMENT):
            raise DataError("damaged .mat file: it ends too early")
        file.seek(size - len(data), io.SEEK_CUR)
        complete = size <= _LARGEST_ELEMENT
        element = _unpacked(data, complete) if kind == _COMPRESSED else tag + data
        if complete and len(element) <= _LARGEST_ELEMENT + _TAG_BYTES:
            yield element
        elif name in element[:_NAME_BYTES]:
            raise DataError(f"{name.decode()} is too large: more than {_LARGEST_ELEMENT:,} bytes")
    raise DataError(f"a .mat file of more than {_MOST_ELEMENTS} variables")


def _unpacked(data: bytes, complete: bool) -> bytes:
    """The element that ``data`` packs, or the beginning of one that is too large."""
    unpacker = zlib.decompressobj()
    most = _LARGEST_ELEMENT + _TAG_BYTES
    try:
        element = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise DataError(f"damaged .mat file ({error})") from None
    if complete and not unpacker.eof and len(element) <= most:
        raise DataError("damaged .mat file: a variable is cut off")
    return element
