"""A table of faces as a file: npz, Parquet, CSV or JSON lines, block by block."""

from __future__ import annotations

import csv
import itertools
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.encode.columns import SOURCE, Column
from facecycle_cli.encode.partial import PartialTable
from facecycle_cli.media.arrays import write_array
from facecycle_cli.system import import_extra, require_extra
from facecycle_cli.text import json_text

__all__ = ["FORMATS", "json_lines", "require_format", "write_table"]

_BLOCK = 1024
"""Rows that are held in memory at once."""

Rows: TypeAlias = "Mapping[str, NDArray[Any]]"


def require_format(suffix: str) -> None:
    """Check that a file with this suffix, one of :data:`FORMATS`, can be written.

    Raises:
        MissingExtraError: it needs an extra that is not installed.
    """
    if suffix == ".parquet":
        require_extra("pyarrow")


def write_table(table: PartialTable, path: Path, suffix: str) -> None:
    """Write all committed rows.

    Args:
        table: the rows.
        path: the file.
        suffix: its format, one of :data:`FORMATS`.

    Raises:
        MissingExtraError: the format needs an extra that is not installed.
        OutputError: the rows are damaged.
        OSError: the file cannot be written.
    """
    FORMATS[suffix](table, path)


# -- blocks of rows -------------------------------------------------------------------------------


def _names(table: PartialTable) -> Iterator[str]:
    """The source of every row."""
    for name, count in table.names():
        yield from itertools.repeat(name, count)


def _blocks(table: PartialTable) -> Iterator[tuple[list[str], Rows]]:
    """Sources and columns of the rows, a block at a time."""
    names = _names(table)
    columns = zip(*(table.blocks(column, _BLOCK) for column in table.columns), strict=True)
    for values in columns:
        rows = dict(zip((c.name for c in table.columns), values, strict=True))
        yield list(itertools.islice(names, len(values[0]))), rows


def _texts(column: Column, values: NDArray[Any]) -> list[list[str]]:
    """The numbers of each row as text; empty for NaN.

    float32 numbers have seven significant digits, which is their precision.
    """
    flat = values.reshape(len(values), -1)
    if column.dtype == "<i8":
        return [[str(v) for v in row] for row in flat.tolist()]
    pattern = " ".join([("%.7g" if column.dtype == "<f4" else "%.6f")] * flat.shape[1])
    lines = [(pattern % tuple(row)).split() for row in flat.tolist()]
    if np.isnan(flat).any():
        lines = [["" if v == "nan" else v for v in line] for line in lines]
    return lines


# -- the formats ----------------------------------------------------------------------------------


def _write_npz(table: PartialTable, path: Path) -> None:
    width = max((len(name) for name, _ in table.names()), default=1)
    dtype = np.dtype(f"<U{max(1, width)}")
    names = _names(table)
    sources = (
        np.array(block, dtype).tobytes()
        for block in iter(lambda: list(itertools.islice(names, _BLOCK)), [])
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        write_array(archive, SOURCE, dtype, (table.rows,), sources)
        for column in table.columns:
            data = (block.tobytes() for block in table.blocks(column, _BLOCK))
            shape = (table.rows, *column.shape)
            write_array(archive, column.name, np.dtype(column.dtype), shape, data)


def _write_csv(table: PartialTable, path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([SOURCE, *(h for column in table.columns for h in column.headings)])
        for names, rows in _blocks(table):
            texts = [_texts(column, rows[column.name]) for column in table.columns]
            for name, *cells in zip(names, *texts, strict=True):
                writer.writerow([name, *itertools.chain.from_iterable(cells)])


def json_lines(
    columns: Sequence[Column], names: Sequence[str], rows: Mapping[str, NDArray[Any]]
) -> Iterator[str]:
    """Rows as JSON objects, each in a line without its end; null for what is not known.

    Args:
        columns: of numbers, in order.
        names: the source of each row.
        rows: the columns by name.
    """
    texts = [map(_json_of(column), _texts(column, rows[column.name])) for column in columns]
    keys = [f'"{column.name}": ' for column in columns]
    for name, *values in zip(names, *texts, strict=True):
        pairs = (key + value for key, value in zip(keys, values, strict=True))
        yield f'{{"{SOURCE}": {json_text(name)}, {", ".join(pairs)}}}'


def _json_of(column: Column) -> Callable[[list[str]], str]:
    """Makes a JSON value of the numbers of one row."""

    def nested(numbers: list[str], shape: tuple[int, ...]) -> str:
        if not shape:
            return numbers[0] or "null"
        if len(shape) == 1:
            return f"[{', '.join(numbers)}]"
        step = len(numbers) // shape[0]
        parts = (numbers[i : i + step] for i in range(0, len(numbers), step))
        return f"[{', '.join(nested(part, shape[1:]) for part in parts)}]"

    def value(numbers: list[str]) -> str:
        known = all(numbers) or not column.shape
        return nested(numbers, column.shape) if known else "null"

    return value


def _write_json_lines(table: PartialTable, path: Path) -> None:
    with open(path, "w", encoding="ascii") as file:
        for names, rows in _blocks(table):
            file.writelines(f"{line}\n" for line in json_lines(table.columns, names, rows))


def _write_parquet(table: PartialTable, path: Path) -> None:
    arrow = import_extra("pyarrow")
    schema = arrow.schema(
        [(SOURCE, arrow.string()), *((c.name, _arrow_type(arrow, c)) for c in table.columns)]
    )
    with import_extra("pyarrow.parquet").ParquetWriter(path, schema) as writer:
        for names, rows in _blocks(table):
            # Bytes of a name that are no text have no place in a column of text.
            texts = [n.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for n in names]
            arrays = [arrow.array(texts, arrow.string())]
            arrays += [_arrow_array(arrow, c, rows[c.name]) for c in table.columns]
            writer.write_batch(arrow.record_batch(arrays, schema=schema))


def _arrow_type(arrow: Any, column: Column) -> Any:
    number = {"<f4": arrow.float32(), "<f8": arrow.float64(), "<i8": arrow.int64()}[column.dtype]
    return arrow.list_(number, column.size) if column.shape else number


def _arrow_array(arrow: Any, column: Column, values: NDArray[Any]) -> Any:
    """A column: lists of one length for what is no single number; null for what is not known."""
    flat = values.reshape(len(values), -1)
    unknown = np.isnan(flat).any(axis=1)
    if not column.shape:
        return arrow.array(flat[:, 0], mask=unknown)
    numbers = arrow.array(flat.ravel())
    mask = arrow.array(unknown)
    return arrow.FixedSizeListArray.from_arrays(numbers, column.size, mask=mask)


FORMATS: Mapping[str, Callable[[PartialTable, Path], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
}
"""What writes a table, by the suffix of its file."""
