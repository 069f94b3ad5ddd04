"""Pictures that are files, or members of ``.tar`` shards, read from either in the same way."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.media.images import read_image
from facecycle_cli.media.shards import Quality, samples
from facecycle_cli.types import RGBImage

__all__ = ["StoredPicture", "stored_pictures"]


@dataclass(frozen=True)
class StoredPicture:
    """One picture.

    Attributes:
        name: the file, or the file's name in its shard.
        path: the file, or the shard.
        span: offset and length of the picture in its shard; None for a file of its own.
    """

    name: str
    path: Path
    span: tuple[int, int] | None

    def read(self) -> RGBImage:
        """The pixels (H, W, 3) uint8.

        Raises:
            MediaError: it is no picture.
            OSError: the file cannot be read.
        """
        if self.span is None:
            return read_image(self.path)
        offset, length = self.span
        with open(self.path, "rb") as file:
            file.seek(offset)
            return read_image(io.BytesIO(file.read(length)))


def stored_pictures(path: Path) -> Iterator[tuple[str, StoredPicture]]:
    """The pictures of a folder, a folder of ``.tar`` shards, or one shard, in a fixed order.

    Yields:
        The picture's name without suffix, with the folders above it in ``path`` or in its shard,
        separated by ``/``; and the picture.

    Raises:
        DataError: a shard is damaged.
        OSError: it cannot be read.
    """
    shards = [path] if path.is_file() else sorted(path.glob("*.tar"))
    return _in_shards(shards) if shards else _in_folder(path)


def _in_shards(shards: list[Path]) -> Iterator[tuple[str, StoredPicture]]:
    for shard in shards:
        try:
            for key, offset, length in samples(shard, Quality()):
                yield key, StoredPicture(key, shard, (offset, length))
        except DataError as error:
            raise DataError(f"{shard}: {error}") from None


def _in_folder(path: Path) -> Iterator[tuple[str, StoredPicture]]:
    left_out = LeftOut()
    for where, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        pictures = [n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES and n[0] != "."]
        for name in left_out.without_results(where, sorted(pictures)):
            file = Path(where, name)
            key = file.relative_to(path).with_suffix("").as_posix()
            yield key, StoredPicture(str(file), file, None)
