"""The trunk: the image features that D_exp and D_id start from (supplementary, figures 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .layers import conv3, initialise

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""Torchvision's published ImageNet weights, as ``torch.hub`` caches them."""

_VGG19_LAYERS = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10}
"""Our names -> the layers' numbers in ``torchvision.models.vgg19().features``."""


class TrunkFeatures(NamedTuple):
    """What the decoders read.

    Attributes:
        image: the face itself, (N, 3, S, S).
        half: conv2_1, (N, C2, S/2, S/2).
        quarter: conv3_1, (N, C3, S/4, S/4).
    """

    image: Tensor
    half: Tensor
    quarter: Tensor


class Vgg19Trunk(nn.Module):
    """VGG-19 up to conv3_1, frozen. Built bare: fill it from a checkpoint or :meth:`fill`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w1, w2, w4 = config.trunk_widths
        self.conv1_1 = conv3(3, w1)
        self.conv1_2 = conv3(w1, w1)
        self.conv2_1 = conv3(w1, w2)
        self.conv2_2 = conv3(w2, w2)
        self.conv3_1 = conv3(w2, w4)
        self.requires_grad_(False)

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights out of torchvision's VGG-19 state dict (``features.0.weight`` ...).

        Raises:
            ValueError: a layer is missing or has another shape.
        """
        for name, number in _VGG19_LAYERS.items():
            layer = self.get_submodule(name)
            for kind in ("weight", "bias"):
                key = f"features.{number}.{kind}"
                parameter = layer.get_parameter(kind)
                if key not in state or state[key].shape != parameter.shape:
                    raise ValueError(f"not VGG-19 weights: {key} is missing or has another shape")
                with torch.no_grad():
                    parameter.copy_(state[key])

    def forward(self, x: Tensor) -> TrunkFeatures:
        """``x``: (N, 3, S, S) -> features at half and at a quarter of its size."""
        first = F.relu(self.conv1_2(F.relu(self.conv1_1(x))))
        half = F.relu(self.conv2_1(F.max_pool2d(first, 2)))
        second = F.max_pool2d(F.relu(self.conv2_2(half)), 2)
        return TrunkFeatures(x, half, F.relu(self.conv3_1(second)))


class LearnedTrunk(nn.Module):
    """The same features from a trunk that is trained with the rest.

    It halves with strides instead of pooling, so that nothing is computed at full size but the
    first, cheap layer.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w1, w2, w4 = config.trunk_widths
        self.conv1_1 = conv3(3, w1)
        self.conv1_2 = conv3(w1, w2, 2)
        self.conv2_1 = conv3(w2, w2)
        self.conv2_2 = conv3(w2, w4, 2)
        self.conv3_1 = conv3(w4, w4)
        initialise(self)

    def forward(self, x: Tensor) -> TrunkFeatures:
        """``x``: (N, 3, S, S) -> features at half and at a quarter of its size."""
        first = F.relu(self.conv1_2(F.relu(self.conv1_1(x))))
        half = F.relu(self.conv2_1(first))
        return TrunkFeatures(x, half, F.relu(self.conv3_1(F.relu(self.conv2_2(half)))))


def build_trunk(config: ModelConfig) -> Vgg19Trunk | LearnedTrunk:
    """The trunk that the configuration names, without pretrained weights."""
    return Vgg19Trunk(config) if config.trunk == "vgg19" else LearnedTrunk(config)
