"""The crops of a folder that preprocess made: by its index, or in its tar shards."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.faces.crop_landmarks import LANDMARKS_SUFFIX, MAX_LANDMARKS_BYTES
from facecycle_cli.media.files import IMAGE_SUFFIXES, suffix_of
from facecycle_cli.media.listing import check_file, name_below, parse_entry
from facecycle_cli.preprocess import read_crops
from facecycle_cli.preprocess.index import INDEX_FILE

__all__ = ["NamedInput", "crops_of"]

_SHARD = ".tar"

_MOST_BYTES = 1 << 24
"""Of a crop or of its line in a shard."""


@dataclass(frozen=True)
class NamedInput:
    """A picture or video to encode.

    Attributes:
        name: for the column ``source`` and for messages.
        file: its file, ``-`` for standard input; or the bytes of a picture.
        entry: the line of preprocess's index about a crop.
        landmarks: the file beside a crop with its landmarks; None: they are not known, or in
            a file that is still to be looked for.
        has_file_beside: whether there may be such a file beside ``file``.
        problem: why it cannot be read; None: it may be.
    """

    name: str
    file: str | bytes
    entry: Mapping[str, Any] = field(default_factory=dict)
    problem: Exception | None = None
    landmarks: bytes | None = None
    has_file_beside: bool = False


def crops_of(path: str) -> Iterator[NamedInput] | None:
    """The crops of a folder of preprocess, or of one tar shard; None if it is neither."""
    if os.path.isfile(path):
        return _in_shard(path) if suffix_of(path) == _SHARD else None
    shards = sorted(str(shard) for shard in Path(path).glob(f"*{_SHARD}"))
    if shards:
        return (crop for shard in shards for crop in _in_shard(shard))
    return _listed(path) if os.path.isfile(os.path.join(path, INDEX_FILE)) else None


def _listed(folder: str) -> Iterator[NamedInput]:
    index = os.path.join(folder, INDEX_FILE)
    found = False
    try:
        for entry in read_crops(folder):
            found = True
            name = name_below(entry["path"])
            path = os.path.join(folder, name)
            try:
                check_file(folder, name)
            except ValueError as error:
                yield NamedInput(path, path, problem=MediaError(str(error)))
            else:
                yield NamedInput(path, path, entry, has_file_beside=True)
    except (OSError, ValueError, TypeError) as error:
        found = True
        yield NamedInput(index, index, problem=error)
    if not found:
        yield NamedInput(index, index, problem=MediaError("it lists no crops"))


def _in_shard(shard: str) -> Iterator[NamedInput]:
    """The pictures of a tar file in webdataset's convention, with JSON and landmarks after them.

    A shard may come from anybody: nothing is unpacked, and links are not followed.
    """
    try:
        if not os.path.isfile(shard):
            raise DataError("not a regular file")
        with tarfile.open(shard, "r:") as tar:
            waiting: NamedInput | None = None
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it would grow with the file
                name = os.path.join(shard, member.name)
                if not member.isfile():
                    continue
                if suffix_of(name) in IMAGE_SUFFIXES:
                    if waiting is not None:
                        yield waiting
                    waiting = NamedInput(name, _read(tar, member))
                elif waiting is not None and name == f"{_stem(waiting.name)}.json":
                    waiting = replace(waiting, entry=parse_entry(_read(tar, member)))
                elif (
                    waiting is not None
                    and name == _stem(waiting.name) + LANDMARKS_SUFFIX
                    and member.size <= MAX_LANDMARKS_BYTES
                ):
                    waiting = replace(waiting, landmarks=_read(tar, member))
            if waiting is not None:
                yield waiting
    except (OSError, ValueError, tarfile.TarError) as error:
        is_damaged = isinstance(error, tarfile.TarError)
        problem = DataError("damaged, or no tar file") if is_damaged else error
        yield NamedInput(shard, shard, problem=problem)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The content of a file in a shard.

    Raises:
        DataError: it is too large, or cut off.
    """
    if member.size > _MOST_BYTES:
        raise DataError(f"{member.name!r:.80} is larger than {_MOST_BYTES:,} bytes")
    file = tar.extractfile(member)
    data = b"" if file is None else file.read()
    if len(data) != member.size:
        raise DataError("it is cut off")
    return data


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
