"""The paper's networks: E_exp, D_flow, D_exp, E_id and D_id, after the blocks that they share.

Chang, Chen and Chiu, "Learning Facial Representations from the Cycle-consistency of Face", ICCV
2021; figures are those of its supplementary material. In shapes, N is the number of faces, S the
side of the input in pixels (64 or 128) and C, H, W a feature map's channels, height and width.
Faces are ImageNet-normalized RGB, (N, 3, S, S). Activations are LeakyReLU, but ReLU in the trunk
and in the decoders D_exp and D_id, as the authors' code has it.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.model.config import ModelConfig, Upsampling
from facecycle_cli.model.flow import backward_flow, warp


def leaky() -> nn.LeakyReLU:
    """The activation of the paper's networks (section 1)."""
    return nn.LeakyReLU(negative_slope=0.1, inplace=True)


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size (or halves it, with ``stride=2``)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class ChannelAttention(nn.Module):
    """Relations between channels: ``y = act(x + (phi theta^T) g)`` (figure 1).

    ``theta`` is a softmax over positions and ``g`` one over channels, so ``phi theta^T`` is a
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
    """conv3, act, conv3, plus the input, act after the sum; no normalization (figure 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3(channels, channels)
        self.conv2 = conv3(channels, channels)
        self.act = leaky()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in and out."""
        return self.act(x + self.conv2(self.act(self.conv1(x))))


class AdaptiveInstanceNorm(nn.Module):
    """AdaIN: instance norm without parameters of its own, scaled and shifted by a code (figure 5).

    ``gamma`` and ``beta``, one 1x1 convolution each, are the paper's MLP (Huang and Belongie,
    "Arbitrary style transfer in real-time with adaptive instance normalization", ICCV 2017).
    """

    def __init__(self, code_size: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Conv2d(code_size, channels, 1)
        self.beta = nn.Conv2d(code_size, channels, 1)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """``x`` (N, C, H, W), ``code`` (N, code_size) -> (N, C, H, W)."""
        code = code[:, :, None, None]
        return F.instance_norm(x) * self.gamma(code) + self.beta(code)


class NoiseEncoder(nn.Module):
    """Features for what a flow uncovers: noise around the map's average, convolved (figure 4)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, 1, kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, 1, kernel // 2)

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        """``feature`` (N, C, H, W), ``noise`` (1 or N, C, H, W) -> (N, C, H, W), 0 or more."""
        x = noise + feature.mean(dim=(2, 3), keepdim=True)
        return F.relu(self.conv2(F.relu(self.conv1(x))))


def upsampling_layer(inputs: int, outputs: int, kind: Upsampling) -> nn.Module:
    """Twice the size: the paper's transposed convolution, or interpolation and convolution."""
    if kind == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1),  # at the small size, where it is cheap
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        conv3(outputs, outputs),
    )


def initialize(module: nn.Module, near_zero: tuple[nn.Conv2d, ...] = ()) -> None:
    """He initialization by fan-in for convolutions, N(0, 0.01) for fully connected layers.

    Layers in ``near_zero`` start at a tenth of it: what they draw begins small. Frozen layers keep
    their weights.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.weight.requires_grad:
            positions = layer.weight[0, 0].numel()
            if isinstance(layer, nn.ConvTranspose2d):
                positions //= 4  # at stride 2 a quarter of the kernel meets an output
            gain = 0.1 if layer in near_zero else 1.0
            nn.init.normal_(
                layer.weight, 0.0, gain * math.sqrt(2.0 / (layer.in_channels * positions))
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
            nn.init.zeros_(layer.bias)


class TrunkFeatures(NamedTuple):
    """What D_exp and D_id read: a face and two feature maps of the trunk.

    Attributes:
        image: the face itself, (N, 3, S, S).
        half: conv2_1, (N, trunk_widths[1], S/2, S/2), 0 or more.
        quarter: conv3_1, (N, trunk_widths[2], S/4, S/4), 0 or more.
    """

    image: Tensor
    half: Tensor
    quarter: Tensor


class Vgg19Trunk(nn.Module):
    """The paper's trunk: VGG-19 up to conv3_1, frozen. Built bare: a checkpoint fills it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w1, w2, w4 = config.trunk_widths
        self.conv1_1 = conv3(3, w1)
        self.conv1_2 = conv3(w1, w1)
        self.conv2_1 = conv3(w1, w2)
        self.conv2_2 = conv3(w2, w2)
        self.conv3_1 = conv3(w2, w4)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> TrunkFeatures:
        """Face (N, 3, S, S) -> its features."""
        first = F.relu(self.conv1_2(F.relu(self.conv1_1(x))))
        half = F.relu(self.conv2_1(F.max_pool2d(first, 2)))
        second = F.max_pool2d(F.relu(self.conv2_2(half)), 2)
        return TrunkFeatures(x, half, F.relu(self.conv3_1(second)))


class LearnedTrunk(nn.Module):
    """Not in the paper: trained with the rest. Strides halve it, not pooling, which is cheaper."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w1, w2, w4 = config.trunk_widths
        self.conv1_1 = conv3(3, w1)
        self.conv1_2 = conv3(w1, w2, 2)
        self.conv2_1 = conv3(w2, w2)
        self.conv2_2 = conv3(w2, w4, 2)
        self.conv3_1 = conv3(w4, w4)
        initialize(self)

    def forward(self, x: Tensor) -> TrunkFeatures:
        """Face (N, 3, S, S) -> its features."""
        first = F.relu(self.conv1_2(F.relu(self.conv1_1(x))))
        half = F.relu(self.conv2_1(first))
        return TrunkFeatures(x, half, F.relu(self.conv3_1(F.relu(self.conv2_2(half)))))


def build_trunk(config: ModelConfig) -> Vgg19Trunk | LearnedTrunk:
    """The trunk that the configuration names, without pretrained weights."""
    return Vgg19Trunk(config) if config.extensions.trunk == "vgg19" else LearnedTrunk(config)


# -- the facial-motion cycle: E_exp, D_flow, D_exp -------------------------------------------------


class Encoder(nn.Module):
    """What E_exp and E_id have in common: all layers (figure 2).

    A 128-pixel face is halved once more, in ``top``, so that both sizes end in 4x4 positions.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w2, w4, w8, w16 = config.encoder_widths
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
            conv3(w16, w16, config.image_size // 64), leaky(),
            conv3(w16, config.encoder_features), leaky(),
        )  # fmt: skip
        self.code = nn.Sequential(
            nn.Linear(config.encoder_features * 16, config.encoder_hidden), leaky(),
            nn.Linear(config.encoder_hidden, config.code_size),
        )  # fmt: skip
        initialize(self)

    def lower_features(self, x: Tensor) -> Tensor:
        """Picture (N, 3, H, W) -> the map at stride 4, (N, encoder_widths[1], H/4, W/4)."""
        return self.middle(self.stem(x))

    def features(self, x: Tensor) -> Tensor:
        """Face (N, 3, S, S) -> the last convolution, flattened: (N, 16 * encoder_features)."""
        return self.top(self.lower_features(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Face (N, 3, S, S) -> code (N, code_size) in (-1, 1)."""
        return torch.tanh(self.code(self.features(x)))


class ExpressionEncoder(Encoder):
    """E_exp: a face -> ``expression_code``, R_exp: expression *and* head pose (figure 2)."""


class FlowDecoder(nn.Module):
    """D_flow: ``expression_code`` -> the flows of the face (figure 3).

    ``flow`` takes a face to its neutral, frontal self (de-expression). ``backflow``, its inverse,
    takes the neutral face back (re-expression); the paper's is ``-warp(flow, flow)``. The decoder
    starts at 4x4 cells and doubles until F = ``config.flow_size`` is reached, in the paper twice.
    """

    START = 4
    """Side of the first map in cells."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w4, w8, w16 = config.flow_decoder_widths
        double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        doublings = int(math.log2(config.flow_size // self.START))
        self.expand = nn.Conv2d(config.code_size, w4 * self.START**2, 1)
        self.start = nn.Sequential(
            nn.PixelShuffle(self.START), leaky(),
            ChannelAttention(w4),
            conv3(w4, w4), leaky(),
        )  # fmt: skip
        self.middle = nn.Sequential(
            double,
            conv3(w4, w8), leaky(),
            ChannelAttention(w8),
            conv3(w8, w8), leaky(),
            ResidualBlock(w8),
            ResidualBlock(w8),
        )  # fmt: skip
        self.out = nn.Sequential(
            *[double] * (doublings - 1),
            conv3(w8, w16), leaky(),
        )  # fmt: skip
        self.to_flow = nn.Conv2d(w16, 2, 1, bias=False)
        self.inverse_steps = config.extensions.inverse_steps
        initialize(self)
        nn.init.normal_(self.to_flow.weight, 0.0, 0.01)  # the first flows hardly move anything

    def flow(self, code: Tensor) -> Tensor:
        """Code (N, code_size) -> flow (N, 2, F, F) in [-1, 1], in grid units."""
        x = self.start(self.expand(code[:, :, None, None]))
        # In float32 also under autocast: half precision has no room for positions.
        return torch.tanh(self.to_flow(self.out(self.middle(x))).float())

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Code (N, code_size) -> (flow, backflow), each (N, 2, F, F) in [-1, 1], in grid units."""
        flow = self.flow(code)
        return flow, backward_flow(flow, self.inverse_steps)


Noise: TypeAlias = tuple[Tensor, Tensor]
"""N(0, 1) for the features at half and at a quarter of the size, in their shapes with N or 1."""


class ExpressionDecoder(nn.Module):
    """D_exp: the features of a face, a flow and noise -> the face as the flow moves it (figure 4).

    The noise is an argument: a video that has the same noise in every frame does not flicker.
    Without a flow the face is rebuilt where it is, and no noise is added. A ``residual`` decoder
    (not in the paper) draws only what differs from the warped face, without a flow nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _, half, quarter = config.trunk_widths
        width = config.expression_decoder_width
        d2, d1 = config.expression_decoder_upsampling_widths
        blocks = config.expression_decoder_blocks
        self.noise_half = NoiseEncoder(half, config.noise_kernel)
        self.noise_quarter = NoiseEncoder(quarter, config.noise_kernel)
        self.reduce = conv3(quarter, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.up2 = upsampling_layer(width, d2, config.extensions.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsampling_layer(d2 + half, d1, config.extensions.upsampling)
        self.conv1 = conv3(d1, d1)
        self.to_rgb = conv3(d1, 3)
        self.padding = config.extensions.padding
        self.residual = config.extensions.residual
        initialize(self, (self.to_rgb, self.noise_half.conv2, self.noise_quarter.conv2))

    def forward(self, features: TrunkFeatures, flow: Tensor | None, noise: Noise | None) -> Tensor:
        """Flow (N, 2, h, w) in grid units, or None -> face (N, 3, S, S).

        Raises:
            ValueError: there is a flow, but no noise.
        """
        image, half, quarter = features
        if flow is None:
            return image if self.residual else self._draw(half, quarter)
        if noise is None:
            raise ValueError("a flow needs noise for what it uncovers: see FaceCycle.noise")
        half = warp(half, flow, padding=self.padding) + self.noise_half(half, noise[0])
        quarter = warp(quarter, flow, padding=self.padding) + self.noise_quarter(quarter, noise[1])
        drawn = self._draw(half, quarter)
        return drawn + warp(image, flow, padding=self.padding) if self.residual else drawn

    def _draw(self, half: Tensor, quarter: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.reduce(quarter)))
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        x = F.relu(self.conv1(F.relu(self.up1(torch.cat((half, x), dim=1)))))
        return self.to_rgb(x)


# -- the identity cycle: E_id, D_id ----------------------------------------------------------------


class IdentityEncoder(Encoder):
    """E_id: a face -> ``identity_code``, R_id (figure 2)."""


class IdentityDecoder(nn.Module):
    """D_id: the features of a face and ``identity_code`` -> the mean face, or back (figure 5).

    One network does both: ``mlp_de`` and ``mlp_re`` make different AdaIN parameters of the same
    code, such as take the identity out of the neutral face or put it into the mean face.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, blocks = config.identity_decoder_width, config.identity_decoder_blocks
        d2, d1 = config.identity_decoder_upsampling_widths
        self.mlp_de = AdaptiveInstanceNorm(config.code_size, width)
        self.mlp_re = AdaptiveInstanceNorm(config.code_size, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.up2 = upsampling_layer(width, d2, config.extensions.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsampling_layer(d2, d1, config.extensions.upsampling)
        self.to_rgb = nn.Conv2d(d1, 3, 1)
        self.halved = config.extensions.identity_halved
        initialize(self, (self.to_rgb,))

    def reads(self, x: Tensor) -> Tensor:
        """The face (N, 3, S, S) as the trunk is to see it: as it is, or at half its size."""
        return F.avg_pool2d(x, 2) if self.halved else x

    def forward(self, features: TrunkFeatures, code: Tensor, *, restore: bool) -> Tensor:
        """Code (N, code_size); ``restore`` takes MLP_re instead of MLP_de -> face (N, 3, S, S)."""
        norm = self.mlp_re if restore else self.mlp_de
        return self.draw(norm(features.quarter, code))

    def draw(self, normalized: Tensor) -> Tensor:
        """Features after AdaIN, at stride 4 of what D_id reads -> face (N, 3, S, S)."""
        x = self.blocks(normalized)
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        face = self.to_rgb(F.relu(self.up1(x)))
        return F.interpolate(face, scale_factor=2.0, mode="bilinear") if self.halved else face
