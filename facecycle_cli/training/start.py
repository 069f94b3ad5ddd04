"""The networks that a run begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from facecycle_cli.errors import TrainingError
from facecycle_cli.model import FaceCycle, load, preset, read_info
from facecycle_cli.model.networks import Vgg19Trunk
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.perceptual import PerceptualLoss
from facecycle_cli.training.vgg19 import State, cached_file, fill_trunk, find_vgg19, read_vgg19


@dataclass(frozen=True)
class Start:
    """What a run begins with, on the CPU.

    Attributes:
        model: with initial weights.
        perceptual: the loss on VGG-19, or None.
    """

    model: FaceCycle
    perceptual: PerceptualLoss | None


def check_init(config: TrainConfig) -> None:
    """The checkpoint to start from fits the run.

    Raises:
        TrainingError: it is of another preset or size, or there is none although one is needed.
        CheckpointError: it is no checkpoint.
    """
    if not config.init:
        if config.stage == "identity":
            raise TrainingError(
                "the identity stage builds on a trained expression stage: --init CHECKPOINT names "
                "one, --stage both trains it first"
            )
        return
    found = read_info(config.init).config
    for what, theirs, ours in (
        ("preset", found.preset, config.preset),
        ("image size", found.image_size, config.image_size),
    ):
        if theirs != ours:
            raise TrainingError(f"{config.init}: a checkpoint of {what} {theirs}, not {ours}")


def prepare(config: TrainConfig, note: Callable[[str], None], *, resumed: bool = False) -> Start:
    """Build the networks; equal settings give equal weights.

    Args:
        config: the run's.
        note: is told if training goes on without the perceptual loss.
        resumed: the weights will come from the run's folder.

    Raises:
        TrainingError: VGG-19's weights are needed and missing. CheckpointError, OSError.
    """
    unused = config.perceptual == "auto" and not config.draws
    vgg = None if unused else find_vgg19(config.perceptual, note)
    if config.init:
        model = load(config.init).requires_grad_(True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = FaceCycle(preset(config.preset, config.image_size))
            if isinstance(model.trunk, Vgg19Trunk) and not resumed:
                _fill(model.trunk, config, vgg)
    return Start(model.train(), PerceptualLoss(vgg) if vgg else None)


def _fill(trunk: Vgg19Trunk, config: TrainConfig, vgg: State | None) -> None:
    if config.trunk == "random":
        for layer in trunk.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        return
    if vgg is None and (file := cached_file()).is_file():
        vgg = read_vgg19(Path(file))  # wanted for the trunk, even if not for the loss
    if vgg is None:
        raise TrainingError(
            "preset paper starts from VGG-19's ImageNet weights: --perceptual PATH names the file, "
            "--init a checkpoint that has them (--set trunk=random trains on random features)"
        )
    fill_trunk(trunk, vgg)
