"""Crops of single sources to tar shards of a set size, in webdataset's convention.

Shards are filled in the order of the sources, not in the order in which they finish, so that the
same sources give the same shards. A shard is complete under its name before the journal lists it,
and the crops of its sources are removed only after that.

The shards are written by :mod:`tarfile`: members in the order and with the fields that webdataset's
own writer gives them. That package would add no more, and its import takes seconds.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from facecycle_cli.preprocess.index import Journal, Records, to_line
from facecycle_cli.preprocess.store import Store, output_errors

__all__ = ["ShardPacker"]

_OWNER = "facecycle"
_READ_ONLY = 0o444


class ShardPacker:
    """Packs the crops of a share's sources.

    Args:
        store: where the crops are.
        order: names of all sources of the share, in order.
        records: what earlier runs did.

    Attributes:
        lost: sources that an earlier run finished but whose crops are missing: they have to be done
            again.
    """

    def __init__(self, store: Store, order: Iterable[str], records: Records) -> None:
        self._store = store
        self._limit = store.settings.shard_megabytes * 1_000_000
        self._prefix = "crops-" if store.name == "1-of-1" else f"crops-{store.name}-"
        self._next = max(_numbers(records.shards, self._prefix), default=-1) + 1
        self._waiting = deque(source for source in order if source not in records.packed)
        self._finished: dict[str, int] = {}  # source -> crops
        self._batch: list[tuple[str, int, int]] = []  # source, crops, bytes
        self.lost: set[str] = set()
        for source in self._waiting:
            block = records.sources.get(source)
            if block is None or not records.is_finished(source):
                continue
            if block.crops and not store.unpacked_path(source).exists():
                self.lost.add(source)
            else:
                self._finished[source] = block.crops
        for source in records.packed:  # left by a run that was killed after it wrote a shard
            store.unpacked_path(source).unlink(missing_ok=True)

    def add(self, source: str, crops: int, journal: Journal) -> None:
        """A source is finished: write the shards that are full now.

        Raises:
            OutputError: a shard cannot be written.
        """
        self._finished[source] = crops
        self._write_full(journal)

    def finish(self, journal: Journal) -> None:
        """Write the last shard, if all sources are finished.

        Raises:
            OutputError: a shard cannot be written.
        """
        self._write_full(journal)
        if not self._waiting and self._batch:
            self._write(journal)

    def _write_full(self, journal: Journal) -> None:
        while self._waiting and self._waiting[0] in self._finished:
            source = self._waiting.popleft()
            crops = self._finished.pop(source)
            if not crops:
                continue
            size = self._store.unpacked_path(source).stat().st_size
            if self._batch and sum(b for *_, b in self._batch) + size > self._limit:
                self._write(journal)
            self._batch.append((source, crops, size))

    def _write(self, journal: Journal) -> None:
        name = f"{self._prefix}{self._next:06d}.tar"
        pieces = [self._store.unpacked_path(source) for source, *_ in self._batch]
        staged = self._store.staging / name
        with output_errors():
            with open(staged, "wb") as file, tarfile.open(fileobj=file, mode="w|") as shard:
                for piece in pieces:
                    _copy_members(piece, shard)
            size = staged.stat().st_size
            os.replace(staged, self._store.folder / name)
        sources, crops, _ = zip(*self._batch, strict=True)
        record = {"shard": name, "crops": sum(crops), "bytes": size, "sources": list(sources)}
        journal.append([to_line(record)])
        for piece in pieces:
            piece.unlink(missing_ok=True)
        self._next += 1
        self._batch = []


def _copy_members(piece: Path, shard: tarfile.TarFile) -> None:
    """Copy the members of one tar file into the shard, a sample's in the order of their suffixes.

    A piece has the picture (``jpg``), the line (``json``) and the landmarks (``landmarks.npy``) of
    each crop in this order already.
    """
    with tarfile.open(piece) as tar:
        for member in tar:
            content = tar.extractfile(member)
            data = b"" if content is None else content.read()
            copy = tarfile.TarInfo(member.name)
            copy.size, copy.mode = len(data), _READ_ONLY
            copy.uname = copy.gname = _OWNER
            shard.addfile(copy, io.BytesIO(data))


def _numbers(names: Iterable[str], prefix: str) -> Iterator[int]:
    """The numbers of the shards that begin with ``prefix``."""
    for name in names:
        digits = name.removeprefix(prefix).removesuffix(".tar")
        if name.startswith(prefix) and digits.isdigit():
            yield int(digits)
