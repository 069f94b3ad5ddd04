"""Everything that decides a training run, in one frozen record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from facecycle_cli.model.config import PRESETS

from .augment import Augmentation
from .stages import STAGES, LossWeights

SECTIONS = {"augmentation": Augmentation, "weights": LossWeights}


@dataclass(frozen=True)
class TrainConfig:
    """One stage of one run.

    Attributes:
        stage: ``expression`` or ``identity``.
        preset: the model's, when it does not come from a checkpoint.
        image_size: 64 or 128.
        transform: ``other-frames``, ``flip`` or ``mixed``.
        steps: optimiser steps of this stage.
        batch_size: faces per step; half as many pairs.
        lr: peak learning rate of Adam.
        beta1: Adam's first beta.
        beta2: Adam's second beta (paper: .999 for expression, .9 for identity).
        warmup: steps over which the learning rate rises linearly.
        schedule: ``cosine`` to zero, or ``paper`` (steps down at half of the steps).
        ema: decay of the weights' moving average, which is what is saved as best; 0 for none.
        clip: largest gradient norm; 0 for no clipping.
        flip_share: with ``mixed``, how often a large group is mirrored all the same.
        group_share: with ``mixed``, share of the pairs from groups with other frames; -1 draws
            groups evenly.
        seed: of everything random.
        sample_every: steps between sample grids.
        save_every: seconds between saves.
        augmentation: strengths.
        weights: of the losses.
    """

    stage: str = "expression"
    preset: str = "small"
    image_size: int = 64
    transform: str = "mixed"
    steps: int = 10_000
    batch_size: int = 32
    lr: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.999
    warmup: int = 200
    schedule: str = "cosine"
    ema: float = 0.999
    clip: float = 1.0
    flip_share: float = 0.5
    group_share: float = -1.0
    seed: int = 0
    sample_every: int = 500
    save_every: float = 180.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage must be one of {', '.join(STAGES)}, not {self.stage!r}")
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.transform not in ("other-frames", "flip", "mixed"):
            raise ValueError(
                f"transform must be other-frames, flip or mixed, not {self.transform!r}"
            )
        if self.schedule not in ("cosine", "paper"):
            raise ValueError(f"schedule must be cosine or paper, not {self.schedule!r}")
        if self.batch_size < 2 or self.batch_size % 2:
            raise ValueError(f"batch_size must be even and at least 2, not {self.batch_size}")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    def to_dict(self) -> dict[str, Any]:
        """JSON- and TOML-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Build from a dictionary as :meth:`to_dict` gives it, or a part of one.

        Raises:
            ValueError: an unknown key, or a value of the wrong kind.
        """
        return _build(cls, values, "")

    def learning_rate(self, step: int) -> float:
        """The rate at ``step`` (0-based)."""
        import math

        warm = min(1.0, (step + 1) / max(1, self.warmup))
        progress = step / self.steps
        if self.schedule == "paper":
            return self.lr * warm * (1.0 if progress < 0.5 else 0.2)
        return self.lr * warm * max(0.01, 0.5 * (1 + math.cos(math.pi * progress)))


def _build(kind: type, values: dict[str, Any], prefix: str) -> Any:
    known = {f.name: f for f in fields(kind)}
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"unknown setting {prefix}{key}")
        if key in SECTIONS:
            if not isinstance(value, dict):
                raise ValueError(f"{prefix}{key} is a table of settings")
            given[key] = _build(SECTIONS[key], value, f"{key}.")
            continue
        expected = {"int": int, "float": float, "str": str}[str(known[key].type)]
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise ValueError(f"{prefix}{key} must be {expected.__name__}, not {value!r}")
        given[key] = value
    return kind(**given)
