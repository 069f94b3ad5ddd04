"""Lists of pairs of pictures: LFW's, CPLFW's, CSV and TSV."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.verify.pairs import Pair

__all__ = ["parse_pairs", "read_pairs"]

_COLUMNS = ("path_a", "path_b", "same", "fold", "group")
_SAME = {"1": True, "true": True, "same": True, "yes": True}
_DIFFERENT = {"0": False, "false": False, "different": False, "no": False}
_LFW_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp")
_FOLDS = 10


def read_pairs(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> list[Pair]:
    """Read a list of pairs; see :func:`parse_pairs`.

    Args:
        path: the list.
        root: folder that its names are relative to; the list's own by default.

    Raises:
        DataError: the file is no list of pairs.
        OSError: it cannot be read.
    """
    text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")
    return parse_pairs(text, Path(path).parent if root is None else root)


def parse_pairs(text: str, root: str | os.PathLike[str]) -> list[Pair]:
    """The pairs that a text lists, in one of these forms, which are recognized by their look:

    - LFW's ``pairs.txt`` (and ``pairsDevTest.txt``, and its CSV versions): a first line with the
      number of folds and of pairs in them, then ``name n m`` for the same person and
      ``name n other m`` for two, standing for ``name/name_0001.jpg``;
    - CPLFW's and CALFW's: ``file flag``, two lines to a pair, flag 0 for different persons;
    - CSV, TSV or columns between spaces: ``path_a path_b [same] [fold] [group]``, with or without
      a header, which may name the columns in any order.

    Raises:
        DataError: none of these, with the number of the offending line.
    """
    rows = list(_rows(text))
    if not rows:
        raise DataError("the list of pairs is empty")
    folder = Path(root)
    first = rows[0][1]
    if _is_lfw_header(first) or _is_lfw_row(first) or "imagenum1" in first:
        return _lfw_pairs(rows, folder)
    if all(len(row) == 2 and row[1].isdigit() for _, row in rows):
        return _two_line_pairs(rows, folder)
    return _table_pairs(rows, folder)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines, split into their cells; empty lines and comments left out."""
    lines = text.splitlines()
    sample = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = next((d for d in ("\t", ",", ";") if d in sample), None)
    if _is_lfw_header(sample.split()):  # its lines are split by tabs or, in some copies, spaces
        delimiter = None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split() if delimiter is None else next(csv.reader([line], delimiter=delimiter))
        while len(cells) > 1 and not cells[-1].strip():  # Kaggle's LFW ends its lines in a comma
            cells.pop()
        yield number, [cell.strip() for cell in cells]


# -- LFW ------------------------------------------------------------------------------------------


def _is_lfw_header(row: Sequence[str]) -> bool:
    return 1 <= len(row) <= 2 and all(cell.isdigit() for cell in row)


def _is_lfw_row(row: Sequence[str]) -> bool:
    if len(row) == 3:
        return row[1].isdigit() and row[2].isdigit() and not _looks_like_file(row[0])
    return len(row) == 4 and row[1].isdigit() and row[3].isdigit() and not row[2].isdigit()


def _looks_like_file(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _lfw_pairs(rows: Sequence[tuple[int, list[str]]], root: Path) -> list[Pair]:
    header = rows[0][1] if _is_lfw_header(rows[0][1]) else None
    first = 0 if _is_lfw_row(rows[0][1]) else 1
    files = _LfwFiles(root)
    pairs = []
    for number, row in rows[first:]:
        if not _is_lfw_row(row):
            raise DataError(f"line {number}: neither 'name n m' nor 'name n other m'")
        if len(row) == 3:
            a, b = files(row[0], row[1]), files(row[0], row[2])
        else:
            a, b = files(row[0], row[1]), files(row[2], row[3])
        pairs.append(Pair(a, b, same=len(row) == 3))
    if header is None:
        return pairs
    folds, each = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    if len(pairs) != 2 * folds * each:
        raise DataError(
            f"the first line announces {2 * folds * each} pairs ({each} and {each} in each of "
            f"{folds} folds), and the list has {len(pairs)}"
        )
    if folds == 1:
        return pairs
    return [Pair(p.a, p.b, p.same, fold=i // (2 * each)) for i, p in enumerate(pairs)]


class _LfwFiles:
    """``name_0001`` in LFW's folders: one per person, or all pictures in one.

    Folders are listed once each; asking for every file would take longer than comparing them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[Path, frozenset[str]] = {}

    def __call__(self, name: str, number: str) -> str:
        stem = f"{name}_{int(number):04d}"
        for folder in (self.root / name, self.root):
            for suffix in _LFW_SUFFIXES:
                if f"{stem}{suffix}" in self._names(folder):
                    return str(folder / f"{stem}{suffix}")
        return str(self.root / name / f"{stem}.jpg")

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listed[folder] = frozenset()
        return self._listed[folder]


# -- CPLFW and CALFW ------------------------------------------------------------------------------


def _two_line_pairs(rows: Sequence[tuple[int, list[str]]], root: Path) -> list[Pair]:
    if len(rows) % 2:
        raise DataError(f"line {rows[-1][0]}: the second line of this pair is missing")
    pairs = []
    for (_, (a, flag)), (number, (b, other)) in zip(rows[::2], rows[1::2], strict=True):
        if flag != other:
            raise DataError(f"line {number}: the two lines of a pair have different flags")
        pairs.append(Pair(str(root / a), str(root / b), same=flag != "0"))
    # These lists have LFW's ten folds, one after the other, without saying so.
    labels = np.array([pair.same for pair in pairs])
    if len(pairs) % (2 * _FOLDS) == 0:
        halves = labels.reshape(_FOLDS, 2, -1)
        if halves[:, 0].all() and not halves[:, 1].any():
            each = len(pairs) // _FOLDS
            return [Pair(p.a, p.b, p.same, fold=i // each) for i, p in enumerate(pairs)]
    return pairs


# -- tables ---------------------------------------------------------------------------------------


def _table_pairs(rows: Sequence[tuple[int, list[str]]], root: Path) -> list[Pair]:
    names = [cell.lower() for cell in rows[0][1]]
    if "path_a" in names and "path_b" in names:
        columns = {name: names.index(name) for name in _COLUMNS if name in names}
        rows = rows[1:]
    else:
        columns = {name: i for i, name in enumerate(_COLUMNS)}
    return [_table_pair(number, row, columns, root) for number, row in rows]


def _table_pair(number: int, row: list[str], columns: dict[str, int], root: Path) -> Pair:
    def cell(name: str) -> str:
        position = columns.get(name, len(row))
        return row[position] if position < len(row) else ""

    a, b = cell("path_a"), cell("path_b")
    if not a or not b:
        raise DataError(f"line {number}: a pair needs two pictures, path_a and path_b")
    label, fold = cell("same").lower(), cell("fold")
    if label and label not in _SAME and label not in _DIFFERENT:
        raise DataError(f"line {number}: same is {label!r}, not 1 or 0")
    if fold and not re.fullmatch(r"-?\d+", fold):
        raise DataError(f"line {number}: fold is {fold!r}, not a number")
    return Pair(
        str(root / a),
        str(root / b),
        {**_SAME, **_DIFFERENT}[label] if label else None,
        int(fold) if fold else None,
        cell("group") or None,
    )
