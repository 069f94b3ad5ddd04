"""The training loop: batches in, a checkpoint out, resumable at every step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from facecycle_cli.media.files import atomic_path
from facecycle_cli.media.images import write_image
from facecycle_cli.model import FaceCycle, save_checkpoint

from .augment import augment_pairs
from .config import TrainConfig
from .data import CropCache, PairSampler, pair_batch
from .perceptual import PerceptualLoss
from .samples import sample_grid
from .stages import STAGES

RESUME_VERSION = 1


class NonFiniteLoss(RuntimeError):
    """The losses left the real numbers; the last good state is kept."""


class Trainer:
    """One stage of one run, from its first or its last saved step to its last.

    Args:
        model: all networks; the stage decides which of them learn.
        config: the run.
        cache: the crops.
        sampler: the pairs.
        run: folder for everything that is written.
        metadata: goes into the checkpoint beside what the trainer knows.
        perceptual: VGG-19 loss or None.
    """

    def __init__(
        self,
        model: FaceCycle,
        config: TrainConfig,
        cache: CropCache,
        sampler: PairSampler,
        run: Path,
        *,
        metadata: dict[str, Any],
        perceptual: PerceptualLoss | None = None,
    ) -> None:
        self.model = model.train()
        self.config = config
        self.cache = cache
        self.sampler = sampler
        self.run = run
        self.metadata = metadata
        self.step = 0
        self.stage = STAGES[config.stage](model, config.weights, perceptual)  # type: ignore[index]
        self.parameters = self.stage.parameters_to_train()
        self.names = [n for n, p in model.named_parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=config.lr, betas=(config.beta1, config.beta2)
        )
        self.average = [p.detach().clone() for p in self.parameters]
        self.fixed = self._fixed_faces()

    # -- one step ---------------------------------------------------------------------------------

    def batch(self, step: int) -> tuple[Tensor, torch.Generator]:
        """The step's faces (2N, 3, S, S), and the generator that its noise comes from."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        views = pair_batch(self.cache, self.sampler, step, config.batch_size // 2)
        first, second = augment_pairs(*views, config.image_size, config.augmentation, generator)
        x = torch.cat((first, second)).to(self.model.device)
        return (x - self.model.input_mean) / self.model.input_std, generator

    def train_step(self) -> dict[str, float]:
        """Learn from the next batch.

        Raises:
            NonFiniteLoss: before anything is changed.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate(self.step)
        x, generator = self.batch(self.step)
        noise = [self.model.random_noise(len(x), generator) for _ in range(2)]
        losses = self.stage(x, *noise)
        if not torch.isfinite(losses["loss"]):
            raise NonFiniteLoss(f"the loss is {losses['loss'].item()} at step {self.step}")
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if self.config.clip:
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
            if not torch.isfinite(norm):
                raise NonFiniteLoss(f"the gradient is not finite at step {self.step}")
        self.optimiser.step()
        self.step += 1
        self._average()
        return {name: value.item() for name, value in losses.items()}

    @torch.no_grad()
    def _average(self) -> None:
        # The early average follows quickly: a fixed decay would remember the random start.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    # -- what is written --------------------------------------------------------------------------

    def fit(
        self,
        *,
        on_step: Callable[[int, dict[str, float]], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the last step; True if it got there, False if ``stop`` asked to stop first."""
        saved = time.monotonic()
        while self.step < self.config.steps:
            losses = self.train_step()
            if on_step is not None:
                on_step(self.step, losses)
            if self.step % self.config.sample_every == 0 or self.step == self.config.steps:
                self.write_samples()
            if time.monotonic() - saved > self.config.save_every:
                self.save()
                saved = time.monotonic()
            if stop():
                self.save()
                return False
        self.save()
        return True

    def save(self) -> None:
        """Write ``last/`` (to resume) and ``checkpoint.safetensors`` (to use), each atomically."""
        folder = self.run / "last"
        folder.mkdir(parents=True, exist_ok=True)
        state = {f"model.{n}": t.detach() for n, t in self.model.state_dict().items()}
        for i, name in enumerate(self.names):
            state[f"average.{name}"] = self.average[i]
            for key, value in self.optimiser.state.get(self.parameters[i], {}).items():
                state[f"adam.{key}.{name}"] = value
        position = {"resume_version": RESUME_VERSION, "step": self.step, "stage": self.config.stage}
        with atomic_path(folder / "state.safetensors") as temporary:
            plain = {n: t.detach().cpu().clone().contiguous() for n, t in state.items()}
            save_file(plain, temporary, metadata={"facecycle": json.dumps(position)})
        with self.averaged():
            save_checkpoint(
                self.run / "checkpoint.safetensors",
                self.model,
                {**self.metadata, "stage": self.config.stage, "steps": self.step},
            )

    def resume(self) -> None:
        """Go on from ``last/``.

        Raises:
            ValueError: nothing to resume, or another stage or model.
        """
        from safetensors import safe_open

        path = self.run / "last" / "state.safetensors"
        if not path.is_file():
            raise ValueError(f"nothing to resume in {self.run}")
        with safe_open(path, framework="pt") as file:
            position = json.loads((file.metadata() or {}).get("facecycle", "{}"))
        if position.get("stage") != self.config.stage:
            raise ValueError(f"{self.run} holds the {position.get('stage')} stage")
        state = load_file(path)
        prefix = "model."
        self.model.load_state_dict(
            {n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)}
        )
        for i, (name, parameter) in enumerate(zip(self.names, self.parameters, strict=True)):
            self.average[i].copy_(state[f"average.{name}"])
            moments = {
                key: state[f"adam.{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in state
            }
            if moments:
                self.optimiser.state[parameter] = moments
        self.step = position["step"]

    def averaged(self) -> _Averaged:
        """A context in which the model has its averaged weights."""
        return _Averaged(self.parameters, self.average if self.config.ema else None)

    def write_samples(self) -> None:
        """Write ``samples/NNNNNN.png``."""
        folder = self.run / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        with self.averaged():
            grid = sample_grid(self.model, self.fixed)
        write_image(grid, folder / f"{self.step:06d}.png", provenance=None)

    def _fixed_faces(self) -> Tensor:
        """Up to eight faces, evenly spread over the data, for the sample grids."""
        usable = self.cache.usable.nonzero()[0]
        chosen = usable[torch.linspace(0, len(usable) - 1, min(8, len(usable))).long().numpy()]
        pixels = self.cache.pixels[chosen].permute(0, 3, 1, 2).float()
        size = self.config.image_size
        faces = torch.nn.functional.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
        return self.model.to_input(faces.round().clamp(0, 255).byte().permute(0, 2, 3, 1))


class _Averaged:
    """Swap averaged weights in, and the trained ones back."""

    def __init__(self, parameters: list[torch.nn.Parameter], average: list[Tensor] | None) -> None:
        self.parameters = parameters
        self.average = average

    def _swap(self) -> None:
        if self.average is not None:
            for parameter, average in zip(self.parameters, self.average, strict=True):
                parameter.data, average.data = average.data, parameter.data

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *exc: object) -> None:
        self._swap()
