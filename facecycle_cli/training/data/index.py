"""The index of all crops: where every picture is, and which of them show one person.

VoxCeleb2 has a million clips and thirty times as many crops. Their names are listed once, into a
few flat arrays; every process of a run maps these into memory and reads only what it draws.
"""

from __future__ import annotations

import json
import os
import shutil
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecycle_cli.errors import DataError

_ARRAYS = (
    "names", "name_ends", "folders", "folder_ends", "starts", "roots_of", "offsets", "lengths",
)  # fmt: skip
_VERSION = 1


@dataclass(frozen=True)
class CropIndex:
    """Crops in groups: the frames of a clip, the photographs of a person.

    The files of group ``g`` are ``starts[g]`` to ``starts[g + 1]``. Text is kept as UTF-8 in one
    array, with the ends of its pieces in another.

    Attributes:
        roots: the folders of the data, absolute.
        names: file names; of a shard's crops, the shard's name.
        name_ends: (N,) where each name ends.
        folders: the groups' folders below their root; empty for a shard's groups.
        folder_ends: (G,) where each folder ends.
        starts: (G + 1,) first crop of each group.
        roots_of: (G,) which root.
        offsets: (N,) where a crop begins in its shard, or empty if there are no shards; -1 for a
            crop that is a file of its own.
        lengths: (N,) bytes of a crop in its shard, or empty.
    """

    roots: tuple[str, ...]
    names: np.ndarray
    name_ends: np.ndarray
    folders: np.ndarray
    folder_ends: np.ndarray
    starts: np.ndarray
    roots_of: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.name_ends)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Crops per group."""
        return np.diff(self.starts)

    def group_of(self, crop: int) -> int:
        """The group that a crop is in."""
        return int(np.searchsorted(self.starts, crop, side="right")) - 1

    def folder(self, group: int) -> str:
        """The folder of a group below its root."""
        return _piece(self.folders, self.folder_ends, group)

    def path(self, crop: int) -> str:
        """The file that a crop is, or is in."""
        group = self.group_of(crop)
        root = self.roots[int(self.roots_of[group])]
        return os.path.join(root, self.folder(group), _piece(self.names, self.name_ends, crop))

    def read(self, crop: int) -> bytes:
        """The encoded picture. Raises OSError."""
        path = self.path(crop)
        offset = int(self.offsets[crop]) if len(self.offsets) else -1
        with open(path, "rb") as file:
            if offset < 0:
                return file.read()
            file.seek(offset)
            return file.read(int(self.lengths[crop]))

    def save(self, folder: Path) -> None:
        """Write to ``folder``, which appears complete or not at all."""
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", getattr(self, name))
        header = {"version": _VERSION, "roots": self.roots}
        (temporary / "index.json").write_text(json.dumps(header), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)

    @classmethod
    def load(cls, folder: Path) -> CropIndex:
        """Map what :meth:`save` wrote into memory.

        Raises:
            DataError: it is damaged. OSError: it is not there.
        """
        header = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if header.get("version") != _VERSION:
            raise DataError(f"{folder}: an index of another version; remove it")
        arrays = {name: _open(folder / f"{name}.npy") for name in _ARRAYS}
        return cls(roots=tuple(header["roots"]), **arrays)


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # an empty file cannot be mapped
        return np.load(path)


def _piece(text: np.ndarray, ends: np.ndarray, number: int) -> str:
    start = int(ends[number - 1]) if number else 0
    return os.fsdecode(text[start : int(ends[number])].tobytes())


class IndexBuilder:
    """Collects groups, one after the other, in little memory.

    Args:
        roots: the folders of the data.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(str(root.absolute()) for root in roots)
        self._names = bytearray()
        self._name_ends = array("q")
        self._folders = bytearray()
        self._folder_ends = array("q")
        self._starts = array("q", [0])
        self._roots_of = array("q")
        self._offsets = array("q")
        self._lengths = array("q")
        self._has_shards = False

    def add(self, root: int, folder: str, names: Iterable[str]) -> None:
        """A group of files: ``names`` in ``folder`` below a root."""
        for name in names:
            self._add_crop(name, -1, 0)
        self._end_group(root, folder)

    def add_samples(self, root: int, samples: Iterable[tuple[str, int, int]]) -> None:
        """A group of samples: name of the shard, offset and length."""
        self._has_shards = True
        for name, offset, length in samples:
            self._add_crop(name, offset, length)
        self._end_group(root, "")

    def has(self, root: int) -> bool:
        """Whether there is a group of this root."""
        return bool(self._roots_of) and self._roots_of[-1] == root

    def build(self) -> CropIndex:
        """The index of all groups so far."""
        spans = (self._offsets, self._lengths) if self._has_shards else (array("q"), array("q"))
        parts = (
            self._names, self._name_ends, self._folders, self._folder_ends,
            self._starts, self._roots_of, *spans,
        )  # fmt: skip
        return CropIndex(
            self.roots,
            *(np.frombuffer(p, np.uint8 if isinstance(p, bytearray) else np.int64) for p in parts),
        )

    def _add_crop(self, name: str, offset: int, length: int) -> None:
        self._names += os.fsencode(name)
        self._name_ends.append(len(self._names))
        self._offsets.append(offset)
        self._lengths.append(length)

    def _end_group(self, root: int, folder: str) -> None:
        if len(self._name_ends) == self._starts[-1]:
            return
        self._folders += os.fsencode(folder)
        self._folder_ends.append(len(self._folders))
        self._roots_of.append(root)
        self._starts.append(len(self._name_ends))
