"""A whole run: data and networks, then one stage after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from facecycle_cli import __version__
from facecycle_cli.errors import DataError, TrainingError
from facecycle_cli.model import load
from facecycle_cli.system import usable_cores
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.discover import Quality, find_crops
from facecycle_cli.training.data.frames import FrameStore, fits_in_memory
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import MIN_FRAMES, PairSampler
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.guidance import Guides, NeutralShape, fit_neutral_shape
from facecycle_cli.training.loop import StageTrainer
from facecycle_cli.training.precision import half_type
from facecycle_cli.training.report import Reporter, Silence
from facecycle_cli.training.run import RunFolder
from facecycle_cli.training.start import Start, check_init, prepare

M = TypeVar("M", bound=nn.Module)

MARGIN = 1.25
"""Crops are kept larger than they are needed, so that geometric augmentation finds detail."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        finished: whether it got to its last step; otherwise it was asked to stop.
        checkpoint: the best weights.
        stage: the last stage.
        step: its steps that are done.
        skipped: pictures that could not be read (by the first process).
    """

    finished: bool
    checkpoint: Path
    stage: str
    step: int
    skipped: int


def open_run(
    path: Path, layers: list[dict[str, Any]], *, resume: bool, preset: str = "small"
) -> TrainConfig:
    """The configuration of a new run, or of the one in ``path`` that is to be resumed.

    Args:
        path: the run's folder.
        layers: what the user set, see :meth:`.TrainConfig.from_layers`.
        resume: whether a run in ``path`` is to go on; if there is none, it begins.
        preset: if nothing names one.

    Raises:
        TrainingError: the folder holds a run and ``resume`` is not set, or another run than the
            layers ask for; a setting is wrong; there is no data.
    """
    run = RunFolder(path)
    if resume and run.config_file.exists():
        stored = run.stored_config()
        config = TrainConfig.from_layers(stored, *layers)
        run.check_same(TrainConfig.from_layers(stored), config)
        return config
    run.check_unused()
    config = TrainConfig.from_layers(*layers, preset=preset)
    if not config.data:
        raise TrainingError(
            f"nothing to resume in {path}, and no DATA to begin with" if resume else "no DATA"
        )
    return config


def train(
    config: TrainConfig,
    path: str | os.PathLike[str],
    *,
    device: torch.device,
    reporter: Reporter | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run ``config`` in the folder ``path``, from where the run there stopped, if there is one.

    Args:
        config: as :func:`open_run` gives it.
        path: the run's folder.
        device: that trains; with torchrun, ``cuda`` means every process's own GPU.
        reporter: is told what happens.
        stop: asked after every step whether to save and return.

    Raises:
        TrainingError, CheckpointError, OSError: in one line, what is wrong.
    """
    processes = Processes.from_environment()
    device = processes.device(device)
    reporter = reporter if reporter is not None and processes.is_first else Silence()
    run = RunFolder(Path(path), reporter, active=processes.is_first)
    with processes.connected(device):
        try:
            return _Session(config, run, processes, device, reporter).run_stages(stop)
        finally:
            run.close()


class _Session:
    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        processes: Processes,
        device: torch.device,
        reporter: Reporter,
    ) -> None:
        self.run = run
        self.processes = processes
        self.reporter = reporter
        check_init(config)
        self.position = run.position()
        half = half_type(config.amp, device, reporter.note)
        if processes.is_first:
            # The first process finds what is wrong before anything is written.
            index = self._index(config)
            self._sampler(config, index)
        start = self._start(config) if processes.is_first else None
        if processes.is_first:
            run.begin(config)
            if not run.index.exists():
                index.save(run.index)
        processes.wait()
        index = CropIndex.load(run.index)
        start = start or self._start(config)
        self.config = config
        self.sampler = self._sampler(config, index)
        self.store = self._store(config, index)
        # On CPUs always: a seventh faster for `small`, a twentieth for `paper`, in float32 too.
        last = half is not None or device.type == "cpu"
        layout = torch.channels_last if last else torch.contiguous_format
        self.guides = self._guides(config)
        self.model = _placed(start.model, device, layout)
        self.perceptual = start.perceptual and _placed(start.perceptual, device, layout)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def _start(self, config: TrainConfig) -> Start:
        return prepare(config, self.reporter.note, resumed=self.position is not None)

    def _index(self, config: TrainConfig) -> CropIndex:
        if self.run.index.exists():
            return CropIndex.load(self.run.index)
        quality = Quality(config.min_sharpness, config.max_yaw)
        index = find_crops(
            config.data, singles=config.singles, quality=quality, note=self.reporter.note
        )
        if quality.left_out:
            self.reporter.note(f"{quality.left_out} crops left out: not sharp or frontal enough")
        return index

    def _sampler(self, config: TrainConfig, index: CropIndex) -> PairSampler:
        sampler = PairSampler(
            index,
            config.transform,
            config.seed,
            flip_share=config.flip_share,
            group_share=config.group_share,
            holdout=config.holdout,
        )
        size = self.processes.size
        if len(sampler) < size:
            raise DataError(
                f"{size} processes, but only {len(sampler)} clips or persons to draw from"
            )
        for stage in config.stages:
            pairs = config.of(stage).pairs
            if pairs % size:
                raise DataError(
                    f"the {pairs} pairs of a batch cannot be shared by {size} processes: the batch "
                    f"size must be a multiple of {2 * size}"
                )
        return sampler

    def _store(self, config: TrainConfig, index: CropIndex) -> FrameStore:
        side = round(config.image_size * MARGIN)
        fits = fits_in_memory(len(index), side, self.processes.local_size)
        if config.cache == "ram" and not fits:
            self.reporter.note(
                f"{len(index)} crops may not fit into memory: cache is ram all the same"
            )
        keep = config.cache == "ram" or (config.cache == "auto" and fits)
        large = int((index.sizes >= MIN_FRAMES).sum())
        self.reporter.note(
            f"{len(index)} pictures: {large} clips or persons with {MIN_FRAMES} or more, "
            f"{index.groups - large} with fewer, {len(self.sampler.held_out)} of all held out; "
            f"{'decoded once' if keep else 'decoded when needed'}"
        )
        return FrameStore(index, side, keep=keep, note=self.reporter.note)

    def _guides(self, config: TrainConfig) -> Guides | None:
        """Landmarks for the expression stage, if they guide it."""
        if "expression" not in config.stages or not config.expression.weights.guide:
            return None
        if self.processes.is_first and not self.run.neutral_shape.exists():
            self.reporter.note("measuring faces: where landmarks of a neutral face lie")
            try:
                fit_neutral_shape(self.store, config.seed).save(self.run.neutral_shape)
            except DataError as error:
                self.reporter.note(f"no landmarks will guide the flows: {error}")
        self.processes.wait()
        if not self.run.neutral_shape.exists():
            return None
        return Guides(NeutralShape.load(self.run.neutral_shape), keep=self.store.keeps)

    def run_stages(self, stop: Callable[[], bool]) -> Outcome:
        """Train what is left of the run."""
        stages = self.config.stages
        position = self.position
        self.run.open_logs(position, stages)
        first = stages.index(position.stage) if position else 0
        for number in range(first, len(stages)):
            if number > first:
                self._continue_with_best()
                position = None
            trainer = self._trainer(stages[number])
            if position is not None:
                trainer.resume(position)
                self._say_where(trainer)
            finished = trainer.fit(stop=stop)
            self.position = trainer.position
            if not finished:
                break
            self.processes.wait()
        return self._outcome(trainer, finished)

    def _trainer(self, stage: str) -> StageTrainer:
        metadata = {
            "data": {
                "sources": [os.path.basename(root) for root in self.store.index.roots],
                "pictures": len(self.store.index),
                "groups": self.store.index.groups,
            },
            "license": self.config.license,
            "created_by": f"facecycle {__version__}",
        }
        return StageTrainer(
            self.model,
            stage,
            self.config,
            self.store,
            self.sampler,
            self.run,
            processes=self.processes,
            perceptual=self.perceptual,
            workers=self._workers(),
            guides=self.guides if stage == "expression" else None,
            metadata=metadata,
        )

    def _workers(self) -> int:
        if self.config.workers >= 0:
            return self.config.workers
        return max(1, min(8, usable_cores() // self.processes.local_size))

    def _continue_with_best(self) -> None:
        """The next stage builds on the best weights of the one before."""
        self.model.load_state_dict(_weights(self.run.checkpoint))

    def _say_where(self, trainer: StageTrainer) -> None:
        if trainer.step >= trainer.steps:
            self.reporter.note(f"the {trainer.name} stage is done already")
        else:
            self.reporter.note(
                f"resuming the {trainer.name} stage at step {trainer.step} of {trainer.steps}"
            )

    def _outcome(self, trainer: StageTrainer, finished: bool) -> Outcome:
        broken = len(self.store.broken)
        if broken:
            self.reporter.note(f"{broken} pictures could not be read and were skipped")
        return Outcome(finished, self.run.checkpoint, trainer.name, trainer.step, broken)


def _placed(module: M, device: torch.device, layout: torch.memory_format) -> M:
    return module.to(device).to(memory_format=layout)  # type: ignore[call-overload]


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load(checkpoint).state_dict()
