"""E_exp and E_id: a face to a code (supplementary, figure 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .layers import ChannelAttention, ResidualBlock, conv3, initialise, leaky


class Encoder(nn.Module):
    """E_exp or E_id: both have this shape.

    ``x``: (N, 3, S, S), ImageNet-normalised RGB -> code (N, code_size) in (-1, 1). A 128-pixel
    input is halved once more before the last convolution, so that both sizes end in 4x4 positions.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w2, w4, w8, w16 = config.encoder_widths
        last_stride = config.image_size // 64
        self.stem = nn.Sequential(
            nn.Conv2d(3, w2, 7, 2, 3), leaky(),
            conv3(w2, w2), leaky(),
            conv3(w2, w2), leaky(),
            ChannelAttention(w2),
            conv3(w2, w2), leaky(),
        )  # fmt: skip
        self.middle = nn.Sequential(
            conv3(w2, w4, 2), leaky(),
            ChannelAttention(w4),
            conv3(w4, w4), leaky(),
            ResidualBlock(w4),
            ResidualBlock(w4),
        )  # fmt: skip
        self.top = nn.Sequential(
            conv3(w4, w8, 2), leaky(),
            conv3(w8, w8), leaky(),
            conv3(w8, w16, 2), leaky(),
            conv3(w16, w16), leaky(),
            conv3(w16, w16, last_stride), leaky(),
            conv3(w16, config.encoder_features), leaky(),
        )  # fmt: skip
        self.code = nn.Sequential(
            nn.Linear(config.encoder_features * 16, config.encoder_hidden),
            leaky(),
            nn.Linear(config.encoder_hidden, config.code_size),
        )
        initialise(self)

    def places(self, x: Tensor) -> Tensor:
        """What the lower layers see, place by place: (N, encoder_widths[1], H / 4, W / 4)."""
        return self.middle(self.stem(x))

    def features(self, x: Tensor) -> Tensor:
        """The last convolution's output, flattened: (N, 16 * encoder_features)."""
        return self.top(self.places(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (N, 3, S, S) -> code (N, code_size) in (-1, 1)."""
        return torch.tanh(self.code(self.features(x)))
