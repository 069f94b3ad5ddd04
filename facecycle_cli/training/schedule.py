"""The learning rate at every step."""

from __future__ import annotations

import math

from facecycle_cli.training.config import StageConfig

_PAPER = {
    "expression": ((0, 0.2), (1, 1.0), (20, 0.2)),  # of 5e-5: 1e-5, 5e-5, 1e-5
    "identity": ((0, 0.5), (1, 1.0), (10, 0.1)),  # of 1e-4: 5e-5, 1e-4, 1e-5
}
"""First epoch and factor (supplementary code)."""

_COSINE_END = 0.01
"""A last rate of exactly 0 would waste the last steps."""


def learning_rate(
    config: StageConfig, stage: str, step: int, *, steps: int, epoch_steps: int
) -> float:
    """The rate for ``step`` (0-based) of ``steps``; an epoch is ``epoch_steps`` long."""
    if config.schedule == "paper":
        epoch = step // epoch_steps
        factor = [factor for first, factor in _PAPER[stage] if epoch >= first][-1]
    elif config.schedule == "cosine":
        factor = max(_COSINE_END, 0.5 * (1 + math.cos(math.pi * step / steps)))
    else:
        factor = 1.0
    return config.lr * factor * min(1.0, (step + 1) / max(1, config.warmup))
