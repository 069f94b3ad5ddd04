"""D_exp: warps a face's features by a flow and draws the moved face (supplementary, figure 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .flow import warp
from .layers import ResidualBlock, conv3, initialise, upsample2
from .trunk import TrunkFeatures

Noise = tuple[Tensor, Tensor]
"""For the half-size and the quarter-size features: (1|N, C2, S/2, S/2), (1|N, C3, S/4, S/4)."""


class NoiseEncoder(nn.Module):
    """What the warp cannot supply: noise around the feature's global average, convolved twice."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, 1, kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, 1, kernel // 2)

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        """``feature``: (N, C, H, W); ``noise``: (1 or N, C, H, W) -> (N, C, H, W), 0 or more."""
        x = noise + feature.mean(dim=(2, 3), keepdim=True)
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class Generator(nn.Module):
    """D_exp. Features of a face, a flow and noise -> the face as the flow moves it.

    The noise is an argument, not drawn here: the same noise for every frame of a video is what
    keeps it from flickering. Without a flow the face is rebuilt as it is, and no noise is added; a
    ``residual`` generator then has nothing to draw.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _, half, quarter = config.trunk_widths
        width = config.generator_width
        d2, d1 = config.decoder_widths
        self.noise_half = NoiseEncoder(half, config.noise_kernel)
        self.noise_quarter = NoiseEncoder(quarter, config.noise_kernel)
        self.reduce = conv3(quarter, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(config.generator_blocks)))
        self.up2 = upsample2(width, d2, config.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsample2(d2 + half, d1, config.upsampling)
        self.conv1 = conv3(d1, d1)
        self.to_rgb = conv3(d1, 3)
        self.padding = config.padding
        self.residual = config.residual
        initialise(self, self.to_rgb, self.noise_half.conv2, self.noise_quarter.conv2)

    def forward(self, features: TrunkFeatures, flow: Tensor | None, noise: Noise | None) -> Tensor:
        """``flow``: (N, 2, h, w) in grid units, or None -> image (N, 3, S, S), normalised RGB."""
        image, half, quarter = features
        if self.residual and flow is None:
            return image
        if flow is not None:
            if noise is None:
                raise ValueError("a flow needs noise for what it uncovers: see FaceCycle.noise")
            noise_half, noise_quarter = noise
            filling_half = self.noise_half(half, noise_half)
            filling_quarter = self.noise_quarter(quarter, noise_quarter)
            half = warp(half, flow, padding=self.padding) + filling_half
            quarter = warp(quarter, flow, padding=self.padding) + filling_quarter
        x = self.blocks(F.relu(self.reduce(quarter)))
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        x = F.relu(self.conv1(F.relu(self.up1(torch.cat((half, x), dim=1)))))
        drawn = self.to_rgb(x)
        if self.residual and flow is not None:
            drawn = drawn + warp(image, flow, padding=self.padding)
        return drawn
