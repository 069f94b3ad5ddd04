"""Tables that people have made, row by row: one that is damaged does not end the reading."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from facecycle_cli.errors import DataError
from facecycle_cli.text import encoding_of

__all__ = ["CsvRow", "CsvTable"]

_LONGEST_LINE = 1 << 22
"""Characters: a picture of 1024x1024 numbers."""


@dataclass(frozen=True)
class CsvTable:
    """A CSV or TSV file with a header.

    Attributes:
        path: the file.
        header: the names of its columns, in small letters.
        delimiter: what is between cells.
    """

    path: Path
    header: tuple[str, ...]
    delimiter: str

    @classmethod
    def open(cls, path: Path) -> CsvTable:
        """Read the header. Cells are split by tabs in a .tsv, elsewhere by what the header uses.

        Raises:
            DataError: it cannot be taken apart.
            OSError: it cannot be read.
        """
        # The module's own limit is not far above FER-2013's pictures.
        csv.field_size_limit(_LONGEST_LINE)
        with _open(path) as file:
            first = file.readline(_LONGEST_LINE)
        known = "\t" if path.suffix.lower() == ".tsv" else ",;\t"
        delimiter = next((d for d in known if d in first), known[0])
        try:
            cells = _cells(first, delimiter)
        except csv.Error as error:
            raise DataError(f"line 1: {error}") from None
        return cls(path, tuple(name.lower() for name in cells), delimiter)

    def rows(self) -> Iterator[CsvRow]:
        """The rows, read as they are needed; empty ones are left out."""
        with _open(self.path) as file:
            file.readline(_LONGEST_LINE)
            for number, line in enumerate(_lines(file), 2):
                row: list[str] = []
                problem = None
                try:
                    row = _cells(line, self.delimiter)
                except csv.Error as error:
                    problem = f"its cells cannot be told apart ({error})"
                if len(line) >= _LONGEST_LINE:
                    problem = f"longer than {_LONGEST_LINE:,} characters"
                elif "\0" in line:
                    problem = "it holds a zero byte"
                if problem or any(row):
                    cells = dict(zip(self.header, row, strict=False))
                    more = any(row[len(self.header) :])
                    yield CsvRow(self, number, cells, len(row), more, problem)


@dataclass(frozen=True)
class CsvRow:
    """One row.

    Attributes:
        table: where it is from.
        number: of its line in the file.
        cells: by the names of their columns.
        count: how many cells it has.
        more: whether there is something in cells beyond the header's.
        problem: why it could not be taken apart; None if it could.
    """

    table: CsvTable
    number: int
    cells: dict[str, str]
    count: int
    more: bool
    problem: str | None

    def __getitem__(self, column: str) -> str:
        """A cell; empty if there is none."""
        return self.cells.get(column, "")

    @property
    def name(self) -> str:
        """The file and the line, for messages."""
        return f"{self.table.path.name}, line {self.number}"

    @property
    def length(self) -> str:
        """How many cells there are and should be, in words."""
        cells = f"{self.count} cell{'' if self.count == 1 else 's'}"
        return f"{cells} for {len(self.table.header)} columns"

    def require(self, *columns: str) -> None:
        """Check that there is something in each of ``columns``.

        Raises:
            DataError: there is not, or the row is damaged.
        """
        if self.problem is not None:
            raise DataError(self.problem)
        for column in columns:
            if column not in self.cells:
                raise DataError(f"{self.length}, and the one of {column} is missing")
            if not self.cells[column]:
                raise DataError(f"no {column}")

    def refuse_more(self) -> None:
        """Check that there are no more cells than columns: which belongs where is not known then.

        Raises:
            DataError: there are.
        """
        if self.more:
            raise DataError(self.length)


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4))
    # Names of files may hold bytes that are no text.
    return path.open(newline="", encoding=encoding, errors="surrogateescape")


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file; of one that is too long its beginning.

    No cell holds a line break: a quote that is never closed then costs one row, and not the rest of
    the file.
    """
    while line := file.readline(_LONGEST_LINE):
        yield line
        while len(line) == _LONGEST_LINE and not line.endswith(("\r", "\n")):
            line = file.readline(_LONGEST_LINE)


def _cells(line: str, delimiter: str) -> list[str]:
    reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    return [cell.strip() for cell in next(reader, [])]
