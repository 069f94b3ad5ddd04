"""D_id, MLP_de and MLP_re: take the identity out of a neutral face and put it back (figure 5)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig
from .layers import AdaptiveInstanceNorm, ResidualBlock, conv3, initialise, upsample2
from .trunk import TrunkFeatures


class Normaliser(nn.Module):
    """D_id. Features of a face and an identity code -> the mean face, or the neutral face again.

    One network does both; ``de`` (MLP_de) and ``re`` (MLP_re) turn the same code into the AdaIN
    parameters that remove or restore the identity.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.normaliser_width
        d2, d1 = config.normaliser_decoder_widths
        self.de = AdaptiveInstanceNorm(config.code_size, width)
        self.re = AdaptiveInstanceNorm(config.code_size, width)
        blocks = (ResidualBlock(width) for _ in range(config.normaliser_blocks))
        self.blocks = nn.Sequential(*blocks)
        self.up2 = upsample2(width, d2, config.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsample2(d2, d1, config.upsampling)
        self.to_rgb = nn.Conv2d(d1, 3, 1)
        initialise(self, self.to_rgb)

    def forward(self, features: TrunkFeatures, code: Tensor, *, restore: bool) -> Tensor:
        """``code``: (N, code_size); ``restore``: MLP_re instead of MLP_de -> (N, 3, S, S)."""
        norm = self.re if restore else self.de
        return self.draw(norm(features.quarter, code))

    def draw(self, normalised: Tensor) -> Tensor:
        """Features after AdaIN, (N, C3, S/4, S/4) -> image (N, 3, S, S), normalised RGB."""
        x = self.blocks(normalised)
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        return self.to_rgb(F.relu(self.up1(x)))
