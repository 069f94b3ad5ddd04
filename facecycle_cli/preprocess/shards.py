"""Results of single sources to tar shards of a set size, in webdataset's convention.

Shards are filled in the order of the sources, whatever order they are finished in, so that the same
sources give the same shards. A shard is complete under its name before the journal says so, and the
results in it are removed only after that.
"""

from __future__ import annotations

import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from facecycle_cli.errors import PreprocessError
from facecycle_cli.preprocess.index import Journal, Records, to_line
from facecycle_cli.preprocess.store import Store, output_errors

__all__ = ["Packer"]

_REPEATABLE = {"encoder": False, "mtime": 0, "user": "facecycle", "group": "facecycle"}


class Packer:
    """Packs the results of a share's sources.

    Args:
        store: where they are. order: all sources of the share, in order. records: what earlier runs
        did; sources that are finished there, but whose result is missing,
            are in ``lost`` and have to be done again.

    Raises PreprocessError if the package webdataset is missing.
    """

    def __init__(self, store: Store, order: Iterable[str], records: Records) -> None:
        try:
            from webdataset.writer import TarWriter
        except ImportError as error:
            raise PreprocessError(
                "--format webdataset needs the package webdataset; install facecycle[train]"
            ) from error
        self._writer: Callable[..., Any] = TarWriter
        self._store = store
        self._limit = store.settings.shard_megabytes * 1_000_000
        self._prefix = "crops-" if store.name == "1-of-1" else f"crops-{store.name}-"
        mine = (name for name in records.shards if _number(name, self._prefix) is not None)
        numbers = [_number(name, self._prefix) or 0 for name in mine]
        self._next = max(numbers, default=-1) + 1
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
        for source in records.packed:  # by a run that was killed before it tidied up
            store.unpacked_path(source).unlink(missing_ok=True)

    def add(self, source: str, crops: int, journal: Journal) -> None:
        """A source is finished: write the shards that are full now. Raises OutputError."""
        self._finished[source] = crops
        self.advance(journal)

    def advance(self, journal: Journal) -> None:
        """Write the shards that are full now."""
        while self._waiting and self._waiting[0] in self._finished:
            source = self._waiting.popleft()
            crops = self._finished.pop(source)
            if not crops:
                continue
            size = self._store.unpacked_path(source).stat().st_size
            if self._batch and sum(b for *_, b in self._batch) + size > self._limit:
                self._write(journal)
            self._batch.append((source, crops, size))

    def finish(self, journal: Journal) -> None:
        """Write the last shard, if all sources are through."""
        self.advance(journal)
        if not self._waiting and self._batch:
            self._write(journal)

    def _write(self, journal: Journal) -> None:
        name = f"{self._prefix}{self._next:06d}.tar"
        pieces = [self._store.unpacked_path(source) for source, *_ in self._batch]
        staged = self._store.staging / name
        with output_errors():
            with open(staged, "wb") as file, self._writer(file, **_REPEATABLE) as writer:
                for piece in pieces:
                    _copy_samples(piece, writer.write)
            size = staged.stat().st_size
            os.replace(staged, self._store.folder / name)
        sources, crops, _ = zip(*self._batch, strict=True)
        record = {"shard": name, "crops": sum(crops), "bytes": size, "sources": list(sources)}
        journal.append([to_line(record)])
        for piece in pieces:
            piece.unlink(missing_ok=True)
        self._next += 1
        self._batch = []


def _copy_samples(piece: Path, write: Callable[[dict[str, bytes | str]], object]) -> None:
    """The samples of one tar file into another."""
    with tarfile.open(piece) as tar:
        sample: dict[str, bytes | str] = {}
        for member in tar:
            folder, _, file = member.name.rpartition("/")
            stem, _, suffix = file.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if sample and sample["__key__"] != key:
                write(sample)
                sample = {}
            content = tar.extractfile(member)
            assert content is not None
            sample["__key__"] = key
            sample[suffix] = content.read()
        if sample:
            write(sample)


def _number(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix).removesuffix(".tar")
    return int(digits) if name.startswith(prefix) and digits.isdigit() else None
