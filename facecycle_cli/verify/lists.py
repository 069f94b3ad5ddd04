"""Lists of pairs of pictures: LFW's, CPLFW's, VoxCeleb's, CSV and TSV."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.text import encoding_of
from facecycle_cli.verify.pairs import Pair

__all__ = ["parse_pairs", "read_pairs"]

_LFW_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp")
_FOLDS = 10

_LARGEST_BYTES = 1 << 28
"""Of a list: three million pairs. A device would have no end."""

_COUNT = re.compile(r"[0-9]{1,9}")
"""``str.isdigit`` also takes digits that ``int`` does not, and any number of them."""

_WHOLE_NUMBER = re.compile(r"([0-9]{1,9})(?:\.0*)?")
"""A fold, also as pandas writes a column of whole numbers that has gaps."""


def read_pairs(
    source: str | os.PathLike[str] | BinaryIO, root: str | os.PathLike[str] | None = None
) -> list[Pair]:
    """Read a list of pairs in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Args:
        source: the list, see :func:`parse_pairs`: its file, or a stream.
        root: folder that its names are relative to; None: the file's own, and the working folder
            for a stream.

    Raises:
        DataError: it is no list of pairs.
        OSError: it cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            return read_pairs(file, Path(source).parent if root is None else root)
    data = source.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise DataError(f"larger than {_LARGEST_BYTES >> 20} MB, this is no list of pairs")
    encoding = encoding_of(data[:4])
    try:
        text = data.decode(encoding, "surrogateescape")  # names need not be text
    except UnicodeDecodeError:
        raise DataError(f"not a text in {encoding.upper()}, as it begins") from None
    return parse_pairs(text, Path() if root is None else root)


def parse_pairs(text: str, root: str | os.PathLike[str]) -> list[Pair]:
    """The pairs that a text lists, in one of these forms, which are recognized by their look:

    - LFW's ``pairs.txt`` (and ``pairsDevTest.txt``, and its CSV versions): a first line with the
      number of folds and of pairs in them, then ``name n m`` for the same person and
      ``name n other m`` for two, standing for ``name/name_0001.jpg``;
    - CPLFW's and CALFW's: ``file flag``, two lines to a pair, flag 0 for different persons;
    - CSV, TSV or columns between spaces: ``path_a path_b [same] [fold] [group]``.

    A header may name the columns in any order, also as ``file1``, ``image_2``, ``left``, ``label``
    and the like. Without one, the first line's contents tell where the label is: behind the two
    pictures, or else before them, as in VoxCeleb's lists, or else between them. A picture whose
    name is a label, such as ``1``, is therefore taken for a picture where a label stands behind it,
    and needs a header otherwise.

    Labels are 1, 1.0, true, yes or same, and 0, 0.0, false, no or different.

    Raises:
        DataError: none of these, with the number of the offending line; or there is no pair.
    """
    rows = list(_rows(text))
    if not rows:
        raise DataError("the list of pairs is empty")
    number, first = rows[0]
    numbers = len(first) <= 2 and all(cell.lstrip("+-").isdigit() for cell in first)
    if numbers and not _is_lfw_header(first):
        raise DataError(f"line {number}: {_short(' '.join(first))} are no numbers of pairs")
    folder = Path(root)
    if _is_lfw_header(first) or _is_lfw_row(first) or "imagenum1" in first:
        pairs = _lfw_pairs(rows, folder)
    elif all(len(row) == 2 and row[1].isdigit() for _, row in rows):
        pairs = _two_line_pairs(rows, folder)
    else:
        pairs = _table_pairs(rows, folder)
    if not pairs:
        raise DataError("the list has a header, and no pair")
    return pairs


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines, split into their cells; empty lines and comments left out."""
    lines = re.split(r"\r\n|\n|\r", text)  # str.splitlines splits at characters of names, too
    sample = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = next((d for d in ("\t", ",", ";") if d in sample), None)
    if _is_lfw_header(sample.split()):  # its lines are split by tabs or, in some copies, spaces
        delimiter = None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split() if delimiter is None else _split(line, delimiter, number)
        while len(cells) > 1 and not cells[-1].strip():  # Kaggle's LFW ends its lines in a comma
            cells.pop()
        yield number, [cell.strip() for cell in cells]


def _split(line: str, delimiter: str, number: int) -> list[str]:
    try:
        reader = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
        return next(reader)
    except csv.Error as error:
        raise DataError(f"line {number}: its cells cannot be told apart ({error})") from None


def _short(text: str) -> str:
    """``text`` in quotes for a message, its beginning if it is long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


# -- LFW ------------------------------------------------------------------------------------------


def _is_lfw_header(row: Sequence[str]) -> bool:
    return 1 <= len(row) <= 2 and all(_COUNT.fullmatch(cell) for cell in row)


def _is_lfw_row(row: Sequence[str]) -> bool:
    counts = [bool(_COUNT.fullmatch(cell)) for cell in row]
    if len(row) == 3:
        return counts[1] and counts[2] and not _looks_like_file(row[0])
    return len(row) == 4 and counts[1] and counts[3] and not counts[2]


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
        pairs.append(_pair(number, a, b, same=len(row) == 3))
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
            except (OSError, ValueError):  # the latter for a zero byte
                self._listed[folder] = frozenset()
        return self._listed[folder]


# -- CPLFW and CALFW ------------------------------------------------------------------------------


def _two_line_pairs(rows: Sequence[tuple[int, list[str]]], root: Path) -> list[Pair]:
    if len(rows) % 2:
        raise DataError(f"line {rows[-1][0]}: the second line of this pair is missing")
    pairs = []
    for (_, (a, flag)), (number, (b, other)) in zip(rows[::2], rows[1::2], strict=True):
        if not (_COUNT.fullmatch(flag) and _COUNT.fullmatch(other)):
            raise DataError(f"line {number}: the flags of this pair are not 1 or 0")
        if flag != other:
            raise DataError(f"line {number}: the two lines of a pair have different flags")
        pairs.append(_pair(number, str(root / a), str(root / b), same=flag != "0"))
    # These lists have LFW's ten folds, one after the other, without saying so.
    labels = np.array([pair.same for pair in pairs])
    if len(pairs) % (2 * _FOLDS) == 0:
        halves = labels.reshape(_FOLDS, 2, -1)
        if halves[:, 0].all() and not halves[:, 1].any():
            each = len(pairs) // _FOLDS
            return [Pair(p.a, p.b, p.same, fold=i // each) for i, p in enumerate(pairs)]
    return pairs


# -- tables ---------------------------------------------------------------------------------------

_COLUMNS = ("path_a", "path_b", "same", "fold", "group")

_NAMES = {
    "same": (
        *("same", "issame", "sameperson", "issameperson", "sameidentity", "issameidentity"),
        *("sameid", "label", "labels", "match", "ismatch", "genuine", "isgenuine", "target"),
        *("groundtruth", "gt", "class", "flag", "y"),
    ),
    "fold": ("fold", "folds", "foldid", "foldnumber", "cvfold"),
    "group": ("group", "groups"),
}
"""What headers call a column: in small letters, without spaces and signs; the best name first."""

_PICTURE = (
    "(?:path|filepath|filename|file|imagepath|imagename|imagefile|image|imgpath|imgname|imgfile"
    "|img|picture|photo|pic|face|sample|name)"
)
_SIDE = "0|1|2|a|b|left|right|first|second|one|two|enroll|enrollment|test|reference|gallery|probe"
_PATH_NAME = re.compile(rf"({_PICTURE})?({_SIDE})({_PICTURE})?")
_SIDES = (
    *(("a", "b"), ("1", "2"), ("0", "1"), ("left", "right"), ("first", "second"), ("one", "two")),
    *(("enroll", "test"), ("enrollment", "test"), ("reference", "probe"), ("gallery", "probe")),
)
"""How headers tell the two pictures apart: ``file1`` and ``file2``, ``left_image`` and so on."""

_LABELS = {"true": True, "same": True, "yes": True, "false": False, "different": False, "no": False}
_NUMBER_LABEL = re.compile(r"([01])(?:\.0*)?")


def _table_pairs(rows: Sequence[tuple[int, list[str]]], root: Path) -> list[Pair]:
    columns = _named_columns(rows)
    if columns is None:
        columns = _columns_by_content(rows[0][1])
    else:
        rows = rows[1:]
    return [_table_pair(number, row, columns, root) for number, row in rows]


def _named_columns(rows: Sequence[tuple[int, list[str]]]) -> dict[str, int] | None:
    """The positions of the columns by a header in the first row; None if that is no header."""
    header = rows[0][1]
    names = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in header]
    sides: dict[str, int] = {}
    plain = True
    for position, name in enumerate(names):
        if found := _PATH_NAME.fullmatch(name):
            worded = bool(found[1] or found[3])
            if worded or not found[2].isdigit():
                sides.setdefault(found[2], position)
                plain = plain and not worded
    pair = next(((a, b) for a, b in _SIDES if a in sides and b in sides), None)
    if pair is None or any(_NUMBER_LABEL.fullmatch(cell) for cell in header):
        return None
    columns = {"path_a": sides[pair[0]], "path_b": sides[pair[1]]}
    for column, known in _NAMES.items():
        positions = [names.index(name) for name in known if name in names]
        if positions:
            columns[column] = positions[0]
    if plain and "same" not in columns:
        # Two words such as "left right" are a header only where files stand below them.
        below = [row[i] for _, row in rows[1:] for i in (columns["path_a"], columns["path_b"])
                 if i < len(row)]  # fmt: skip
        if not below or not all(map(_looks_like_file, below)):
            return None
    return columns


def _columns_by_content(row: Sequence[str]) -> dict[str, int]:
    """The positions of the columns where no header names them, by the first row."""
    at = 2
    if len(row) >= 3 and row[2] and _label(row[2]) is None:
        at = next((i for i in (0, 1) if _label(row[i]) is not None), 2)
    a, b = (i for i in range(3) if i != at)
    return {"path_a": a, "path_b": b, "same": at, "fold": 3, "group": 4}


def _label(cell: str) -> bool | None:
    """Whether a label says that two pictures show the same person; None if it is no label."""
    number = _NUMBER_LABEL.fullmatch(cell)
    return number[1] == "1" if number else _LABELS.get(cell.lower())


def _table_pair(number: int, row: list[str], columns: dict[str, int], root: Path) -> Pair:
    def cell(name: str) -> str:
        position = columns.get(name, len(row))
        return row[position] if position < len(row) else ""

    a, b = cell("path_a"), cell("path_b")
    if not a or not b:
        raise DataError(f"line {number}: a pair needs two pictures, path_a and path_b")
    same, fold = _label(cell("same")), _WHOLE_NUMBER.fullmatch(cell("fold"))
    if cell("same") and same is None:
        raise DataError(f"line {number}: same is {_short(cell('same'))}, not 1 or 0")
    if cell("fold") and fold is None:
        raise DataError(f"line {number}: fold is {_short(cell('fold'))}, not a number from 0 on")
    pair = _pair(number, str(root / a), str(root / b), same)
    return replace(pair, fold=int(fold[1]) if fold else None, group=cell("group") or None)


def _pair(number: int, a: str, b: str, same: bool | None) -> Pair:
    """A pair of the list's line ``number``."""
    if "\0" in a or "\0" in b:
        raise DataError(f"line {number}: the name of a file holds a zero byte")
    return Pair(a, b, same)
