"""Lists in which each line is a JSON object that names a file below the list's folder.

``index.jsonl`` is such a list. It may come from anybody: no line may name a file elsewhere, or
something that is no file, and no line is read that is longer than any line needs to be.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from facecycle_cli.errors import DataError
from facecycle_cli.system import parse_json

__all__ = ["check_file", "find_wrong_file", "finite", "name_below", "numbered_lines", "parse_entry"]

_MAX_ENTRY_BYTES = 1 << 16
"""Of a line that names one file: such lines have 600 bytes."""

_MAX_LINE_BYTES = 1 << 26
"""Of any line: that of a shard names all of its sources."""


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1 on.

    Raises:
        DataError: a line is too long; the message begins with its number.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > _MAX_LINE_BYTES:
                raise DataError(f"line {number}: longer than {_MAX_LINE_BYTES:,} bytes")
            yield number, line


def parse_entry(line: bytes) -> dict[str, Any]:
    """The JSON object of a line that names a file.

    Raises:
        ValueError: it is none, in one line.
    """
    if len(line) > _MAX_ENTRY_BYTES:
        raise ValueError(f"longer than {_MAX_ENTRY_BYTES:,} bytes")
    entry = parse_json(line)
    if not isinstance(entry, dict):
        raise ValueError("not a JSON object")
    return entry


def name_below(name: object) -> str:
    """The name of a file below a folder, as it is.

    Raises:
        ValueError: it is no text, empty, absolute, leads upwards, or no file can have this name.
    """
    if not isinstance(name, str):
        raise ValueError(f"path must be the name of a file, not {name!r:.40}")
    parts = PurePath(name).parts
    if not parts or name.endswith(("/", os.sep)):
        raise ValueError(f"path {name!r:.80} names no file")
    if PurePath(name).is_absolute() or PurePath(name).drive or os.pardir in parts:
        raise ValueError(f"path {name!r:.80} leads out of the folder")
    if "\0" in name:
        raise ValueError(f"path {name!r:.80} is the name of no file")
    return name


def finite(entry: dict[str, Any], name: str) -> float | None:
    """The number that an entry has under ``name``; None if it has none, or null.

    Raises:
        ValueError: it is something else, or not finite.
    """
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {value!r:.40}")
    return float(value)


def check_file(root: str | os.PathLike[str], name: str) -> None:
    """Check what lies at ``name`` below ``root``; that nothing does is no error here.

    Raises:
        ValueError: a link leads out of the folder, or it is no regular file.
    """
    path = os.path.join(root, name)
    base = os.path.realpath(root)
    if os.path.commonpath((base, os.path.realpath(path))) != base:
        raise ValueError(f"path {name!r:.80} is a link that leads out of the folder")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # whoever opens the file says why it cannot be
    if not stat.S_ISREG(mode):
        raise ValueError(f"path {name!r:.80} is not a regular file")


def find_wrong_file(
    root: str | os.PathLike[str], folder: str, names: Sequence[str]
) -> tuple[str, str] | None:
    """The first of the files ``names`` in ``folder`` that :func:`check_file` refuses, and why.

    It looks at the folder once, not at each of its files: an index may list millions.
    """
    try:
        base, inside = os.path.realpath(root), os.path.realpath(os.path.join(root, folder))
        if os.path.commonpath((base, inside)) != base:
            name = os.path.join(folder, names[0])
            return names[0], f"path {name!r:.80} is below a link that leads out of the folder"
        with os.scandir(inside) as entries:
            special = {e.name for e in entries if not e.is_file(follow_symlinks=False)}
    except OSError:
        return None
    for name in names:
        if name in special:
            try:
                check_file(root, os.path.join(folder, name))
            except ValueError as error:
                return name, str(error)
    return None
