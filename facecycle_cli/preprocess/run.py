"""A whole run: find the sources, leave out what is done, work, keep the books."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from facecycle_cli.errors import OutputError, PreprocessError
from facecycle_cli.preprocess.index import Journal, Records, merge
from facecycle_cli.preprocess.settings import PreprocessSettings, claim_folder
from facecycle_cli.preprocess.shards import Packer
from facecycle_cli.preprocess.sources import Problem, Source, find_sources, in_shard
from facecycle_cli.preprocess.store import Store, output_errors
from facecycle_cli.preprocess.work import Result, Task
from facecycle_cli.preprocess.workers import LocalPool, Pool
from facecycle_cli.system import usable_cores

__all__ = ["TIMEOUT", "Events", "Listing", "Tally", "default_workers", "preprocess"]

TIMEOUT = 120.0
"""Seconds without a single frame after which a source is given up."""


@dataclass
class Tally:
    """What became of the sources of one input.

    Attributes:
        input: as the user named it.
        sources: how many there are (in this share).
        known: of these, how many an earlier run had finished.
        crops, frames: made and looked at in this run.
        counts: sources of this run by status.
        reasons: sources that are not done by status and reason.
    """

    input: str
    sources: int = 0
    known: int = 0
    crops: int = 0
    frames: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    problem: str | None = None

    @property
    def has_failures(self) -> bool:
        """Whether anything in this run is not done."""
        return self.problem is not None or any(status != "done" for status in self.counts)

    def count(self, result: Result) -> None:
        """Add a source that this run worked on."""
        self.crops += result.crops
        self.frames += result.frames
        self.counts[result.status] = self.counts.get(result.status, 0) + 1
        if result.status != "done":
            key = result.status, result.reason or ""
            self.reasons[key] = self.reasons.get(key, 0) + 1


class Events:
    """What a caller may want to hear while a run goes on; override what is of interest."""

    def begin(self, sources: int) -> None:
        """So many sources are left to do."""

    def frames(self, count: int) -> None:
        """So many frames more were seen."""

    def finished(self, result: Result) -> None:
        """A source is through."""

    def problem(self, problem: Problem) -> None:
        """A part of an input could not be used."""


def default_workers() -> int:
    """The cores this process may use."""
    return usable_cores()


def preprocess(
    inputs: Sequence[str],
    folder: str | os.PathLike[str],
    settings: PreprocessSettings,
    *,
    share: tuple[int, int] = (1, 1),
    workers: int | None = None,
    ray: str | None = None,
    timeout: float = TIMEOUT,
    events: Events | None = None,
) -> list[Tally]:
    """Crop the faces of all sources of ``inputs`` into ``folder``, or go on with that.

    Memory grows with the number of sources (by about a kilobyte each), not with their size.

    Args:
        inputs: folders or files.
        share: (number from 1, count): this run takes only its share of the sources.
        workers: processes; None: one for each core.
        ray: address of a Ray cluster that does the work instead.
        timeout: seconds without progress after which a source is given up.

    Returns:
        What became of each input.

    Raises:
        PreprocessError: ``folder`` was made with other settings, is being written by another run,
        or
            cannot be written. What is finished by then stays finished.
    """
    events = events or Events()
    folder = Path(folder)
    with ExitStack() as stack:
        _prepare(folder, settings)
        journal = stack.enter_context(Journal(folder, share))
        records = Records.load(folder)
        journal.recover(records)
        listing = Listing(inputs, folder, settings, share, records, events)
        packer: Packer | None = None
        store = stack.enter_context(Store(folder, settings, share))
        if settings.format == "webdataset":
            packer = Packer(store, (source.id for source, _ in listing.mine), records)
        lost = packer.lost if packer else set[str]()
        todo = []
        for source, tally in listing.mine:
            tally.sources += 1
            if records.is_finished(source.id) and source.id not in lost:
                tally.known += 1
            else:
                todo.append((source, tally))
        events.begin(len(todo))
        tallies = {source.id: tally for source, tally in todo}
        if todo:
            task = Task(settings, store.staging, timeout)
            pool = _pool(task, ray, min(workers or default_workers(), len(todo)))
            with closing(pool.run(source for source, _ in todo)) as messages:
                for message in messages:
                    if isinstance(message, int):
                        events.frames(message)
                        continue
                    _keep(message, store, journal, packer)
                    tallies[message.source.id].count(message)
                    events.finished(message)
        if packer:
            packer.finish(journal)
        _merge_if_complete(folder, listing.ids, store.staging)
        return listing.tallies


def _prepare(folder: Path, settings: PreprocessSettings) -> None:
    try:
        claim_folder(folder, settings)
    except OSError as error:
        raise PreprocessError(f"{error.filename or folder}: {error.strerror or error}") from error


def _pool(task: Task, ray: str | None, workers: int) -> Pool:
    if ray is None:
        return LocalPool(task, workers)
    from facecycle_cli.preprocess.ray import RayPool

    return RayPool(task, ray)


def _keep(result: Result, store: Store, journal: Journal, packer: Packer | None) -> None:
    """First the crops, then the lines: what has lines is there."""
    if result.staged is not None:
        store.commit(result.source, result.staged)
    journal.append(result.lines)
    if packer:
        packer.add(result.source.id, result.crops, journal)


class Listing:
    """All sources of the inputs, and which of them are this run's.

    Attributes:
        ids: of all sources, of all shares.
        mine: those of this share, with the tally of their input.
        tallies: one for each input.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        folder: Path,
        settings: PreprocessSettings,
        share: tuple[int, int],
        records: Records,
        events: Events,
    ) -> None:
        self.ids: set[str] = set()
        self.mine: list[tuple[Source, Tally]] = []
        self.tallies = [Tally(name) for name in inputs]
        # Digests instead of names: a million targets are 100 megabytes less.
        self._owners = {_digest(b.target): _digest(s) for s, b in records.sources.items()}
        for tally in self.tallies:
            for item in find_sources(tally.input, settings, skip=os.fspath(folder)):
                found = self._claim(item) if isinstance(item, Source) else item
                if isinstance(found, Problem):
                    tally.problem = found.reason
                    events.problem(found)
                elif in_shard(found.id, *share):
                    self.mine.append((found, tally))

    def _claim(self, source: Source) -> Source | Problem:
        owner = self._owners.setdefault(_digest(source.target), _digest(source.id))
        if source.id in self.ids or owner != _digest(source.id):
            reason = f"another source has crops at {source.target}; give it another output folder"
            return Problem(source.path, reason)
        self.ids.add(source.id)
        return source


def _digest(text: str) -> bytes:
    return hashlib.blake2b(os.fsencode(text), digest_size=8).digest()


def _merge_if_complete(folder: Path, ids: set[str], staging: Path) -> None:
    """Sort the index once all sources of all shares are through."""
    while True:
        records = Records.load(folder)
        if records.are_merged or not ids <= records.sources.keys():
            return
        try:
            with output_errors():
                merge(folder, records, staging)
        except OutputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            time.sleep(0.1)  # another machine was faster; see what it made
        else:
            return
