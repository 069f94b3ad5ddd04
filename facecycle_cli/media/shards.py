"""Crops in tar shards of webdataset's convention, and which crops are good enough.

A shard may come from anybody. Its members are read in place: nothing is unpacked, and nothing is
read before its size is known to be in bounds.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.media.listing import finite, name_below, parse_entry

MAX_CROP_BYTES = 1 << 28
"""Of one picture file: crops have thousands of bytes, photographs millions."""

_MAX_HEADER_BYTES = 1 << 20
"""Of what tarfile reads at once: headers with long names."""


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
        """Whether the crop of this line in the index is good enough; one without numbers is not.

        Raises:
            ValueError: what should be a number is something else.
        """
        sharpness, yaw = finite(record, "sharpness"), finite(record, "yaw")
        good = (
            (self.min_sharpness <= 0 or (sharpness is not None and sharpness >= self.min_sharpness))
            and (self.max_yaw >= 180 or (yaw is not None and abs(yaw) <= self.max_yaw))
        )  # fmt: skip
        self.left_out += not good
        return good


class _BoundedFile(io.FileIO):
    """A file of which only small parts are read: tar headers state how long their names are."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise DataError("a header that is too large")
        return super().read(size) or b""


def samples(shard: Path, quality: Quality) -> Iterator[tuple[str, int, int]]:
    """Name, offset and length of every picture in a shard that is good enough.

    Raises:
        DataError: it is damaged or no tar file, a member is none of a data set (a link, a device),
            or a member is too large.
        OSError: it cannot be read.
    """
    if shard.exists() and not shard.is_file():
        raise DataError("not a regular file")
    try:
        with _BoundedFile(shard) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield from _samples_of(tar, os.fstat(file.fileno()).st_size, quality)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"not a tar file that can be read ({error})") from None
    except RecursionError:  # of headers that say nothing but that another one follows
        raise DataError("not a tar file that can be read") from None


def field_after(shard: Path, end: int, suffix: str, most: int) -> bytes | None:
    """The field with this suffix of the sample whose picture ends at byte ``end`` of a shard.

    It is looked for in the rest of the sample only, which follows the picture.

    Args:
        shard: a tar file that :func:`samples` has read.
        end: of the picture's bytes.
        suffix: from the first dot on.
        most: a longer field is none.

    Returns:
        Its bytes; None: the sample has none.

    Raises:
        OSError: the shard cannot be read.
    """
    start = -(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    try:
        with _BoundedFile(shard) as file:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                key = None
                for member in tar:
                    found, dot, kind = _split_key(member.name)
                    key = found if key is None else key
                    if found != key or f".{kind.lower()}" in IMAGE_SUFFIXES:
                        return None
                    if dot + kind == suffix and member.isfile() and member.size <= most:
                        content = tar.extractfile(member)
                        return None if content is None else content.read()
    except (tarfile.TarError, EOFError, DataError, RecursionError):
        return None
    return None


def _samples_of(
    tar: tarfile.TarFile, size: int, quality: Quality
) -> Iterator[tuple[str, int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    accepted: dict[str, bool] = {}
    for member in tar:
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
        key, dot, suffix = _split_key(member.name)
        if member.isdir():
            continue
        _check(member, size)
        if not dot:
            continue
        if f".{suffix.lower()}" in IMAGE_SUFFIXES:
            spans[key] = (member.offset_data, member.size)
        elif suffix == "json" and quality.matters and (content := tar.extractfile(member)):
            try:
                accepted[key] = quality.accepts(parse_entry(content.read()))
            except ValueError as error:
                raise DataError(f"{member.name}: {error}") from None
        if key in spans and (key in accepted or not quality.matters):
            span = spans.pop(key)
            if accepted.pop(key, True):
                yield key, *span
    quality.left_out += len(spans)  # pictures without a JSON file


def _check(member: tarfile.TarInfo, size: int) -> None:
    """Check that a member is a file of the shard, within its ``size`` and of a sane size itself."""
    if not member.isfile() or member.issparse():
        kind = "a link" if member.islnk() or member.issym() else "not a regular file"
        raise DataError(f"{member.name}: {kind}, which no shard holds")
    try:
        name_below(member.name)
    except ValueError as error:
        raise DataError(str(error)) from None
    if member.offset_data + member.size > size:
        raise DataError(f"{member.name}: the shard ends before it does")
    if member.size > MAX_CROP_BYTES:
        raise DataError(f"{member.name}: {member.size:,} bytes, more than {MAX_CROP_BYTES:,}")


def _split_key(name: str) -> tuple[str, str, str]:
    """A member's sample and suffix, as webdataset splits them: at the file name's first dot."""
    path = PurePosixPath(name)
    stem, dot, suffix = path.name.partition(".")
    folder = str(path.parent)
    return (stem if folder == "." else f"{folder}/{stem}"), dot, suffix
