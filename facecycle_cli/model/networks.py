"""The paper's networks: E_exp and E_id, D_flow, D_exp, D_id, and their blocks.

Chang, Chen and Chiu, "Learning Facial Representations from the Cycle-consistency of Face", ICCV
2021; figures are those of its supplementary. Faces are (N, 3, S, S), RGB normalized with ImageNet's
mean and standard deviation; S is 64 or 128. The defaults of ``ModelConfig`` are the paper's sizes.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.model.config import ModelConfig, Upsampling
from facecycle_cli.model.flow import backward_flow, warp

# -- blocks (figure 1) ----------------------------------------------------------------------------


def leaky() -> nn.LeakyReLU:
    """The activation everywhere but in the upsampling parts of D_exp and D_id, which use ReLU.

    Its negative slope is 0.1 (supplementary, section 1).
    """
    return nn.LeakyReLU(0.1, inplace=True)


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
        self.g, self.theta, self.phi = (nn.Conv2d(channels, channels, 1) for _ in range(3))
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


def residual_blocks(count: int, channels: int) -> nn.Sequential:
    """``count`` residual blocks, one after the other."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def upsample2(inputs: int, outputs: int, kind: Upsampling) -> nn.Module:
    """(N, inputs, H, W) -> (N, outputs, 2H, 2W): the paper's transposed convolution, or
    ``bilinear`` interpolation after channels are mixed at the small size, where that is cheap.
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


def initialize(module: nn.Module, *quiet: nn.Conv2d) -> None:
    """He initialization by fan-in for convolutions, N(0, 0.01) for fully connected layers.

    ``quiet`` layers start at a tenth of that: what they add to a picture begins small.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.01)
        elif isinstance(layer, nn.ConvTranspose2d):  # (in, out, 4, 4), a quarter meets an output
            fan_in = layer.in_channels * layer.weight[0, 0].numel() // 4
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_in))
        elif isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            gain = 0.1 if layer in quiet else 1.0
            nn.init.normal_(layer.weight, 0.0, gain * math.sqrt(2.0 / layer.weight[0].numel()))
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


# -- the trunk of D_exp and D_id (figures 4 and 5) ------------------------------------------------
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
    """VGG-19 up to conv3_1, frozen (the paper). It is built without weights."""

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
        initialize(self)

    def forward(self, x: Tensor) -> TrunkFeatures:
        """``x``: (N, 3, S, S) -> features at half and at a quarter of its size."""
        half = F.relu(self.conv2_1(F.relu(self.conv1_2(F.relu(self.conv1_1(x))))))
        return TrunkFeatures(x, half, F.relu(self.conv3_1(F.relu(self.conv2_2(half)))))


# -- E_exp and E_id (figure 2) --------------------------------------------------------------------
class Encoder(nn.Module):
    """A face to a code: the shape that E_exp and E_id share.

    A 128-pixel input is halved once more, so that both sizes end in 4x4 positions.
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
        initialize(self)

    def lower_features(self, x: Tensor) -> Tensor:
        """The feature map at stride 4: (N, 3, H, W) -> (N, encoder_widths[1], H / 4, W / 4)."""
        features: Tensor = self.middle(self.stem(x))
        return features

    def features(self, x: Tensor) -> Tensor:
        """The last convolution's output, flattened: (N, 16 * encoder_features)."""
        features: Tensor = self.top(self.lower_features(x))
        return features.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: (N, 3, S, S) -> code (N, code_size) in (-1, 1)."""
        return torch.tanh(self.code(self.features(x)))


class ExpressionEncoder(Encoder):
    """E_exp: what separates a face from its own neutral, frontal face, as R_exp."""


class IdentityEncoder(Encoder):
    """E_id: what separates a neutral face from the mean face, as R_id."""


# -- D_flow (figure 3) ----------------------------------------------------------------------------

START = 4
"""Side of D_flow's first feature map, in cells; it doubles until the flow's size is reached."""


def _double() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)


class FlowDecoder(nn.Module):
    """D_flow: code (N, code_size) -> (flow, backflow), each (N, 2, F, F) in [-1, 1].

    ``flow`` takes a face to its neutral, frontal self (de-expression); ``backflow`` is its inverse
    (in the paper ``-warp(flow, flow)``), re-expression. F is ``config.flow_size``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w4, w8, w16 = config.flow_decoder_widths
        doublings = int(math.log2(config.flow_size // (2 * START)))
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
        self.inverse_steps = config.extensions.inverse_steps
        self.out = nn.Sequential(
            *(_double() for _ in range(doublings)),
            conv3(w8, w16), leaky(),
        )  # fmt: skip
        self.to_flow = nn.Conv2d(w16, 2, 1, bias=False)
        initialize(self)
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


# -- D_exp (figure 4) -----------------------------------------------------------------------------

Noise: TypeAlias = tuple[Tensor, Tensor]
"""For the half-size and the quarter-size features: (1|N, C2, S/2, S/2), (1|N, C3, S/4, S/4)."""


class NoiseEncoder(nn.Module):
    """What the warp cannot supply: noise around the feature's global average, convolved twice."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, feature: Tensor, noise: Tensor) -> Tensor:
        """``feature``: (N, C, H, W); ``noise``: (1 or N, C, H, W) -> (N, C, H, W), 0 or more."""
        x = noise + feature.mean(dim=(2, 3), keepdim=True)
        return F.relu(self.conv2(F.relu(self.conv1(x))))


class ExpressionDecoder(nn.Module):
    """D_exp. Features of a face, a flow and noise -> the face as the flow moves it.

    The noise is an argument: the same noise for every frame keeps a video from flickering. Without
    a flow the face is rebuilt without noise; a ``residual`` decoder then has nothing to draw.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _, half, quarter = config.trunk_widths
        width = config.expression_decoder_width
        d2, d1 = config.expression_decoder_upsampling_widths
        self.noise_half = NoiseEncoder(half, config.noise_kernel)
        self.noise_quarter = NoiseEncoder(quarter, config.noise_kernel)
        self.reduce = conv3(quarter, width)
        self.blocks = residual_blocks(config.expression_decoder_blocks, width)
        self.up2 = upsample2(width, d2, config.extensions.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsample2(d2 + half, d1, config.extensions.upsampling)
        self.conv1 = conv3(d1, d1)
        self.to_rgb = conv3(d1, 3)
        self.padding = config.extensions.padding
        self.residual = config.extensions.residual
        initialize(self, self.to_rgb, self.noise_half.conv2, self.noise_quarter.conv2)

    def forward(self, features: TrunkFeatures, flow: Tensor | None, noise: Noise | None) -> Tensor:
        """``flow``: (N, 2, h, w) in grid units, or None -> image (N, 3, S, S), normalized RGB."""
        image, half, quarter = features
        if self.residual and flow is None:
            return image
        if flow is not None:
            if noise is None:
                raise ValueError("a flow needs noise for what it uncovers: see FaceCycle.noise")
            filling = self.noise_half(half, noise[0]), self.noise_quarter(quarter, noise[1])
            half = warp(half, flow, padding=self.padding) + filling[0]
            quarter = warp(quarter, flow, padding=self.padding) + filling[1]
        x = self.blocks(F.relu(self.reduce(quarter)))
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        x = F.relu(self.conv1(F.relu(self.up1(torch.cat((half, x), dim=1)))))
        drawn = self.to_rgb(x)
        if self.residual and flow is not None:
            drawn = drawn + warp(image, flow, padding=self.padding)
        return drawn


# -- D_id (figure 5) ------------------------------------------------------------------------------
class IdentityDecoder(nn.Module):
    """D_id. Features of a face and an identity code -> the mean face, or the neutral face again.

    One network does both: ``mlp_de`` and ``mlp_re`` turn the same code into the AdaIN parameters
    that remove the identity or restore it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.identity_decoder_width
        d2, d1 = config.identity_decoder_upsampling_widths
        self.mlp_de = AdaptiveInstanceNorm(config.code_size, width)
        self.mlp_re = AdaptiveInstanceNorm(config.code_size, width)
        self.blocks = residual_blocks(config.identity_decoder_blocks, width)
        self.up2 = upsample2(width, d2, config.extensions.upsampling)
        self.conv2 = conv3(d2, d2)
        self.up1 = upsample2(d2, d1, config.extensions.upsampling)
        self.to_rgb = nn.Conv2d(d1, 3, 1)
        initialize(self, self.to_rgb)

    def forward(self, features: TrunkFeatures, code: Tensor, *, restore: bool) -> Tensor:
        """``code``: (N, code_size); ``restore``: MLP_re instead of MLP_de -> (N, 3, S, S)."""
        norm = self.mlp_re if restore else self.mlp_de
        return self.draw(norm(features.quarter, code))

    def draw(self, normalized: Tensor) -> Tensor:
        """Features after AdaIN, (N, C3, S/4, S/4) -> image (N, 3, S, S), normalized RGB."""
        x = self.blocks(normalized)
        x = F.relu(self.conv2(F.relu(self.up2(x))))
        return self.to_rgb(F.relu(self.up1(x)))
