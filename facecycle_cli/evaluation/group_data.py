"""Pictures of people in groups, as a data set's own labels have them.

================================  ==========================================================
data                              group of a picture
================================  ==========================================================
``.csv``, ``.tsv``                the column ``group`` of its row (``path,group``)
a folder, ``.tar`` shards         the age in its name, as All-Age-Faces has it (``04869A37``)
a folder of folders               the folder that it lies in
================================  ==========================================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.csv_rows import CsvTable
from facecycle_cli.evaluation.left_out import Problems, with_problems
from facecycle_cli.media.stored import StoredPicture, stored_pictures

__all__ = ["GroupedPicture", "Groups", "age_group", "draw_groups", "find_groups"]

_AGE = re.compile(r"[0-9]+A([0-9]{1,3})")
"""A name of All-Age-Faces: a number, ``A``, and the age in years."""

_YOUNGEST = (0, 10, 20, 40, 60)
"""The age at which each group begins, in years."""


@dataclass(frozen=True)
class GroupedPicture(StoredPicture):
    """One picture.

    Attributes:
        group: what its person belongs to.
    """

    group: str


@dataclass(frozen=True)
class Groups:
    """Pictures in groups.

    Attributes:
        pictures: in the order of their names, or of the table's rows.
        problems: (name, reason) of each row of a table that lists no picture.
        ungrouped: pictures that belong to no group; they are left out.
    """

    pictures: list[GroupedPicture]
    problems: Problems
    ungrouped: int


def age_group(age: int) -> str:
    """The group of an age in years: ``00-09``, ``10-19``, ``20-39``, ``40-59`` or ``60+``."""
    index = max(i for i, youngest in enumerate(_YOUNGEST) if youngest <= age)
    if index + 1 == len(_YOUNGEST):
        return f"{_YOUNGEST[index]}+"
    return f"{_YOUNGEST[index]:02d}-{_YOUNGEST[index + 1] - 1:02d}"


def find_groups(data: str | os.PathLike[str]) -> Groups:
    """List the pictures of a table, a folder, a folder of ``.tar`` shards, or one shard.

    Raises:
        DataError: no picture is in a group, or a shard or the table is damaged.
        OSError: it cannot be read.
    """
    path = Path(data)
    problems: Problems = []
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if path.suffix.lower() in {".csv", ".tsv"}:
        listed = list(_in_table(path, problems))
    elif path.is_dir() or path.suffix.lower() == ".tar":
        listed = [
            GroupedPicture(picture.name, picture.path, picture.span, _group_of(key))
            for key, picture in stored_pictures(path)
        ]
    else:
        raise DataError("neither a folder, nor a .csv table or a .tar shard")
    pictures = [picture for picture in listed if picture.group]
    if not pictures:
        error = DataError(
            "no picture says its group: by a column group, by the folder that it lies in, or by an "
            "age in its name, as in 04869A37.jpg"
        )
        raise with_problems(error, problems)
    return Groups(pictures, problems, len(listed) - len(pictures))


def draw_groups(
    pictures: list[GroupedPicture], count: int | None, seed: int
) -> list[GroupedPicture]:
    """Draw up to ``count`` pictures of every group, in their order; None: all.

    Args:
        pictures: to draw from.
        count: of each group.
        seed: same seed, same pictures.
    """
    if count is None:
        return pictures
    kept: list[int] = []
    for number, group in enumerate(sorted({picture.group for picture in pictures})):
        members = [i for i, picture in enumerate(pictures) if picture.group == group]
        rng = np.random.default_rng((seed, number))
        kept += [members[i] for i in rng.permutation(len(members))[:count]]
    return [pictures[i] for i in sorted(kept)]


def _group_of(name: str) -> str:
    """The group that a name says; empty if none.

    Args:
        name: without suffix, with the folders above it, separated by ``/``.
    """
    path = PurePosixPath(name)
    if found := _AGE.fullmatch(path.name):
        return age_group(int(found[1]))
    return path.parent.name


def _in_table(path: Path, problems: Problems) -> Iterator[GroupedPicture]:
    table = CsvTable.open(path)
    if not {"path", "group"} <= set(table.header):
        raise DataError("a table of groups needs the columns path and group")
    for row in table.rows():
        try:
            row.require("path", "group")
            row.refuse_more()
        except DataError as error:
            problems.append((row.name, error))
        else:
            file = path.parent / row["path"]
            yield GroupedPicture(str(file), file, None, row["group"])
