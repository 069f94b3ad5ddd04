"""The building blocks that all networks share (supplementary, figure 1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Upsampling

LEAK = 0.1
"""Negative slope of every LeakyReLU (supplementary, section 1)."""


def leaky() -> nn.LeakyReLU:
    """The activation of all networks but the decoders of D_exp and D_id, which use ReLU."""
    return nn.LeakyReLU(LEAK, inplace=True)


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size (or halves it, with ``stride=2``)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class ChannelAttention(nn.Module):
    """Relations between channels: ``y = act(x + (phi theta^T) g)`` (supplementary, figure 1).

    ``theta`` is a softmax over positions, ``g`` one over channels; ``phi theta^T`` is therefore a
    (C, C) matrix, however large the feature map is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, channels, 1)
        self.theta = nn.Conv2d(channels, channels, 1)
        self.phi = nn.Conv2d(channels, channels, 1)
        self.act = leaky()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in and out."""
        g = self.g(x).flatten(2).softmax(dim=1)
        theta = self.theta(x).flatten(2).softmax(dim=2)
        phi = self.phi(x).flatten(2)
        relations = torch.bmm(phi, theta.transpose(1, 2))
        return self.act(x + torch.bmm(relations, g).view_as(x))


class ResidualBlock(nn.Module):
    """conv3, act, conv3, plus the input, act after the sum; no normalisation (figure 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3(channels, channels)
        self.conv2 = conv3(channels, channels)
        self.act = leaky()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in and out."""
        return self.act(x + self.conv2(self.act(self.conv1(x))))


def upsample2(inputs: int, outputs: int, kind: Upsampling) -> nn.Module:
    """Twice the size: the paper's transposed convolution, or interpolation and convolution.

    The bilinear kind mixes channels first, at the small size, where it is cheap.
    """
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        conv3(outputs, outputs),
    )


class AdaptiveInstanceNorm(nn.Module):
    """AdaIN: instance norm without affine parameters, scaled and shifted by a code.

    ``gamma`` and ``beta`` are the MLP_de or MLP_re of the paper: one 1x1 convolution each.
    """

    def __init__(self, code_size: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Conv2d(code_size, channels, 1)
        self.beta = nn.Conv2d(code_size, channels, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``x``: (N, C, H, W); ``code``: (N, code_size)."""
        code = code[:, :, None, None]
        return F.instance_norm(x) * self.gamma(code) + self.beta(code)


def initialise(module: nn.Module, *quiet: nn.Conv2d) -> None:
    """He initialisation by fan-in for convolutions, N(0, 0.01) for fully connected layers.

    Layers named as ``quiet`` start at a tenth of that: what they add to a picture should begin
    small. Frozen parameters (a VGG-19 trunk) are left alone.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.weight.requires_grad:
            fan_in = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # (in, out, 4, 4), a quarter meets an output
                fan_in = layer.in_channels * layer.weight[0, 0].numel() // 4
            gain = 0.1 if layer in quiet else 1.0
            nn.init.normal_(layer.weight, 0.0, gain * math.sqrt(2.0 / fan_in))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
            nn.init.zeros_(layer.bias)
