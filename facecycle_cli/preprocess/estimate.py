"""How long a run would take and how much it would write, measured on a few of its sources."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from facecycle_cli.preprocess.index import Records
from facecycle_cli.preprocess.pool import LocalPool
from facecycle_cli.preprocess.run import TIMEOUT, Events, SourceList
from facecycle_cli.preprocess.settings import PreprocessSettings, check_folder
from facecycle_cli.preprocess.sources import Source, SourceKind
from facecycle_cli.preprocess.workers import WorkerTask
from facecycle_cli.system import usable_cores

__all__ = ["Estimate", "estimate"]

_SAMPLES = 8
"""The most sources of each kind that are measured."""

_PATIENCE = 20.0
"""Seconds after which no more sources are measured, once there is one of each kind."""


@dataclass
class Estimate:
    """What is left to do of one input.

    Attributes:
        input: as the user named it.
        sources: how many there are (in this share).
        known: how many of these are finished.
        input_bytes: size of the files that are left.
        crops: estimated number; None: no source could be measured.
        seconds: estimated time with all worker processes; None: as ``crops``.
        output_bytes: estimated size of the crops; None: as ``crops``.
        problem: why there is nothing to do; None: there is.
    """

    input: str
    sources: int = 0
    known: int = 0
    input_bytes: int = 0
    crops: float | None = None
    seconds: float | None = None
    output_bytes: float | None = None
    problem: str | None = None


@dataclass
class _Rate:
    """What some sources of a kind took, and their total size in bytes or pieces."""

    size: float = 0.0
    crops: int = 0
    seconds: float = 0.0
    output_bytes: int = 0


def estimate(
    inputs: Sequence[str],
    folder: str | os.PathLike[str],
    settings: PreprocessSettings,
    *,
    share: tuple[int, int] = (1, 1),
    workers: int | None = None,
    events: Events | None = None,
) -> list[Estimate]:
    """Count the sources of ``inputs``, and measure a few of them without keeping their crops.

    Nothing is written below ``folder``.

    Args:
        inputs, folder, settings, share, workers, events: as in
            :func:`~facecycle_cli.preprocess.run.preprocess`.

    Returns:
        What is left to do of each input.

    Raises:
        SettingsError: ``folder`` was made with other settings.
        PreprocessError: the workers cannot start, or the index of ``folder`` is damaged.
    """
    folder = Path(folder)
    check_folder(folder, settings)
    records = Records.load(folder)
    listing = SourceList(inputs, folder, settings, share, records, events or Events())
    todo = [(source, of) for source, of in listing.mine if not records.is_finished(source.id)]
    rates = _measure([source for source, _ in todo], settings)
    estimates = {id(s): Estimate(s.input, problem=s.problem) for s in listing.summaries}
    for source, summary in listing.mine:
        entry = estimates[id(summary)]
        entry.sources += 1
        entry.known += records.is_finished(source.id)
    processes = workers or usable_cores()
    for source, summary in todo:
        _add(estimates[id(summary)], source, rates, processes)
    return list(estimates.values())


def _add(entry: Estimate, source: Source, rates: dict[SourceKind, _Rate], processes: int) -> None:
    bytes_, size = _size(source)
    entry.input_bytes += bytes_
    rate = rates.get(source.kind)
    if rate is None:
        return
    share = size / rate.size
    entry.crops = (entry.crops or 0) + share * rate.crops
    entry.seconds = (entry.seconds or 0) + share * rate.seconds / processes
    entry.output_bytes = (entry.output_bytes or 0) + share * rate.output_bytes


def _size(source: Source) -> tuple[int, float]:
    """Bytes of the source, and the size that its time and its crops are proportional to."""
    try:
        if source.kind == "frames":
            sizes = [entry.stat().st_size for entry in os.scandir(source.path) if entry.is_file()]
            return sum(sizes), float(len(sizes))
        size = os.path.getsize(source.path)
    except OSError:
        return 0, 0.0
    return size, float(size) if source.kind == "video" else 1.0


def _measure(todo: Sequence[Source], settings: PreprocessSettings) -> dict[SourceKind, _Rate]:
    """Make the crops of some sources of ``todo``, in one process."""
    chosen = _choose(todo)
    kinds = {source.kind for source in chosen}
    rates: dict[SourceKind, _Rate] = defaultdict(_Rate)
    if not chosen:
        return rates
    begun = last = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="facecycle-") as staging:
        pool = LocalPool(WorkerTask(settings, Path(staging), TIMEOUT), 1)
        # The first source comes twice: its first time includes the start of the process.
        warm = False
        with closing(pool.run([chosen[0], *chosen])) as messages:
            for message in messages:
                if isinstance(message, int):
                    continue
                now = time.perf_counter()
                if warm:
                    rate = rates[message.source.kind]
                    rate.size += _size(message.source)[1]
                    rate.crops += message.crops
                    rate.seconds += now - last
                    rate.output_bytes += _written(message.staged)
                if now - begun > _PATIENCE and rates.keys() == kinds:
                    break
                warm, last = True, time.perf_counter()
    return {kind: rate for kind, rate in rates.items() if rate.size}


def _choose(todo: Sequence[Source]) -> list[Source]:
    """Some sources of each kind, evenly spread; the kinds take turns, as time may run out."""
    kinds: dict[SourceKind, list[Source]] = defaultdict(list)
    for source in todo:
        kinds[source.kind].append(source)
    rows = []
    for sources in kinds.values():
        count = min(_SAMPLES, len(sources))
        rows.append([sources[i * len(sources) // count] for i in range(count)])
    return [source for turn in zip_longest(*rows) for source in turn if source is not None]


def _written(staged: Path | None) -> int:
    """Bytes of the crops of a source, and of what lies beside them."""
    if staged is None:
        return 0
    files = staged.rglob("*") if staged.is_dir() else staged.parent.glob(f"{staged.stem}.*")
    return sum(file.stat().st_size for file in files if file.is_file())
