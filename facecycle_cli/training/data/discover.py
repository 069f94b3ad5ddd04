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

import json
import os
import tarfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.training.data.index import CropIndex, IndexBuilder

LISTING = "index.jsonl"
"""The file that preprocess writes beside its crops: one JSON object a line, a crop if it has a
``path``.
"""

_MANY = 1000
"""More pictures in one folder than this are unlikely to show one person."""


@dataclass
class Quality:
    """Which crops are good enough.

    Attributes:
        min_sharpness: least ``sharpness`` of the index.
        max_yaw: largest ``yaw`` to either side, degrees.
        left_out: number of crops so far that were not.
    """

    min_sharpness: float = 0.0
    max_yaw: float = 180.0
    left_out: int = field(default=0, init=False)

    @property
    def matters(self) -> bool:
        """Whether there is anything to check."""
        return self.min_sharpness > 0 or self.max_yaw < 180

    def accepts(self, record: dict[str, Any]) -> bool:
        """Whether the crop of this line in the index is good enough; one without numbers is not."""
        sharpness, yaw = record.get("sharpness"), record.get("yaw")
        good = (
            (self.min_sharpness <= 0 or (sharpness is not None and sharpness >= self.min_sharpness))
            and (self.max_yaw >= 180 or (yaw is not None and abs(yaw) <= self.max_yaw))
        )  # fmt: skip
        self.left_out += not good
        return good


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
        broken = 0

        def put_away() -> None:
            if names:
                groups[current] = "/".join((*filter(None, [groups.get(current)]), *names))
                names.clear()

        with open(path / LISTING, "rb") as file:
            for line in file:
                if b'"path"' not in line:
                    continue
                try:
                    record = json.loads(line)
                    folder, _, name = record["path"].rpartition("/")
                except (ValueError, KeyError, TypeError, AttributeError):
                    broken += 1  # what a killed run left of a line
                    continue
                if not self.quality.accepts(record):
                    continue
                if folder != current:
                    put_away()
                    current = folder
                names.append(name)
        put_away()
        if broken:
            self.note(f"{path / LISTING}: {broken} lines cannot be read")
        for folder in sorted(groups):
            self._folder(root, path, folder, sorted(set(groups[folder].split("/"))))

    def _walked(self, root: int, path: Path) -> None:
        for where, folders, names in os.walk(path, followlinks=True):
            folders[:] = sorted(
                f for f in folders if f[0] != "." and not _leads_back(path, where, f)
            )
            pictures = sorted(
                n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES and n[0] != "."
            )
            if pictures:
                folder = "" if where == str(path) else os.path.relpath(where, path)
                self._folder(root, path, folder, pictures, alone=not folder)

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
                for key, offset, length in _samples(shard, self.quality):
                    # Without folders in the names every picture is a person of its own.
                    folder = key.rpartition("/")[0] or key
                    groups.setdefault(folder, array("q")).extend((number, offset, length))
            except (tarfile.TarError, EOFError) as error:
                raise DataError(f"{shard}: not a tar file that can be read ({error})") from None
        for folder in sorted(groups):
            numbers = iter(groups[folder])
            spans = zip(numbers, numbers, numbers, strict=True)
            samples = ((shards[n].name, o, size) for n, o, size in spans)
            if self.singles.include(shards[0].parent, folder):
                for sample in samples:
                    self.builder.add_samples(root, [sample])
            else:
                self.builder.add_samples(root, samples)


def _samples(shard: Path, quality: Quality) -> Iterator[tuple[str, int, int]]:
    """Name, offset and length of every picture in a shard that is good enough."""
    with tarfile.open(shard, "r:") as tar:
        spans: dict[str, tuple[int, int]] = {}
        accepted: dict[str, bool] = {}
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            key, dot, suffix = _split_key(member.name)
            if not member.isfile() or not dot:
                continue
            if f".{suffix.lower()}" in IMAGE_SUFFIXES:
                spans[key] = (member.offset_data, member.size)
            elif suffix == "json" and quality.matters and (content := tar.extractfile(member)):
                accepted[key] = quality.accepts(json.load(content))
            if key in spans and (key in accepted or not quality.matters):
                span = spans.pop(key)
                if accepted.pop(key, True):
                    yield key, *span
        quality.left_out += len(spans)  # pictures without a JSON file


def _split_key(name: str) -> tuple[str, str, str]:
    """A member's sample and suffix, as webdataset splits them: at the file name's first dot."""
    path = PurePosixPath(name)
    stem, dot, suffix = path.name.partition(".")
    folder = str(path.parent)
    return (stem if folder == "." else f"{folder}/{stem}"), dot, suffix


def _leads_back(path: Path, where: str, folder: str) -> bool:
    """Whether ``folder`` in ``where`` is a link to a folder that contains it, up to ``path``."""
    target = os.path.join(where, folder)
    if not os.path.islink(target):
        return False
    parts = Path(os.path.relpath(where, path)).parts
    around = (path.joinpath(*parts[:i]) for i in range(len(parts) + 1))
    return os.path.realpath(target) in map(os.path.realpath, around)
