"""Labeled facial expressions in the forms that people have them in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.csv_rows import CsvRow, CsvTable
from facecycle_cli.evaluation.left_out import Problems, with_problems
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.portrait.crops import FailedCrop, Picture
from facecycle_cli.system import check_zip

__all__ = ["Expressions", "load_expressions", "with_validation"]

SPLITS = ("train", "validation", "test")
_ALIASES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "publictest": "validation",
    "test": "test", "testing": "test", "privatetest": "test",
}  # fmt: skip
"""The names that data sets give their splits, in small letters."""

_FER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER-2013's, from number 0."""

_RAF = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
"""RAF-DB's, from number 1."""

_SHARE_HELD_OUT = 0.2
"""Share of each class that is held out for testing, where a data set has no test split; half as
much of the training split is held out for validation, where it has none."""


@dataclass(frozen=True)
class Expressions:
    """Labeled pictures.

    Attributes:
        layout: which form they were found in.
        labels: the name of each picture's class.
        splits: ``train``, ``validation`` or ``test`` for each.
        groups: of persons, where the labels name them.
        open: gives the pictures, in order, one at a time; for one whose pixels cannot be read, why.
        problems: (name, reason) of each row that lists no labeled picture; it is left out.
        notes: what else was left out, in one line each.
    """

    layout: str
    labels: list[str]
    splits: list[str]
    groups: list[str | None]
    open: Callable[[], Iterator[Picture | FailedCrop]]
    problems: Problems = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)


def load_expressions(path: str | os.PathLike[str], seed: int = 0) -> Expressions:
    """Find out how labeled expressions are laid out, and list them.

    Known are a folder ``split/class/*.png`` or ``class/*.png``; RAF-DB's folder ``basic`` (or the
    one that holds it); ``fer2013.csv`` (``emotion,pixels,Usage``); an ``.npz`` with
    ``train_images``, ``train_labels`` and so on for ``validation`` and ``test``; and a CSV table
    ``path,label[,split][,group]`` relative to its own folder. Splits may be named as these sets
    name them (``Training``, ``PublicTest``, ``val``, ...).

    Without a test split the validation split is the test; without either, a fifth of every class,
    drawn under ``seed``, is.

    Raises:
        DataError: none of these, a single class, or an empty split.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raf = next((p for p in (path, path / "basic") if (p / "EmoLabel").is_dir()), None)
        data = _raf_db(raf) if raf is not None else _folders(path)
    elif path.suffix.lower() == ".npz":
        data = _npz(path)
    elif path.suffix.lower() in {".csv", ".tsv"}:
        data = _table(path)
    elif not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    else:
        raise DataError("neither a folder, nor a .csv or .npz file")
    return _with_test(_checked(data), seed)


def _checked(data: Expressions) -> Expressions:
    missing = None
    if not data.labels:
        missing = "no labeled pictures"
    elif len(set(data.labels)) < 2:
        missing = f"the pictures are all of one class, {data.labels[0]}"
    elif "train" not in data.splits:
        missing = "there is no training split"
    if missing:
        raise with_problems(DataError(missing), data.problems)
    return data


def _with_test(data: Expressions, seed: int) -> Expressions:
    if "test" in data.splits:
        return data
    if "validation" in data.splits:
        renamed = ["test" if split == "validation" else split for split in data.splits]
        return replace(data, splits=renamed)
    return replace(data, splits=_hold_out(data, "test", _SHARE_HELD_OUT, seed))


def with_validation(data: Expressions, seed: int) -> Expressions:
    """The same with a validation split: its own, or a tenth of every class of the training one."""
    if "validation" in data.splits:
        return data
    return replace(data, splits=_hold_out(data, "validation", _SHARE_HELD_OUT / 2, seed))


def _hold_out(data: Expressions, split: str, share: float, seed: int) -> list[str]:
    """Move a share of every class (at least one picture, never all) out of the training split."""
    rng = np.random.default_rng((seed, SPLITS.index(split)))
    splits = list(data.splits)
    for label in sorted(set(data.labels)):
        members = [
            i
            for i, (name, current) in enumerate(zip(data.labels, data.splits, strict=True))
            if name == label and current == "train"
        ]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        for i in rng.permutation(len(members))[: max(0, count)]:
            splits[members[i]] = split
    return splits


_Listed = tuple[str, str, str, str | None]
"""A picture of a list: its path below the root, label, split and group."""


def _files(
    layout: str, root: Path, rows: Sequence[_Listed], problems: Problems | None = None
) -> Expressions:
    def pictures() -> Iterator[Picture]:
        for path, *_ in rows:
            yield Picture.file(root / path)

    _, labels, splits, groups = (list(c) for c in zip(*rows, strict=True)) if rows else ([],) * 4
    return Expressions(layout, labels, splits, groups, pictures, problems or [])


def _split(name: str) -> str:
    try:
        return _ALIASES[re.sub(r"[^a-z]", "", name.lower())]
    except KeyError:
        raise DataError(f"{name!r} is no split (train, validation, test)") from None


# -- folders --------------------------------------------------------------------------------------


def _folders(root: Path) -> Expressions:
    rows: list[_Listed] = []
    left_out = LeftOut()

    def add(folder: Path, split: str) -> None:
        names = left_out.without_results(str(folder), [f.name for f in _pictures(folder)])
        inside = folder.relative_to(root)
        rows.extend((str(inside / name), folder.name, split, None) for name in names)

    for folder in _subfolders(root):
        below = _subfolders(folder)
        if below and not _pictures(folder):
            split = _split(folder.name)
            for group in below:
                add(group, split)
        else:
            add(folder, "train")
    if not rows:
        raise DataError("no pictures in split/class/ or class/ folders")
    return replace(_files("folders", root, rows), notes=left_out.lines())


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _raf_db(root: Path) -> Expressions:
    listing = root / "EmoLabel" / "list_patition_label.txt"  # (their spelling)
    rows: list[_Listed] = []
    problems: Problems = []
    text = listing.read_text(encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, label = line.split()
            expression = _RAF[int(label) - 1] if int(label) > 0 else ""
        except (ValueError, IndexError):
            expression = ""
        if not expression:
            where = f"{listing.name}, line {number}"
            problems.append((where, DataError(f"not 'picture 1..{len(_RAF)}'")))
            continue
        split = "train" if name.startswith("train") else "test"
        rows.append((f"Image/aligned/{Path(name).stem}_aligned.jpg", expression, split, None))
    return _files("raf-db", root, rows, problems)


# -- files ----------------------------------------------------------------------------------------


def _npz(path: Path) -> Expressions:
    stored = _arrays(path)
    images, labels, splits = [], [], []
    for name, values in stored.items():
        if not name.endswith("_images"):
            continue
        prefix = name.removesuffix("_images")
        split, names = _split(prefix), np.ravel(stored.get(f"{prefix}_labels", ()))
        if not values.ndim or len(names) != len(values):
            raise DataError(f"{name} has no {prefix}_labels of its length")
        gray_or_color = values.ndim == 3 or (values.ndim == 4 and values.shape[3] == 3)
        if values.dtype != np.uint8 or not gray_or_color or 0 in values.shape[1:]:
            raise DataError(f"{name} must be uint8 (N, H, W) or (N, H, W, 3)")
        images.append(values)
        labels += [_class_name(label) for label in names]
        splits += [split] * len(values)

    def pictures() -> Iterator[Picture]:
        for values in images:
            for i, image in enumerate(values):
                yield Picture(f"picture {i + 1}", image)

    return Expressions("npz", labels, splits, [None] * len(labels), pictures)


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of an .npz, all of which are in memory.

    Raises:
        DataError: it is damaged, or does not fit into the memory.
        OSError: it cannot be read.
    """
    import psutil

    try:
        check_zip(path, psutil.virtual_memory().available)
        with np.load(path, allow_pickle=False) as arrays:
            return {n: arrays[n] for n in arrays.files if n.endswith(("_images", "_labels"))}
    except OSError:
        raise
    except Exception as error:  # numpy raises whatever it meets in a damaged one
        raise DataError(f"not a readable .npz file ({error})") from None


def _class_name(label: object) -> str:
    """A name stays; FER-2013's numbers get theirs, also as pandas may write them: 3.0."""
    text = str(label)
    number = re.fullmatch(r"([0-9]{1,9})(?:\.0*)?", text)
    if number is None:
        return text
    return _FER[int(number[1])] if int(number[1]) < len(_FER) else number[1]


def _emotion(text: str) -> str:
    """The class of a row of FER-2013's table.

    Raises:
        DataError: it is a number, and none that a class can have.
    """
    name = _class_name(text)
    if name == text and not re.fullmatch("[0-9]{1,9}", text) and _is_number(text):
        raise DataError(f"emotion is {text[:40]!r}, neither a name nor the number of a class")
    return name


def _is_number(text: str) -> bool:
    """Whether it is a number, also one in other digits or a superscript."""
    with suppress(ValueError):
        float(text)
        return True
    return text.isnumeric()


def _table(path: Path) -> Expressions:
    table = CsvTable.open(path)
    if {"emotion", "pixels"} <= set(table.header):
        return _fer_csv(table)
    if not {"path", "label"} <= set(table.header):
        raise DataError("a table needs the columns path and label, or emotion, pixels and Usage")
    rows: list[_Listed] = []
    problems: Problems = []
    for row in table.rows():
        try:
            row.require("path", "label")
            row.refuse_more()
            rows.append((row["path"], row["label"], _row_split(row, "split"), row["group"] or None))
        except DataError as error:
            problems.append((row.name, error))
    return _files("table", path.parent, rows, problems)


def _row_split(row: CsvRow, column: str) -> str:
    if column in row.table.header and column not in row.cells:
        raise DataError(f"{row.length}, and the one of {column} is missing")
    return _split(row[column]) if row[column] else "train"


def _fer_csv(table: CsvTable) -> Expressions:
    def usable(problems: Problems) -> Iterator[tuple[CsvRow, str, str]]:
        for row in table.rows():
            try:
                row.require("emotion", "pixels")
                yield row, _emotion(row["emotion"]), _row_split(row, "usage")
            except DataError as error:
                problems.append((row.name, error))

    problems: Problems = []
    labels, splits = [], []
    for _, label, split in usable(problems):
        labels.append(label)
        splits.append(split)

    def pictures() -> Iterator[Picture | FailedCrop]:
        for row, *_ in usable([]):
            try:
                yield Picture(row.name, _fer_pixels(row["pixels"]))
            except DataError as error:
                yield FailedCrop(row.name, error)

    return Expressions("fer2013.csv", labels, splits, [None] * len(labels), pictures, problems)


def _fer_pixels(text: str) -> NDArray[np.uint8]:
    try:
        values = np.array(text.split(), np.uint8)
    except (ValueError, OverflowError):
        values = np.empty(0, np.uint8)
    side = round(len(values) ** 0.5)
    if not side or side * side != len(values):
        raise DataError("pixels are not a square picture of numbers from 0 to 255")
    return values.reshape(side, side)
