"""The index of all crops: where every picture is, and which pictures show one person.

VoxCeleb2 has a million clips and thirty times as many crops. Their names are listed once, in a few
flat arrays. Every process of a run maps these into memory and reads only what it draws.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.faces.crop_landmarks import (
    LANDMARKS_SUFFIX,
    MAX_LANDMARKS_BYTES,
    read_landmarks_beside,
)
from facecycle_cli.media.shards import MAX_CROP_BYTES, field_after
from facecycle_cli.system import parse_json

IntArray: TypeAlias = NDArray[np.int64]
"""Numbers of crops or groups, positions, counts."""

_ARRAYS = (
    "names", "name_ends", "folders", "folder_ends", "starts", "roots_of", "offsets", "lengths",
)  # fmt: skip
_VERSION = 1
"""Of the folder that :meth:`CropIndex.save` writes."""


@dataclass(frozen=True)
class CropIndex:
    """Crops in groups: the frames of a clip, the photographs of a person.

    The crops of group ``g`` have the numbers ``starts[g]`` to ``starts[g + 1] - 1``. Names are
    kept as bytes in one array, and the end of each name in another.

    Attributes:
        roots: the folders of the data, absolute.
        names: bytes of the file names; a crop in a shard has the shard's name.
        name_ends: (N,) where each name ends.
        folders: the groups' folders below their root; empty for a shard's groups.
        folder_ends: (G,) where each folder ends.
        starts: (G + 1,) first crop of each group.
        roots_of: (G,) number of each group's root.
        offsets: (N,) where a crop begins in its shard, or empty if there are no shards; -1 for a
            crop that is a file of its own.
        lengths: (N,) bytes of a crop in its shard, or empty.
    """

    roots: tuple[str, ...]
    names: NDArray[np.uint8]
    name_ends: IntArray
    folders: NDArray[np.uint8]
    folder_ends: IntArray
    starts: IntArray
    roots_of: IntArray
    offsets: IntArray
    lengths: IntArray

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.name_ends)

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> IntArray:
        """(G,) number of crops in each group."""
        sizes: IntArray = np.diff(self.starts)
        return sizes

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
        """The bytes of a crop's image file.

        Raises:
            MediaError: it is no regular file, or too large for a crop.
            OSError: the file cannot be read.
        """
        path = self.path(crop)
        offset = int(self.offsets[crop]) if len(self.offsets) else -1
        found = os.stat(path)  # before it is opened, which can take forever
        if not stat.S_ISREG(found.st_mode):
            raise MediaError("not a regular file")
        length = found.st_size if offset < 0 else int(self.lengths[crop])
        if length > MAX_CROP_BYTES:
            raise MediaError(f"{length:,} bytes, more than {MAX_CROP_BYTES:,}")
        with open(path, "rb") as file:
            file.seek(max(0, offset))
            return file.read(length)

    def read_landmarks(self, crop: int) -> bytes | None:
        """The bytes of the file with a crop's landmarks; None if there is none beside it.

        Raises:
            OSError: the file cannot be read.
        """
        path = self.path(crop)
        offset = int(self.offsets[crop]) if len(self.offsets) else -1
        if offset >= 0:
            end = offset + int(self.lengths[crop])
            return field_after(Path(path), end, LANDMARKS_SUFFIX, MAX_LANDMARKS_BYTES)
        return read_landmarks_beside(path)

    def save(self, folder: Path) -> None:
        """Write to ``folder``, which appears complete or not at all."""
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", vars(self)[name])
        header = {"version": _VERSION, "roots": self.roots}
        (temporary / "index.json").write_text(json.dumps(header), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)

    @classmethod
    def load(cls, folder: Path) -> CropIndex:
        """Map what :meth:`save` wrote into memory.

        Raises:
            DataError: it was written by another version, or is damaged.
            OSError: it is missing.
        """
        try:
            header: dict[str, Any] = parse_json((folder / "index.json").read_bytes())
            if header.get("version") != _VERSION:
                raise DataError(f"{folder}: an index of another version: remove it")
            arrays = {name: _open(folder / f"{name}.npy") for name in _ARRAYS}
            index = cls(roots=tuple(map(str, header["roots"])), **arrays)
            index._check()
        except DataError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise DataError(
                f"{folder}: damaged, remove it to list the crops again ({error})"
            ) from None
        return index

    def _check(self) -> None:
        """Raises ValueError: the arrays do not fit each other."""
        for name in _ARRAYS:
            array = vars(self)[name]
            kind = np.uint8 if name in ("names", "folders") else np.int64
            if array.ndim != 1 or array.dtype != kind:
                raise ValueError(f"{name} is {array.dtype}{array.shape}")
        crops, groups = len(self.name_ends), len(self.folder_ends)
        fits = (
            len(self.starts) == groups + 1
            and len(self.roots_of) == groups
            and len(self.offsets) == len(self.lengths)
            and len(self.offsets) in (0, crops)
            and groups > 0
            and int(self.starts[0]) == 0
            and int(self.starts[-1]) == crops
            and int(self.name_ends[-1]) == len(self.names)
            and int(self.folder_ends[-1]) == len(self.folders)
            and int(self.roots_of.min()) >= 0
            and int(self.roots_of.max()) < len(self.roots)
        )
        if not fits:
            raise ValueError("its arrays do not fit each other")


def _open(path: Path) -> NDArray[Any]:
    array: NDArray[Any]
    try:
        array = np.load(path, mmap_mode="r")
    except ValueError:  # an empty file cannot be mapped
        array = np.load(path)
    return array


def _piece(text: NDArray[np.uint8], ends: IntArray, number: int) -> str:
    """The name with this number."""
    start = int(ends[number - 1]) if number else 0
    return os.fsdecode(text[start : int(ends[number])].tobytes())


class IndexBuilder:
    """Makes an index of groups that come one after the other, in little memory.

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
        """Add a group of files: ``names`` in ``folder`` below the root of this number."""
        for name in names:
            self._add_crop(name, -1, 0)
        self._end_group(root, folder)

    def add_samples(self, root: int, samples: Iterable[tuple[str, int, int]]) -> None:
        """Add a group of samples, each the name of its shard, its offset and its length."""
        self._has_shards = True
        for name, offset, length in samples:
            self._add_crop(name, offset, length)
        self._end_group(root, "")

    def has(self, root: int) -> bool:
        """Whether the last group that was added is of this root."""
        return bool(self._roots_of) and self._roots_of[-1] == root

    def build(self) -> CropIndex:
        """The index of all groups so far."""
        nothing = array("q")
        return CropIndex(
            self.roots,
            names=np.frombuffer(self._names, np.uint8),
            name_ends=np.frombuffer(self._name_ends, np.int64),
            folders=np.frombuffer(self._folders, np.uint8),
            folder_ends=np.frombuffer(self._folder_ends, np.int64),
            starts=np.frombuffer(self._starts, np.int64),
            roots_of=np.frombuffer(self._roots_of, np.int64),
            offsets=np.frombuffer(self._offsets if self._has_shards else nothing, np.int64),
            lengths=np.frombuffer(self._lengths if self._has_shards else nothing, np.int64),
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
