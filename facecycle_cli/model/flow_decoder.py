"""D_flow: an expression code to the two flows of a face (supplementary, figure 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import ModelConfig
from .flow import backward_flow
from .layers import ChannelAttention, ResidualBlock, conv3, initialise, leaky

START = 4
"""The decoder starts at 4x4 and doubles until the flow's size is reached."""


def _double() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)


class FlowDecoder(nn.Module):
    """D_flow: code (N, code_size) -> (flow, backflow), each (N, 2, F, F) in [-1, 1].

    ``flow`` takes a face to its neutral, frontal self (de-expression); ``backflow`` is its inverse
    (in the paper ``-warp(flow, flow)``) and takes the neutral face back (re-expression). F is
    ``config.flow_size``; doublings from 8 to F precede the output.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w4, w8, w16 = config.flow_widths
        self.expand = nn.Conv2d(config.code_size, w4 * START**2, 1)
        self.start = nn.Sequential(
            nn.PixelShuffle(START), leaky(),
            ChannelAttention(w4),
            conv3(w4, w4), leaky(),
        )  # fmt: skip
        self.middle = nn.Sequential(
            _double(),
            conv3(w4, w8), leaky(),
            ChannelAttention(w8),
            conv3(w8, w8), leaky(),
            ResidualBlock(w8),
            ResidualBlock(w8),
        )  # fmt: skip
        self.inverse_steps = config.inverse_steps
        self.out = nn.Sequential(
            *(_double() for _ in range(int(math.log2(config.flow_size // (2 * START))))),
            conv3(w8, w16), leaky(),
        )  # fmt: skip
        self.to_flow = nn.Conv2d(w16, 2, 1, bias=False)
        initialise(self)
        nn.init.normal_(self.to_flow.weight, 0.0, 0.01)  # start close to standing still

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """``code``: (N, code_size) -> (flow, backflow), each (N, 2, F, F)."""
        flow = self.flow(code)
        return flow, backward_flow(flow, self.inverse_steps)

    def flow(self, code: Tensor) -> Tensor:
        """The first of the two alone."""
        x = self.start(self.expand(code[:, :, None, None]))
        # In float32 also under autocast: half precision has no room for positions.
        return torch.tanh(self.to_flow(self.out(self.middle(x))).float())
