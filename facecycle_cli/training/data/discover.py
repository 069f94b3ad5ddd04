"""From the folders that the user names to the index of all crops: which pictures show one person?

==========================================  ====================================================
``DATA``                                    one person (a *group*) is
==========================================  ====================================================
folder with ``index.jsonl`` (preprocess)    every folder of crops that the index lists
folder of ``.tar`` shards, or one shard     every folder in the names of the samples
any other folder                            every folder below it that holds pictures; a picture
                                            that lies in ``DATA`` itself is a person of its own
==========================================  ====================================================

In all of them every picture of a folder in ``singles`` is a person of its own.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.media.listing import (
    find_wrong_file,
    name_below,
    numbered_lines,
    parse_entry,
)
from facecycle_cli.media.shards import Quality, samples
from facecycle_cli.training.data.index import CropIndex, IndexBuilder

__all__ = ["LISTING", "Quality", "Singles", "find_crops"]

LISTING = "index.jsonl"
"""The file that preprocess writes beside its crops: one JSON object a line, a crop if it has a
``path``.
"""

_MANY = 1000
"""More pictures in one folder than this are unlikely to show one person."""


class Singles:
    """Folders in which every picture shows another person.

    Args:
        names: ``stills``, ``stills/utk``: consecutive parts of a folder's path.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._wanted = {name: Path(name).parts for name in names}
        self._seen: set[str] = set()

    def include(self, path: Path, folder: str) -> bool:
        """Whether ``folder`` below ``path`` is one of them or lies in one."""
        if not self._wanted:
            return False
        parts = (path / folder).absolute().parts
        found = {
            name
            for name, wanted in self._wanted.items()
            if any(parts[i : i + len(wanted)] == wanted for i in range(len(parts)))
        }
        self._seen |= found
        return bool(found)

    def check(self) -> None:
        """Check that each of them was found.

        Raises:
            DataError: one of them was not.
        """
        for name in self._wanted:
            if name not in self._seen:
                raise DataError(f"singles: no folder {name!r} with pictures in the data")


def find_crops(
    data: Sequence[str | os.PathLike[str]],
    *,
    singles: Sequence[str] = (),
    quality: Quality | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> CropIndex:
    """List all crops. The same files give the same index, in whatever order they were written.

    Args:
        data: folders and shards.
        singles: folders among or below them, see :class:`Singles`.
        quality: which crops to leave out.
        note: is told what looks like a mistake.

    Raises:
        DataError: a folder that does not exist, or that holds no pictures.
    """
    quality = quality or Quality()
    paths = [Path(d) for d in data]
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such folder")
    builder = IndexBuilder([path if path.is_dir() else path.parent for path in paths])
    finder = _Finder(builder, Singles(singles), quality, note)
    for number, path in enumerate(paths):
        before = quality.left_out
        finder.add(number, path)
        if not builder.has(number):
            dropped = quality.left_out - before
            if dropped:
                raise DataError(f"{path}: none of its {dropped} crops is sharp and frontal enough")
            raise DataError(f"{path}: no pictures in this folder")
    finder.singles.check()
    return builder.build()


@dataclass(frozen=True)
class _Finder:
    """Adds the crops of one folder after the other to ``builder``."""

    builder: IndexBuilder
    singles: Singles
    quality: Quality
    note: Callable[[str], None]

    def add(self, root: int, path: Path) -> None:
        """Add the crops in ``path``, which has the number ``root`` among the data."""
        if path.is_file():
            if path.suffix != ".tar":
                raise DataError(f"{path}: neither a folder nor a .tar shard")
            self._shards(root, [path])
        elif shards := sorted(path.glob("*.tar")):
            self._shards(root, shards)
        elif (path / LISTING).is_file():
            self._listed(root, path)
        elif self.quality.matters:
            raise DataError(
                f"{path}: has no {LISTING}, which min_sharpness and max_yaw need; "
                "facecycle preprocess writes it"
            )
        else:
            self._walked(root, path)

    def _listed(self, root: int, path: Path) -> None:
        groups: dict[str, str] = {}  # names joined by "/", because lists take too much memory
        current, names = "", list[str]()
        listing, broken = path / LISTING, 0

        def put_away() -> None:
            if names:
                groups[current] = "/".join((*filter(None, [groups.get(current)]), *names))
                names.clear()

        for number, line in _lines_of_crops(listing):
            try:
                record = parse_entry(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    broken += 1  # what a killed run left of a line
                    continue
                raise DataError(f"{listing}: line {number}: {error}") from None
            try:
                folder, _, name = name_below(record.get("path")).rpartition("/")
                if not self.quality.accepts(record):
                    continue
            except ValueError as error:
                raise DataError(f"{listing}: line {number}: {error}") from None
            if folder != current:
                put_away()
                current = folder
            names.append(name)
        put_away()
        if broken:
            self.note(f"{listing}: {broken} lines cannot be read")
        for folder in sorted(groups):
            found = sorted(set(groups[folder].split("/")))
            if wrong := find_wrong_file(path, folder, found):
                name, reason = wrong
                number = _line_of(listing, f"{folder}/{name}" if folder else name)
                raise DataError(f"{listing}: line {number}: {reason}")
            self._folder(root, path, folder, found)

    def _walked(self, root: int, path: Path) -> None:
        left_out = LeftOut()
        for where, folders, names in os.walk(path, followlinks=True):
            folders[:] = sorted(
                f for f in folders if f[0] != "." and not _leads_back(path, where, f)
            )
            pictures = sorted(
                n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES and n[0] != "."
            )
            pictures = left_out.without_results(where, pictures)
            if pictures:
                folder = "" if where == str(path) else os.path.relpath(where, path)
                self._folder(root, path, folder, pictures, alone=not folder)
        for line in left_out.lines():
            self.note(f"{path}: {line}")

    def _folder(
        self, root: int, path: Path, folder: str, names: Sequence[str], *, alone: bool = False
    ) -> None:
        """Add the pictures of ``folder`` below ``path``: of one person, or each of its own."""
        if self.singles.include(path, folder) or alone:
            for name in names:
                self.builder.add(root, folder, [name])
            return
        if len(names) > _MANY:
            self.note(
                f"{path / folder}: {len(names)} pictures are taken for one person; if they are "
                f"not, name a part of this path in singles: --set singles='[\"{path.name}\"]'"
            )
        self.builder.add(root, folder, names)

    def _shards(self, root: int, shards: Sequence[Path]) -> None:
        groups: dict[str, array[int]] = {}
        for number, shard in enumerate(shards):
            try:
                for key, offset, length in samples(shard, self.quality):
                    # Without folders in the names every picture is a person of its own.
                    folder = key.rpartition("/")[0] or key
                    groups.setdefault(folder, array("q")).extend((number, offset, length))
            except DataError as error:
                raise DataError(f"{shard}: {error}") from None
        for folder in sorted(groups):
            numbers = iter(groups[folder])
            spans = zip(numbers, numbers, numbers, strict=True)
            found = ((shards[n].name, o, size) for n, o, size in spans)
            if self.singles.include(shards[0].parent, folder):
                for sample in found:
                    self.builder.add_samples(root, [sample])
            else:
                self.builder.add_samples(root, found)


def _lines_of_crops(listing: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that have a ``path``, with their numbers."""
    try:
        for number, line in numbered_lines(listing):
            if b'"path"' in line:
                yield number, line
    except DataError as error:
        raise DataError(f"{listing}: {error}") from None


def _line_of(listing: Path, name: str) -> int:
    """The first line whose ``path`` is ``name``."""
    wanted = PurePosixPath(name)
    lines = _lines_of_crops(listing)
    return next(n for n, line in lines if PurePosixPath(parse_entry(line)["path"]) == wanted)


def _leads_back(path: Path, where: str, folder: str) -> bool:
    """Whether ``folder`` in ``where`` is a link to a folder that contains it, up to ``path``."""
    target = os.path.join(where, folder)
    if not os.path.islink(target):
        return False
    parts = Path(os.path.relpath(where, path)).parts
    around = (path.joinpath(*parts[:i]) for i in range(len(parts) + 1))
    return os.path.realpath(target) in map(os.path.realpath, around)
