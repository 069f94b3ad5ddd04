"""One step of a stage, and what is kept from step to step: optimizer, averages, losses, speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facecycle_cli.errors import NonFiniteLoss, TrainingError
from facecycle_cli.training.config import Precision, StageConfig, TrainConfig
from facecycle_cli.training.data.batches import Batch, Share
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.precision import compiled
from facecycle_cli.training.stages import TrainingStage
from facecycle_cli.training.state import (
    Position,
    WeightAverage,
    load_learning,
    load_weights,
    save_state,
)

_COSINE_END = 0.01
"""Factor of the learning rate at the end of a cosine schedule: at 0 the last steps learn nothing.
"""


class Learner:
    """Teaches one stage: everything of it that changes from step to step.

    Args:
        stage: its parameters learn, on the device that they are on.
        config: of the run.
        pairs_per_epoch: number of pairs of a pass over the data.
        processes: that share every step.
        half: number format of the networks under autocast; None for float32.

    Attributes:
        steps: number of steps of the whole stage.
        position: how far it is.
        average: moving average of the weights.
        share: which pairs of a step belong to this process.
    """

    def __init__(
        self,
        stage: TrainingStage,
        config: TrainConfig,
        pairs_per_epoch: int,
        processes: Processes,
        half: torch.dtype | None,
    ) -> None:
        settings = stage.settings
        self.stage = stage
        self.settings = settings
        self.seed = config.seed
        self.processes = processes
        self.half = half
        self.device = stage.model.device
        self.parameters = stage.parameters_to_train()
        self.module = self._wrapped(config.compile)
        self.optimizer = torch.optim.Adam(
            self.parameters.values(),
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            fused=self.device.type == "cuda" or None,  # None: torch's choice
        )
        self.scaler = gradient_scaler(self.device, half)
        self.average = WeightAverage(self.parameters, settings.ema)
        self.share = Share.of(settings.pairs, processes.rank, processes.size)
        epoch_steps = math.ceil(pairs_per_epoch / settings.pairs)
        self.steps = settings.epochs * epoch_steps or settings.steps
        self.learning_rate = LearningRate(settings, self.steps, epoch_steps, stage.paper_rates)
        self.position = Position(stage.name)
        self.meter = LossMeter(self.device)

    def _wrapped(self, compile_it: bool) -> Callable[..., dict[str, Tensor]]:
        """The stage as a step calls it: data-parallel with several processes, maybe compiled."""
        module: nn.Module = self.stage
        if self.processes.size > 1:
            module = DistributedDataParallel(
                module,
                broadcast_buffers=False,
                find_unused_parameters=self.stage.warm_up_steps > 0,
            )
        return compiled(module) if compile_it else module

    @property
    def step(self) -> int:
        """Number of steps that are done."""
        return self.position.step

    def learn(self, batch: Batch) -> None:
        """Take one step.

        Raises:
            NonFiniteLoss: before anything is changed. A GPU's losses are looked at later, in
                :meth:`losses`.
        """
        rate = self.learning_rate(batch.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs = self.stage.inputs(batch, self.share, self.seed)
        with autocast(self.device, self.half):
            losses = self.module(inputs)
        if self.device.type == "cpu" and not torch.isfinite(losses["loss"]):
            # On a CPU, the backward pass of a warp reads wild memory if the flow is not finite.
            raise self.not_finite("loss", losses["loss"].item())
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]  # torch's
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.position.step = batch.step + 1
        self.average.update(self.step)
        if not self.scaler.is_enabled():  # scaled gradients may be infinite: then fp16 scales less
            losses = {**losses, "gradient": norm}
        self.meter.add(losses)

    def losses(self) -> dict[str, float]:
        """Averages since the last line of the log, over all processes.

        Raises:
            NonFiniteLoss: one of them is not finite.
        """
        found = self.meter.averages(self.processes)
        for name, value in found.items():
            if not math.isfinite(value):
                raise self.not_finite(name, value)
        return found

    def not_finite(self, name: str, value: float) -> NonFiniteLoss:
        """The error that ends a run whose numbers are no longer finite."""
        return NonFiniteLoss(
            f"stopped: the {self.stage.name} stage's {name} is {value} at step {self.step}; what "
            "was saved before is kept (try a lower lr, or clip)"
        )

    def save(self, run: Path) -> None:
        """Write to the folder ``run`` what a resume needs. All processes must call this."""
        sums = self.meter.sums(self.processes)
        if self.processes.is_first:
            self.position.sums = sums
            self.position.scaler = self.scaler.state_dict()
            save_state(run, self.position, self.stage.model, self.average, self.optimizer)

    def resume(self, run: Path, position: Position) -> None:
        """Continue from what the folder ``run`` holds."""
        self.position = position
        load_weights(run, self.stage.model)
        load_learning(run, self.average, self.optimizer)
        if position.scaler:
            self.scaler.load_state_dict(position.scaler)
        self.meter.resume(position.sums)


@dataclass(frozen=True)
class LearningRate:
    """The learning rate at every step.

    Attributes:
        settings: highest rate, warmup and schedule.
        steps: number of steps of the stage.
        epoch_steps: number of steps of an epoch.
        paper_rates: first epochs and factors, with the paper's schedule.
    """

    settings: StageConfig
    steps: int
    epoch_steps: int
    paper_rates: tuple[tuple[int, float], ...]

    def __call__(self, step: int) -> float:
        """The rate at ``step``, counted from 0."""
        factor = 1.0
        if self.settings.schedule == "paper":
            epoch = step // self.epoch_steps
            factor = [factor for first, factor in self.paper_rates if epoch >= first][-1]
        elif self.settings.schedule == "cosine":
            factor = max(_COSINE_END, 0.5 * (1 + math.cos(math.pi * step / self.steps)))
        return self.settings.lr * factor * min(1.0, (step + 1) / max(1, self.settings.warmup))


class LossMeter:
    """Sums of losses since the last line of the log.

    They stay on the device: to ask for the numbers at every step would make a GPU wait.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: tuple[str, ...] = ()
        self._steps = 0
        self._sums = torch.zeros(0, device=device)

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add those of one step."""
        values = torch.stack([value.detach().float() for value in losses.values()])
        if tuple(losses) != self._names:  # the first step, or the first one after a warm-up
            self._names, self._steps = tuple(losses), 0
        self._sums = self._sums + values if self._steps else values
        self._steps += 1

    def averages(self, processes: Processes) -> dict[str, float]:
        """Averages over all steps and processes, by name."""
        mean = processes.sum(self._sums.clone()) / (self._steps * processes.size)
        return dict(zip(self._names, mean.tolist(), strict=True))

    def clear(self) -> None:
        """Begin anew."""
        self._steps = 0

    def sums(self, processes: Processes) -> dict[str, float]:
        """The averages over all processes of the sums, and under ``steps`` the number of steps."""
        if not self._steps:
            return {}
        mean = processes.sum(self._sums.clone()) / processes.size
        return {**dict(zip(self._names, mean.tolist(), strict=True)), "steps": self._steps}

    def resume(self, sums: dict[str, float]) -> None:
        """Continue from what :meth:`sums` gave."""
        if sums:
            *names, _ = sums
            self._names, self._steps = tuple(names), int(sums["steps"])
            self._sums = torch.tensor([sums[name] for name in names], device=self._device)


class Speedometer:
    """Steps per second, over the last few measurements.

    Args:
        step: number of steps that are done.
        remember: number of measurements.
    """

    def __init__(self, step: int, remember: int = 20) -> None:
        self._measured = [(time.monotonic(), step)]
        self._remember = remember

    def measure(self, step: int) -> float:
        """The speed up to ``step``, in steps per second."""
        self._measured = [*self._measured[-self._remember :], (time.monotonic(), step)]
        (t0, s0), (t1, s1) = self._measured[0], self._measured[-1]
        return (s1 - s0) / max(t1 - t0, 1e-9)


def half_type(
    choice: Precision, device: torch.device, note: Callable[[str], None] = lambda text: None
) -> torch.dtype | None:
    """The number format of the networks under autocast; None for float32.

    Args:
        choice: the setting ``amp``.
        device: that trains.
        note: is told if ``auto`` stays with float32.

    Raises:
        TrainingError: fp16 without a CUDA device, where gradients cannot be scaled.
    """
    if choice == "auto":
        if device.type == "cuda":
            choice = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        elif device.type == "cpu" and computes_bf16():
            choice = "bf16"
        else:
            note(f"no fast half precision here: training in float32 on {device.type}")
            return None
    if choice == "off":
        return None
    if choice == "fp16" and device.type != "cuda":
        raise TrainingError(f"amp fp16 needs CUDA, and this run trains on {device.type}")
    return torch.bfloat16 if choice == "bf16" else torch.float16


def computes_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices faster than float32 ones."""
    checks: list[Any] = [
        vars(torch.cpu).get(name)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]  # private to torch, and not in every version
    return any(check() for check in checks if check is not None)


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """The context of the forward pass."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def gradient_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """Scales losses so that fp16 gradients do not vanish; does nothing with other formats."""
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
