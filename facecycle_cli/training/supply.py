"""The data of a run: where decoded crops and landmarks stay, and how batches come from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import psutil
import torch

from facecycle_cli.errors import DataError, TrainingError
from facecycle_cli.system import usable_cores
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.batches import Batch, Batches, Share
from facecycle_cli.training.data.frames import FrameStore, fits_in_memory
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import MIN_FRAMES, PairSampler
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.guidance import Guides
from facecycle_cli.training.landmarks import LANDMARK_BYTES, LandmarkTable, StoredLandmarks
from facecycle_cli.training.neutral_fit import fit_neutral_shape, load_neutral_shape
from facecycle_cli.training.resident import ResidentBatches, ResidentCrops, device_memory
from facecycle_cli.training.run import RunFolder
from facecycle_cli.training.stages import STAGES
from facecycle_cli.training.state import writing

MARGIN = 1.25
"""Crops are kept larger than the networks take them, so that augmentation has detail to show."""

_MOST_WORKERS = 8
"""Threads that read in advance beside a CPU that trains, at most, if the settings leave their
number open."""

_DEVICE_ROOM = 0.4
"""Share of the device's free memory that crops may take; networks and their activations need the
rest."""

_GUIDE_BYTES = 468 * 5 * 4
"""Of the landmarks of one crop and of its neutral face, on the device."""

_TABLE_ROOM = 0.2
"""Share of the free memory that the landmarks of all crops may take."""

_Place = Literal["device", "ram", "disk"]


@dataclass(frozen=True)
class Supply:
    """What batches are made of.

    Attributes:
        store: reads single crops.
        sampler: draws the pairs.
        guides: landmarks; None if nothing is guided.
        resident: all crops on the device; None if they do not stay there.
        workers: threads that read in advance.
        pin: whether batches are made in page-locked memory.
    """

    store: FrameStore
    sampler: PairSampler
    guides: Guides | None
    resident: ResidentCrops | None
    workers: int
    pin: bool

    @classmethod
    def open(
        cls,
        config: TrainConfig,
        index: CropIndex,
        sampler: PairSampler,
        run: RunFolder,
        processes: Processes,
        device: torch.device,
    ) -> Supply:
        """Find a place for the crops, measure their landmarks, and bring both there.

        All processes must call this.

        Raises:
            DataError: a file of the run is damaged.
            TrainingError: the crops are to stay on the device, and do not fit there.
        """
        guided = any(STAGES[name].is_guided(config.of(name)) for name in config.stages)
        side = round(config.image_size * MARGIN)
        place = _place(config, index, side * side * 3 + guided * _GUIDE_BYTES, processes, device)
        note = run.reporter.note
        if config.cache == "ram" and not fits_in_memory(len(index), side, processes.local_size):
            note(f"{len(index)} crops may not fit into memory, where cache=ram keeps them")
        large = int((index.sizes >= MIN_FRAMES).sum())
        how = {
            "device": "decoded once, kept on the device",
            "ram": "decoded once",
            "disk": "decoded when needed",
        }
        note(
            f"{len(index)} pictures: {large} clips or persons with {MIN_FRAMES} or more, "
            f"{index.groups - large} with fewer, {len(sampler.held_out)} of all held out; "
            f"{how[place]}"
        )
        store = FrameStore(index, side, keep=place == "ram", note=note)
        guides = None
        if guided:
            measure = place == "device" or _draws_all(config, sampler)
            table = _open_table(run, store, processes, measure=measure)
            guides = _open_guides(config, run, store, table, processes)
        resident = None
        if place == "device":
            cores = max(1, usable_cores() // processes.local_size)
            resident = ResidentCrops.load(store, guides, device, cores)
        workers = _workers(config, processes, device)
        return cls(store, sampler, guides, resident, workers, device.type == "cuda")

    def batches(self, share: Share, steps: range, *, guided: bool) -> Iterable[Batch]:
        """The batches of a process for these steps, with landmarks if they guide the stage."""
        if self.resident is not None:
            return ResidentBatches(
                self.resident, self.sampler, share, steps, workers=self.workers, guided=guided
            )
        return Batches(
            self.store,
            self.sampler,
            share,
            first=steps.start,
            last=steps.stop,
            workers=self.workers,
            guides=self.guides if guided else None,
            pin=self.pin,
        )


def _place(
    config: TrainConfig,
    index: CropIndex,
    crop_bytes: int,
    processes: Processes,
    device: torch.device,
) -> _Place:
    """Where decoded crops stay.

    Raises:
        TrainingError: on the device, where they do not fit.
    """
    if config.cache == "ram" or config.cache == "disk":
        return config.cache
    sharing = 1 if device.type == "cuda" else processes.local_size
    need, free = len(index) * crop_bytes * sharing, device_memory(device)
    if config.cache == "device":
        if need > free:
            raise TrainingError(
                f"cache device: {len(index)} crops take {need / 1e9:.1f} GB, and the device has "
                f"{free / 1e9:.1f} GB free; use cache ram or disk"
            )
        return "device"
    if device.type == "cuda" and need <= _DEVICE_ROOM * free:
        return "device"
    side = round(config.image_size * MARGIN)
    return "ram" if fits_in_memory(len(index), side, processes.local_size) else "disk"


def _draws_all(config: TrainConfig, sampler: PairSampler) -> bool:
    """Whether the guided stages draw about as many crops as there are."""
    drawn = 0
    for name in config.stages:
        settings = config.of(name)
        if STAGES[name].is_guided(settings):
            drawn += 2 * (settings.epochs * len(sampler) or settings.steps * settings.pairs)
    return drawn >= len(sampler.index)


def _open_table(
    run: RunFolder, store: FrameStore, processes: Processes, *, measure: bool
) -> LandmarkTable | None:
    """The landmarks of all crops; None if they are not known, or too many for the memory.

    The first process measures them if the run has none yet and if ``measure`` is set.
    """
    count = len(store.index)
    need = count * LANDMARK_BYTES * processes.local_size
    fits = need <= _TABLE_ROOM * psutil.virtual_memory().available
    if measure and fits and processes.is_first and not run.landmarks.exists():
        run.reporter.note(f"reading or measuring the landmarks of {count} pictures, once")
        table = LandmarkTable.measure(store, usable_cores())
        with writing(run.landmarks):
            table.save(run.landmarks)
    processes.wait()
    return LandmarkTable.load(run.landmarks, count) if run.landmarks.exists() else None


def _open_guides(
    config: TrainConfig,
    run: RunFolder,
    store: FrameStore,
    table: LandmarkTable | None,
    processes: Processes,
) -> Guides | None:
    """Landmarks, if the data has enough faces to measure them."""
    landmarks = StoredLandmarks(store) if table is None else table
    if processes.is_first and not run.neutral_shape.exists():
        run.reporter.note("measuring the landmarks of neutral faces")
        try:
            shape = fit_neutral_shape(store, config.seed, landmarks, posed=config.neutral)
            shape.save(run.neutral_shape)
        except DataError as error:
            if config.neutral:
                raise
            run.reporter.note(f"no landmarks will guide the flows: {error}")
    processes.wait()
    if not run.neutral_shape.exists():
        return None
    return Guides(load_neutral_shape(run.neutral_shape), landmarks, keep=store.keeps)


def _workers(config: TrainConfig, processes: Processes, device: torch.device) -> int:
    """Number of threads that read in advance, in this process: all cores beside a GPU."""
    if config.workers >= 0:
        return config.workers
    cores = usable_cores() // processes.local_size
    return max(1, cores if device.type == "cuda" else min(_MOST_WORKERS, cores))
