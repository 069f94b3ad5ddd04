"""One stage of one run: from its first or its last saved step to its last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facecycle_cli.errors import NonFiniteLoss
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.networks import Noise
from facecycle_cli.training.augment import apply, draw
from facecycle_cli.training.average import WeightAverage
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.batches import Batch, Batches, Share
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.data.pairs import PairSampler
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.guidance import Guide, Guides, place
from facecycle_cli.training.judge import Judge
from facecycle_cli.training.perceptual import PerceptualLoss
from facecycle_cli.training.precision import autocast, gradient_scaler, half_type
from facecycle_cli.training.report import Progress
from facecycle_cli.training.run import RunFolder
from facecycle_cli.training.schedule import learning_rate
from facecycle_cli.training.stages import STAGES
from facecycle_cli.training.state import Position, load_learning, load_weights, save_state
from facecycle_cli.training.whitening import Whitener

AGREE_EVERY = 10
"""Steps between two moments at which several processes ask each other whether to stop or save."""


class StageTrainer:
    """Trains one stage.

    Args:
        model: all networks, on the device that trains; the stage decides which of them learn.
        name: of the stage.
        config: the run's.
        store: reads crops.
        sampler: draws pairs.
        run: where everything is written.
        processes: that share every step.
        perceptual: the loss on VGG-19, or None.
        workers: threads that read ahead.
        guides: measures landmarks, where the stage is guided by them.
        metadata: goes into the checkpoint.
    """

    def __init__(
        self,
        model: FaceCycle,
        name: str,
        config: TrainConfig,
        store: FrameStore,
        sampler: PairSampler,
        run: RunFolder,
        *,
        processes: Processes | None = None,
        perceptual: PerceptualLoss | None = None,
        workers: int = 0,
        guides: Guides | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.config = config
        self.settings = config.of(name)
        self.store = store
        self.sampler = sampler
        self.run = run
        self.processes = processes or Processes()
        self.workers = workers
        self.guides = guides
        self.metadata = metadata or {}

        self.undrawn_steps = self._undrawn_steps()
        self.device = model.device
        self.half = half_type(config.amp, self.device)
        self.stage = STAGES[name](  # type: ignore[index]
            model, self.settings.weights, perceptual, frozen=self.settings.frozen
        )
        self.parameters = self.stage.parameters_to_train()
        self.module: nn.Module | Callable[..., dict[str, Tensor]] = self.stage
        if self.processes.size > 1:
            self.module = DistributedDataParallel(
                self.stage,
                broadcast_buffers=False,
                find_unused_parameters=self.undrawn_steps > 0,
            )
        if config.compile:
            self.module = torch.compile(self.module)
        self.optimizer = torch.optim.Adam(
            self.parameters.values(),
            lr=self.settings.lr,
            betas=(self.settings.beta1, self.settings.beta2),
        )
        self.scaler = gradient_scaler(self.device, self.half)
        self.average = WeightAverage(self.parameters, self.settings.ema)
        self.position = Position(name)
        self.share = Share.of(self.settings.pairs, self.processes.rank, self.processes.size)
        self.epoch_steps = math.ceil(len(sampler) / self.settings.pairs)
        self.steps = self.settings.epochs * self.epoch_steps or self.settings.steps
        whitens = name == "identity" and model.verifier.size > 0
        self._whitener = Whitener(store, sampler.held_out, config.seed) if whitens else None
        self._sums: Tensor | None = None
        self._terms: tuple[str, ...] = ()
        self._since = 0
        self._speed = Speedometer()

    def _undrawn_steps(self) -> int:
        """Where there is nothing to learn from without drawing, there are none."""
        if self.name == "expression":
            return self.settings.flow_steps if self.guides is not None else 0
        return self.settings.contrast_steps

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.position.step

    def resume(self, position: Position) -> None:
        """Go on from what the run's folder holds."""
        self.position = position
        load_weights(self.run.path, self.model)
        load_learning(self.run.path, self.average, self.optimizer)
        if position.scaler:
            self.scaler.load_state_dict(position.scaler)
        if position.sums:
            sums = dict(position.sums)
            self._since = int(sums.pop("steps"))
            self._terms = tuple(sums)
            self._sums = torch.tensor(list(sums.values()), device=self.device)

    # -- one step ---------------------------------------------------------------------------------

    def inputs(self, batch: Batch) -> tuple[Tensor, Noise, Noise, Guide | None]:
        """What a step computes with: x (2P, 3, S, S) of this process, two noises and the guide.

        Everything random is drawn for the pairs of all processes, from the seed and the step.
        """
        seed = self.config.seed * 1_000_003 + batch.step
        drawn = draw(
            batch.mirrored,
            self.settings.augmentation,
            torch.Generator().manual_seed(seed),
            pairs=self.share.pairs,
            start=self.share.start,
        )
        views = batch.views.to(self.device, non_blocking=True)
        rgb = apply(views, drawn, self.config.image_size)
        x = (rgb - self.model.input_mean) / self.model.input_std
        generator = torch.Generator(self.device).manual_seed(seed)
        noises = [
            tuple(self._own(t) for t in self.model.random_noise(2 * self.share.pairs, generator))
            for _ in range(2)
        ]
        guide = None
        if self.guides is not None:
            placed = place(batch.marks, drawn, self.config.image_size)
            guide = Guide(*(t.to(self.device, non_blocking=True) for t in placed))
        return x, *noises, guide  # type: ignore[return-value]

    def _own(self, rows: Tensor) -> Tensor:
        """The rows of this process's pairs among those of all (first views, then second views)."""
        if self.processes.size == 1:
            return rows
        part = rows.unflatten(0, (2, self.share.pairs))[:, self.share.start : self.share.stop]
        return part.flatten(0, 1)

    def train_step(self, batch: Batch) -> None:
        """Learn from a batch.

        Raises:
            NonFiniteLoss: before anything is changed; a GPU's losses are looked at later, in
                :meth:`losses`.
        """
        rate = learning_rate(
            self.settings, self.name, batch.step, steps=self.steps, epoch_steps=self.epoch_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        x, noise, noise_back, guide = self.inputs(batch)
        with autocast(self.device, self.half):
            losses = self.module(
                x,
                noise,
                noise_back,
                guide,
                persons=batch.persons.to(self.device, non_blocking=True),
                processes=self.processes.size,
                start=self.share.start,
                undrawn=batch.step < self.undrawn_steps,
            )
        if self.device.type == "cpu" and not torch.isfinite(losses["loss"]):
            # Going backward through a warp by a flow that is no number reads wild memory on a CPU.
            raise self._not_finite("loss", losses["loss"].item())
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["loss"]).backward()
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.position.step = batch.step + 1
        self.average.update(self.step)
        self._count(losses, norm)

    def _count(self, losses: dict[str, Tensor], norm: Tensor) -> None:
        # On the device: asking for the numbers at every step would make a GPU wait.
        terms = {name: value.detach().float() for name, value in losses.items()}
        if not self.scaler.is_enabled():  # with scaling, an infinite gradient is part of the game
            terms["gradient"] = norm.detach().float()
        values = torch.stack(list(terms.values()))
        if tuple(terms) != self._terms:  # the first step, or the first one that draws
            self._sums, self._since = None, 0
        self._sums = values if self._sums is None else self._sums + values
        self._terms = tuple(terms)
        self._since += 1

    def losses(self) -> dict[str, float]:
        """Averages since the last line of the log, over all processes.

        Raises:
            NonFiniteLoss: they are not finite.
        """
        assert self._sums is not None
        mean = self.processes.sum(self._sums.clone()) / (self._since * self.processes.size)
        found = dict(zip(self._terms, mean.tolist(), strict=True))
        for name, value in found.items():
            if not math.isfinite(value):
                raise self._not_finite(name, value)
        return found

    def _not_finite(self, name: str, value: float) -> NonFiniteLoss:
        return NonFiniteLoss(
            f"stopped: the {self.name} stage's {name} is {value} at step {self.step}; "
            "what was saved before is kept (a lower lr or a clip may help)"
        )

    # -- many steps -------------------------------------------------------------------------------

    def fit(self, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the last step; True if it got there, False if ``stop`` asked to stop first.

        Raises:
            NonFiniteLoss: the saved state is that of an earlier step. TrainingError: something
                cannot be written.
        """
        judge = None
        if self.processes.is_first:
            judge = Judge(self.model, self.store, self.sampler, self.guides)
        if self.step == 0:
            self.save()  # what the stage starts from
        batches = Batches(
            self.store,
            self.sampler,
            self.share,
            first=self.step,
            last=self.steps,
            workers=self.workers,
            guides=self.guides,
            pin=self.device.type == "cuda",
        )
        saved = time.monotonic()
        self._speed.start(self.step)
        for batch in batches:
            self.train_step(batch)
            done = self.step == self.steps
            log = done or self.step % self.config.log_every == 0
            look = done or self.step % self.config.sample_every == 0
            stopping, saving = self._agree(
                stop() and not done, time.monotonic() - saved >= self.config.save_every
            )
            if log or look or stopping or saving or self.device.type == "cpu":
                self._report(log)
            if look and judge is not None:
                self._look(judge)
            if stopping or saving or done:
                self.save()
                saved = time.monotonic()
            if stopping:
                if judge is not None and self.position.best is None:
                    self._write_checkpoint()
                return False
        return True

    def _agree(self, stopping: bool, saving: bool) -> tuple[bool, bool]:
        """Whether to stop and to save, the same for all processes."""
        if self.processes.size == 1:
            return stopping, saving
        if self.step % AGREE_EVERY and self.step != self.steps:
            return False, False
        votes = torch.tensor([stopping, saving and self.processes.is_first], device=self.device)
        stop, save = self.processes.sum(votes.int()).tolist()
        return stop > 0, save > 0

    def _report(self, log: bool) -> None:
        losses = self.losses()
        speed = self._speed.measure(self.step) * self.settings.batch_size
        if log:
            rate = self.optimizer.param_groups[0]["lr"]
            self.run.log(self.name, self.step, {**losses, "lr": rate, "faces_per_second": speed})
            self._sums, self._since = None, 0
        self.run.reporter.progress(Progress(self.name, self.step, self.steps, speed, losses, log))

    def _look(self, judge: Judge) -> None:
        """At the held-out faces, with the weights that would be used."""
        undrawn = self.step <= self.undrawn_steps
        with self.average.in_place():
            loss = judge.loss(self.stage, undrawn=undrawn)
            self.run.sample(self.name, self.step, judge.grid())
        best = self.position.best
        if loss is not None:
            self.run.log(self.name, self.step, {"held_out_loss": loss})
        if loss is None or best is None or loss < best:
            self.position.best = math.inf if loss is None else loss
            self._write_checkpoint()
        if self.step == self.undrawn_steps:  # what is drawn from here on has losses of its own
            self.position.best = None

    def _write_checkpoint(self) -> None:
        metadata = {**self.metadata, "stage": self.name, "steps": self.step}
        if self.position.best is not None and math.isfinite(self.position.best):
            metadata["metrics"] = {"held_out_loss": round(self.position.best, 6)}
        with self.average.in_place():
            if self._whitener is not None:
                self._whitener.fit(self.model)
            self.run.write_checkpoint(self.model, metadata)

    def save(self) -> None:
        """Write what a resume needs."""
        sums: dict[str, float] = {}
        if self._sums is not None:
            mean = self.processes.sum(self._sums.clone()) / self.processes.size
            sums = dict(zip(self._terms, mean.tolist(), strict=True))
            sums["steps"] = self._since
        if not self.processes.is_first:
            return
        self.position.sums = sums
        self.position.scaler = self.scaler.state_dict()
        save_state(self.run.path, self.position, self.model, self.average, self.optimizer)


class Speedometer:
    """Steps per second, over the last few measurements."""

    def __init__(self, remember: int = 20) -> None:
        self._marks: list[tuple[float, int]] = []
        self._remember = remember

    def start(self, step: int) -> None:
        """Begin here."""
        self._marks = [(time.monotonic(), step)]

    def measure(self, step: int) -> float:
        """The speed up to ``step``."""
        self._marks = [*self._marks[-self._remember :], (time.monotonic(), step)]
        (t0, s0), (t1, s1) = self._marks[0], self._marks[-1]
        return (s1 - s0) / max(t1 - t0, 1e-9)
