"""A whole training run, from top to bottom: data, networks, and one stage after the other.

:func:`train` builds what a run needs and trains its stages; :func:`_train_stage` is the loop over
the steps of one stage. The functions below them build the parts.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facecycle_cli import __version__
from facecycle_cli.errors import DataError, SettingsError
from facecycle_cli.model import load
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.discover import Quality, find_crops
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.data.pairs import PairSampler
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.held_out import HeldOutFaces
from facecycle_cli.training.initial import build_networks, check_init
from facecycle_cli.training.loop import Learner, Speedometer, half_type
from facecycle_cli.training.perceptual import PerceptualLoss
from facecycle_cli.training.run import Reporter, RunFolder, SilentReporter, TrainingProgress
from facecycle_cli.training.stages import STAGES, StageResources
from facecycle_cli.training.supply import Supply
from facecycle_cli.training.watch import Watch, judge
from facecycle_cli.training.whitening import Whitener

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop or to save."""


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended.

    Attributes:
        finished: whether it took its last step; if not, it was asked to stop.
        checkpoint: the file with the best weights.
        stage: the last stage.
        step: number of its steps that are done.
        skipped: number of pictures that could not be read (by the first process).
    """

    finished: bool
    checkpoint: Path
    stage: str
    step: int
    skipped: int


def train(
    config: TrainConfig,
    path: str | os.PathLike[str],
    *,
    device: torch.device,
    reporter: Reporter | None = None,
    begin: Callable[[], None] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainingOutcome:
    """Run ``config`` in the folder ``path``, from where the run there stopped, if there is one.

    Args:
        config: as :func:`.open_run` gives it.
        path: folder of the run.
        device: that trains; with torchrun, ``cuda`` means each process's own GPU.
        reporter: is told what happens.
        begin: is called when the first step is about to be taken.
        stop: is asked after every step whether to save and return.

    Raises:
        FacecycleError: the settings, the data or the checkpoint to start from cannot be used, or
            the run cannot continue.
        OSError: a file cannot be read.
    """
    processes = Processes.from_environment()
    device = processes.device(device)
    if reporter is None or not processes.is_first:
        reporter = SilentReporter()
    run = RunFolder(Path(path), reporter, active=processes.is_first)
    with processes.connected(device), run.locked(), closing(run):
        # What is wrong with the settings, the data or the weights is found before anything is
        # written. The first process goes ahead: it lists the crops and downloads weights for all.
        check_init(config)
        position = run.position()
        half = half_type(config.amp, device, reporter.note)
        with processes.first_goes_ahead():
            index = _open_index(config, run)
            _check_pairs(config, _sampler(config, index), processes)
            model, features = build_networks(config, reporter, resumed=position is not None)
            run.begin(config, index)

        # Data: crops in groups of one person, pairs of views, pixels, landmarks.
        index = CropIndex.load(run.index)
        sampler = _sampler(config, index)
        supply = Supply.open(config, index, sampler, run, processes, device)
        resources = StageResources(
            perceptual=PerceptualLoss(features) if features is not None else None,
            guides=supply.guides,
            whitener=Whitener(supply.store, sampler.held_out, config.seed),
        )

        # Networks. On CPUs always in channels-last: a seventh faster for preset small, a twentieth
        # for preset paper, in float32 as well.
        channels_last = half is not None or device.type == "cpu"
        layout = torch.channels_last if channels_last else torch.contiguous_format
        _move(model, device, layout)
        if resources.perceptual is not None:
            _move(resources.perceptual, device, layout)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True

        # Stages.
        run.open_logs(position, config.stages)
        first = config.stages.index(position.stage) if position is not None else 0
        for name in config.stages[first:]:
            if name != config.stages[first]:  # builds on the best weights of the stage before
                model.load_state_dict(load(run.checkpoint).state_dict())
                position = None
            stage = STAGES[name](model, config.of(name), resources)
            learner = Learner(stage, config, len(sampler), processes, half)
            if position is not None:
                learner.resume(run.path, position)
                _note_resumed(learner, reporter)
            begin()
            finished = _train_stage(learner, config, supply, run, stop)
            if not finished:
                break
            processes.wait()

        skipped = len(supply.store.broken)
        if skipped:
            reporter.note(f"{skipped} pictures could not be read and were skipped")
        return TrainingOutcome(finished, run.checkpoint, name, learner.step, skipped)


def _train_stage(
    learner: Learner,
    config: TrainConfig,
    supply: Supply,
    run: RunFolder,
    stop: Callable[[], bool],
) -> bool:
    """Train a stage to its last step.

    Returns:
        Whether it got there; if not, ``stop`` asked to stop before.

    Raises:
        NonFiniteLoss: the saved state is that of an earlier step.
        TrainingError: something cannot be written; or the run does not learn, and is to stop then.
    """
    stage, processes, device = learner.stage, learner.processes, learner.device
    held_out = None
    if processes.is_first:
        held_out = HeldOutFaces(stage.model, supply.store, supply.sampler, stage.guides)
    if learner.step == 0:
        learner.save(run.path)  # the weights that the stage starts from
    steps = range(learner.step, learner.steps)
    batches = supply.batches(learner.share, steps, guided=stage.guides is not None)
    watch = Watch(stage.warm_up_steps, stops=config.on_divergence == "stop")
    watch.replay(run.logged(stage.name))
    speedometer = Speedometer(learner.step)
    saved = time.monotonic()
    for batch in batches:
        learner.learn(batch)

        done = learner.step == learner.steps
        logging = done or learner.step % config.log_every == 0
        measuring = done or learner.step % config.sample_every == 0
        stopping = stop() and not done
        saving = processes.is_first and time.monotonic() - saved >= config.save_every
        if processes.size == 1 or done or learner.step % AGREE_EVERY == 0:
            stopping, saving = processes.any((stopping, saving), device)
        else:
            stopping = saving = False

        # To ask for the losses would make a GPU wait.
        if logging or measuring or stopping or saving or device.type == "cpu":
            losses = learner.losses()
            speed = speedometer.measure(learner.step) * learner.settings.batch_size
            if logging:
                rate = learner.optimizer.param_groups[0]["lr"]
                row = {**losses, "lr": rate, "faces_per_second": speed}
                run.log(stage.name, learner.step, row)
                learner.meter.clear()
                judge(watch, learner, row, run)
            run.reporter.progress(
                TrainingProgress(
                    stage.name, learner.step, learner.steps, speed, losses, logged=logging
                )
            )
        if measuring and held_out is not None:
            judge(watch, learner, _measure(learner, held_out, config, supply.store.index, run), run)
        if stopping or saving or done:
            learner.save(run.path)
            saved = time.monotonic()
        if stopping:
            if held_out is not None and learner.position.best is None:
                _write_checkpoint(learner, config, supply.store.index, run)
            return False
    return True


def _measure(
    learner: Learner, held_out: HeldOutFaces, config: TrainConfig, index: CropIndex, run: RunFolder
) -> dict[str, float]:
    """Measure the averaged weights on the held-out faces, and write a checkpoint if they are best.

    Returns:
        What was measured; nothing without held-out faces.

    The losses of a warm-up cannot be compared with those of the steps after it.
    """
    stage, position = learner.stage, learner.position
    with learner.average.in_place():
        loss = held_out.loss(stage, warm_up=learner.step <= stage.warm_up_steps)
        name = f"{stage.sample_prefix}{learner.step:06d}.png"
        if loss is not None and not math.isfinite(loss):
            raise learner.not_finite("held-out loss", loss)
        run.sample(stage.name, learner.step, held_out.grid(), name)
        folded = held_out.folded() if stage.name == "expression" else None
    row = {"held_out_loss": loss, "folded": folded}
    measured = {name: value for name, value in row.items() if value is not None}
    if measured:
        run.log(stage.name, learner.step, measured)
    if loss is None or position.best is None or loss < position.best:
        position.best = math.inf if loss is None else loss
        _write_checkpoint(learner, config, index, run)
    if learner.step == stage.warm_up_steps:
        position.best = None
    return measured


def _write_checkpoint(
    learner: Learner, config: TrainConfig, index: CropIndex, run: RunFolder
) -> None:
    """Write the averaged weights."""
    metadata: dict[str, Any] = {
        "data": {
            "sources": [os.path.basename(root) for root in index.roots],
            "pictures": len(index),
            "groups": index.groups,
        },
        "license": config.license,
        "created_by": f"facecycle {__version__}",
        "stage": learner.stage.name,
        "steps": learner.step,
    }
    best = learner.position.best
    if best is not None and math.isfinite(best):
        metadata["metrics"] = {"held_out_loss": round(best, 6)}
    with learner.average.in_place():
        learner.stage.prepare_checkpoint()
        run.write_checkpoint(learner.stage.model, metadata)


def _open_index(config: TrainConfig, run: RunFolder) -> CropIndex:
    """The list of all crops: the run's own, or a new one."""
    if run.index.exists():
        return CropIndex.load(run.index)
    quality = Quality(config.min_sharpness, config.max_yaw)
    note = run.reporter.note
    index = find_crops(config.data, singles=config.singles, quality=quality, note=note)
    if quality.left_out:
        note(f"{quality.left_out} crops left out: not sharp or frontal enough")
    return index


def _sampler(config: TrainConfig, index: CropIndex) -> PairSampler:
    return PairSampler(
        index,
        config.transform,
        config.seed,
        flip_share=config.flip_share,
        group_share=config.group_share,
        holdout=config.holdout,
    )


def _check_pairs(config: TrainConfig, sampler: PairSampler, processes: Processes) -> None:
    """Check that the processes can share the pairs of a step.

    Raises:
        DataError: there are too few pairs.
        SettingsError: a batch cannot be divided.
    """
    size = processes.size
    if len(sampler) < size:
        raise DataError(f"{size} processes, but only {len(sampler)} clips or persons to draw from")
    for stage in config.stages:
        pairs = config.of(stage).pairs
        if pairs % size:
            raise SettingsError(
                f"the {pairs} pairs of a batch cannot be shared by {size} processes: the batch "
                f"size must be a multiple of {2 * size}"
            )


def _move(module: nn.Module, device: torch.device, layout: torch.memory_format) -> None:
    """Put a module on the device, and its filters into the memory layout."""
    module.to(device)
    module.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack it


def _note_resumed(learner: Learner, reporter: Reporter) -> None:
    name, step, steps = learner.stage.name, learner.step, learner.steps
    if step >= steps:
        reporter.note(f"the {name} stage is done already")
    else:
        reporter.note(f"resuming the {name} stage at step {step} of {steps}")
