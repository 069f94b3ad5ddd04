"""A whole run: find the sources, leave out those that are finished, work, write the index."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from facecycle_cli.errors import OutputError, PreprocessError
from facecycle_cli.media.files import LeftOut
from facecycle_cli.preprocess.index import Journal, Records, merge_journals
from facecycle_cli.preprocess.pool import LocalPool
from facecycle_cli.preprocess.settings import PreprocessSettings, claim_folder
from facecycle_cli.preprocess.shards import ShardPacker
from facecycle_cli.preprocess.sources import (
    Problem,
    Source,
    find_sources,
    in_shard,
    made_by_us,
)
from facecycle_cli.preprocess.store import Store, output_errors
from facecycle_cli.preprocess.workers import Pool, SourceResult, WorkerTask
from facecycle_cli.system import usable_cores

__all__ = ["TIMEOUT", "Events", "InputSummary", "SourceList", "preprocess"]

TIMEOUT = 120.0
"""Seconds without a frame after which a source is skipped."""


@dataclass
class InputSummary:
    """What came of the sources of one input.

    Attributes:
        input: as the user named it.
        sources: how many there are (in this share).
        known: how many of these an earlier run had finished.
        crops: how many this run made.
        frames: how many this run saw.
        counts: status -> number of sources in this run.
        reasons: (status, reason) -> number of sources that are not done.
        problem: why a part of the input, or all of it, could not be used; None: no problem.
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

    def count(self, result: SourceResult) -> None:
        """Add the result of a source."""
        self.crops += result.crops
        self.frames += result.frames
        self.counts[result.status] = self.counts.get(result.status, 0) + 1
        if result.status != "done":
            key = result.status, result.reason or ""
            self.reasons[key] = self.reasons.get(key, 0) + 1


class Events:
    """What happens during a run: override the methods that you need."""

    def begin(self, sources: int) -> None:
        """``sources`` sources are left to do."""

    def frames(self, count: int) -> None:
        """``count`` more frames were seen."""

    def finished(self, result: SourceResult) -> None:
        """The work on a source has ended."""

    def problem(self, problem: Problem) -> None:
        """A part of an input could not be used."""

    def left_out(self, left_out: LeftOut) -> None:
        """All inputs are walked, and this was left out."""


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
) -> list[InputSummary]:
    """Crop the faces of all sources of ``inputs`` into ``folder``, or continue an earlier run.

    Memory grows with the number of sources (by about a kilobyte each), not with their size.

    Args:
        inputs: folders or files.
        folder: the output.
        settings: of the crops.
        share: (number from 1, count): this run takes only its share of the sources.
        workers: processes; None: one for each core.
        ray: address of a Ray cluster that does the work instead; None: this machine.
        timeout: seconds without a frame after which a source is skipped.
        events: told what happens.

    Returns:
        What came of each input.

    Raises:
        SettingsError: ``folder`` was made with other settings.
        PreprocessError: ``folder`` cannot be used or is being written by another run, or the
            workers cannot start.
        OutputError: ``folder`` cannot be written. What is finished by then stays finished.
        MissingExtraError: ray is not installed.
    """
    events = events or Events()
    folder = Path(folder)
    with ExitStack() as stack:
        _claim(folder, settings)
        journal = stack.enter_context(Journal(folder, share))
        records = Records.load(folder)
        journal.recover(records)
        listing = SourceList(inputs, folder, settings, share, records, events)
        packer: ShardPacker | None = None
        store = stack.enter_context(Store(folder, settings, share))
        if settings.format == "webdataset":
            packer = ShardPacker(store, (source.id for source, _ in listing.mine), records)
        lost = packer.lost if packer else set[str]()
        todo = []
        for source, summary in listing.mine:
            summary.sources += 1
            if records.is_finished(source.id) and source.id not in lost:
                summary.known += 1
            else:
                todo.append((source, summary))
        events.begin(len(todo))
        summaries = {source.id: summary for source, summary in todo}
        if todo:
            task = WorkerTask(settings, store.staging, timeout)
            pool = _pool(task, ray, min(workers or usable_cores(), len(todo)))
            with closing(pool.run(source for source, _ in todo)) as messages:
                for message in messages:
                    if isinstance(message, int):
                        events.frames(message)
                        continue
                    _keep(message, store, journal, packer)
                    summaries[message.source.id].count(message)
                    events.finished(message)
        if packer:
            packer.finish(journal)
        _sort_if_complete(folder, listing, store.staging)
        return listing.summaries


def _claim(folder: Path, settings: PreprocessSettings) -> None:
    try:
        claim_folder(folder, settings)
    except OSError as error:
        raise PreprocessError(f"{error.filename or folder}: {error.strerror or error}") from error


def _pool(task: WorkerTask, ray: str | None, workers: int) -> Pool:
    if ray is None:
        return LocalPool(task, workers)
    from facecycle_cli.preprocess.ray import RayPool

    return RayPool(task, ray)


def _keep(result: SourceResult, store: Store, journal: Journal, packer: ShardPacker | None) -> None:
    """Move the crops first and write their lines after that: what has lines is in place."""
    if result.staged is not None:
        store.commit(result.source, result.staged)
    journal.append(result.lines)
    if packer:
        packer.add(result.source.id, result.crops, journal)


class SourceList:
    """All sources of the inputs, and those of this run's share.

    Results of facecycle are no sources, unless they are named. Those of this share that no earlier
    run has finished are found and left out; to look into the files of all shares would take each
    machine too long.

    Attributes:
        ids: names of all sources, of all shares; of other shares also results.
        mine: the sources of this share, with the summary of their input.
        summaries: one for each input.
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
        self.mine: list[tuple[Source, InputSummary]] = []
        self.summaries = [InputSummary(name) for name in inputs]
        # Digests and not names: for a million targets they take 100 megabytes less.
        self._owners = {_digest(b.target): _digest(s) for s, b in records.sources.items()}
        self._arguments = (settings, os.fspath(folder))
        left_out = LeftOut()
        for summary in self.summaries:
            is_folder = os.path.isdir(summary.input)
            for item in self._find(summary.input, left_out):
                found = self._claim(item) if isinstance(item, Source) else item
                if isinstance(found, Problem):
                    summary.problem = found.reason
                    events.problem(found)
                elif not in_shard(found.id, *share):
                    continue
                elif is_folder and not records.is_finished(found.id) and made_by_us(found):
                    self.ids.discard(found.id)
                    left_out.results += 1
                else:
                    self.mine.append((found, summary))
        events.left_out(left_out)

    def _find(self, name: str, left_out: LeftOut | None = None) -> Iterator[Source | Problem]:
        settings, folder = self._arguments
        return find_sources(name, settings, skip=folder, left_out=left_out)

    def is_complete(self, records: Records) -> bool:
        """Whether all sources of all shares have their records."""
        missing = self.ids - records.sources.keys()
        if not missing:
            return True
        # Results in other shares, perhaps: look at each, up to the first that is none.
        found = (item for summary in self.summaries for item in self._find(summary.input))
        left = (item for item in found if isinstance(item, Source) and item.id in missing)
        return all(made_by_us(source) for source in left)

    def _claim(self, source: Source) -> Source | Problem:
        """The source, unless its target belongs to another one."""
        owner = self._owners.setdefault(_digest(source.target), _digest(source.id))
        if source.id in self.ids or owner != _digest(source.id):
            reason = f"another source has crops at {source.target}; give it another output folder"
            return Problem(source.path, reason)
        self.ids.add(source.id)
        return source


def _digest(text: str) -> bytes:
    return hashlib.blake2b(os.fsencode(text), digest_size=8).digest()


def _sort_if_complete(folder: Path, listing: SourceList, staging: Path) -> None:
    """Sort the index when all sources of all shares are finished."""
    while True:
        records = Records.load(folder)
        if records.are_merged or not listing.is_complete(records):
            return
        try:
            with output_errors():
                merge_journals(folder, records, staging)
        except OutputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            time.sleep(0.1)  # another machine was faster: read what it made
        else:
            return
