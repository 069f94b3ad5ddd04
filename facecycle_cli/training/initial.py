"""The networks that a run begins with: new ones, or those of a checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from facecycle_cli.errors import SettingsError, TrainingError
from facecycle_cli.model import FaceCycle, load, preset, read_info
from facecycle_cli.model.networks import Vgg19Trunk
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.perceptual import (
    FeatureNetwork,
    VggState,
    cached_file,
    fill_trunk,
    find_network,
    read_vgg19,
)
from facecycle_cli.training.run import Reporter


def check_init(config: TrainConfig) -> None:
    """Check that the checkpoint to start from fits the run.

    Raises:
        SettingsError: it is of another preset or size, or it is missing although it is needed.
        CheckpointError: it is not a checkpoint.
    """
    if not config.init:
        if config.stage == "identity":
            raise SettingsError(
                "the identity stage needs a trained expression stage: pass --init CHECKPOINT or "
                "use --stage both"
            )
        return
    found = read_info(config.init).config
    for what, theirs, ours in (
        ("preset", found.preset, config.preset),
        ("image size", found.image_size, config.image_size),
    ):
        if theirs != ours:
            raise SettingsError(f"{config.init}: a checkpoint of {what} {theirs}, not {ours}")


def build_networks(
    config: TrainConfig, reporter: Reporter, *, resumed: bool
) -> tuple[FaceCycle, FeatureNetwork | None]:
    """Build the model, on the CPU; equal settings give equal weights.

    Args:
        config: of the run.
        reporter: is told what the perceptual loss compares if it is not VGG-19's features.
        resumed: whether the weights will come from the folder of the run.

    Returns:
        The model, and the network of the perceptual loss; None to train without it.

    Raises:
        TrainingError: weights are needed and missing.
        CheckpointError, OSError: the checkpoint to start from cannot be read.
    """
    unused = config.perceptual == "auto" and not config.draws
    network, vgg = (None, None) if unused else find_network(config.perceptual, reporter.note)
    if config.init:
        model = load(config.init).requires_grad_(True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = FaceCycle(preset(config.preset, config.image_size))
            if isinstance(model.trunk, Vgg19Trunk) and not resumed:
                _initialize_trunk(model.trunk, config, vgg)
    return model.train(), network


def _initialize_trunk(trunk: Vgg19Trunk, config: TrainConfig, vgg: VggState | None) -> None:
    """Fill preset paper's trunk, which does not learn."""
    if config.trunk == "random":
        for layer in trunk.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return
    if vgg is None and (file := cached_file()).is_file():
        vgg = read_vgg19(file)  # needed for the trunk, even if not for the loss
    if vgg is None:
        raise TrainingError(
            "preset paper starts from VGG-19's ImageNet weights: pass --perceptual PATH, or --init "
            "with a checkpoint that has them (--set trunk=random trains on random features)"
        )
    fill_trunk(trunk, vgg)
