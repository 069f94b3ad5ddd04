"""Labeled facial expressions in the forms that people have them in."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.portrait.crops import Picture

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
        open: gives the pictures, in order, one at a time.
    """

    layout: str
    labels: list[str]
    splits: list[str]
    groups: list[str | None]
    open: Callable[[], Iterator[Picture]]

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
    if not data.labels:
        raise DataError("no labeled pictures")
    if len(set(data.labels)) < 2:
        raise DataError(f"the pictures are all of one class, {data.labels[0]}")
    if "train" not in data.splits:
        raise DataError("there is no training split")
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


def _files(
    layout: str, root: Path, rows: Sequence[tuple[str, str, str, str | None]]
) -> Expressions:
    """From rows of path below ``root``, label, split and group."""

    def pictures() -> Iterator[Picture]:
        for path, *_ in rows:
            yield Picture.file(root / path)

    _, labels, splits, groups = (list(c) for c in zip(*rows, strict=True)) if rows else ([],) * 4
    return Expressions(layout, labels, splits, groups, pictures)


def _split(name: str) -> str:
    try:
        return _ALIASES[re.sub(r"[^a-z]", "", name.lower())]
    except KeyError:
        raise DataError(f"{name!r} is no split (train, validation, test)") from None


# -- folders --------------------------------------------------------------------------------------


def _folders(root: Path) -> Expressions:
    rows: list[tuple[str, str, str, str | None]] = []
    for folder in _subfolders(root):
        below = _subfolders(folder)
        if below and not _pictures(folder):
            split = _split(folder.name)
            for group in below:
                rows += [
                    (str(f.relative_to(root)), group.name, split, None) for f in _pictures(group)
                ]
        else:
            rows += [
                (str(f.relative_to(root)), folder.name, "train", None) for f in _pictures(folder)
            ]
    if not rows:
        raise DataError("no pictures in split/class/ or class/ folders")
    return _files("folders", root, rows)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _raf_db(root: Path) -> Expressions:
    listing = root / "EmoLabel" / "list_patition_label.txt"  # (their spelling)
    rows: list[tuple[str, str, str, str | None]] = []
    for number, line in enumerate(listing.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, label = line.split()
            expression = _RAF[int(label) - 1] if int(label) > 0 else ""
        except (ValueError, IndexError):
            expression = ""
        if not expression:
            raise DataError(f"{listing.name}, line {number}: not 'picture 1..{len(_RAF)}'")
        split = "train" if name.startswith("train") else "test"
        rows.append((f"Image/aligned/{Path(name).stem}_aligned.jpg", expression, split, None))
    return _files("raf-db", root, rows)


# -- files ----------------------------------------------------------------------------------------


def _npz(path: Path) -> Expressions:
    try:
        arrays = np.load(path, allow_pickle=False)
        stored = {name: arrays[name] for name in arrays.files}
    except ValueError as error:
        raise DataError(f"not a readable .npz file ({error})") from None
    images, labels, splits = [], [], []
    for name, values in stored.items():
        if not name.endswith("_images"):
            continue
        prefix = name.removesuffix("_images")
        split, names = _split(prefix), stored.get(f"{prefix}_labels")
        if names is None or len(names) != len(values):
            raise DataError(f"{name} has no {prefix}_labels of its length")
        if values.dtype != np.uint8 or values.ndim not in (3, 4):
            raise DataError(f"{name} must be uint8 (N, H, W) or (N, H, W, 3)")
        images.append(values)
        labels += [_class_name(label) for label in names]
        splits += [split] * len(values)

    def pictures() -> Iterator[Picture]:
        for values in images:
            for i, image in enumerate(values):
                yield Picture(f"picture {i + 1}", image)

    return Expressions("npz", labels, splits, [None] * len(labels), pictures)


def _class_name(label: object) -> str:
    """A name stays; FER-2013's numbers get theirs."""
    text = str(label)
    return _FER[int(text)] if text.isdigit() and int(text) < len(_FER) else text


def _table(path: Path) -> Expressions:
    # One row holds a picture of 2304 numbers, more than the csv module takes without being asked.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    header, _ = _read_rows(path)
    if "pixels" in header:
        return _fer_csv(path)
    if "path" in header and "label" in header:
        _, lines = _read_rows(path)
        rows = [
            (
                row["path"],
                row["label"],
                _split(row["split"]) if row.get("split") else "train",
                row.get("group") or None,
            )
            for row in lines
        ]
        return _files("table", path.parent, rows)
    raise DataError("a table needs the columns path and label, or emotion, pixels and Usage")


def _read_rows(path: Path) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Lower-case column names and the rows, read as they are needed."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = [name.strip().lower() for name in next(csv.reader(file, delimiter=delimiter), [])]

    def rows() -> Iterator[dict[str, str]]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter)
            next(reader)
            for row in reader:
                if row:
                    yield dict(zip(header, (cell.strip() for cell in row), strict=False))

    return header, rows()


def _fer_csv(path: Path) -> Expressions:
    labels, splits = [], []
    for row in _read_rows(path)[1]:
        labels.append(_class_name(row.get("emotion", "")))
        splits.append(_split(row["usage"]) if row.get("usage") else "train")

    def pictures() -> Iterator[Picture]:
        for number, row in enumerate(_read_rows(path)[1], 2):
            yield Picture(f"line {number}", _fer_pixels(row["pixels"], number))

    return Expressions("fer2013.csv", labels, splits, [None] * len(labels), pictures)


def _fer_pixels(text: str, number: int) -> np.ndarray:
    try:
        values = np.array(text.split(), np.uint8)
    except (ValueError, OverflowError):
        values = np.empty(0, np.uint8)
    side = round(len(values) ** 0.5)
    if not side or side * side != len(values):
        raise DataError(f"line {number}: pixels are not a square picture of numbers from 0 to 255")
    return values.reshape(side, side)
