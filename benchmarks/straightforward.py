"""One training step of each stage, written down formula by formula, for comparison.

Every term is computed where the formula has it: D_exp computes the features of its input at each
call, the perceptual loss those of both pictures, SSIM blurs by a convolution, and every layer keeps
what a gradient would need. The losses are those of :mod:`facecycle_cli.training`; the benchmark
checks that they have the same values.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import warp
from facecycle_cli.model.networks import Noise
from facecycle_cli.training.perceptual import PerceptualLoss


def _swap(x: Tensor) -> Tensor:
    first, second = x.chunk(2)
    return torch.cat((second, first))


def _gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[-1]


def _vgg19(perceptual: PerceptualLoss, x: Tensor) -> list[Tensor]:
    """The Gram matrices of relu2_1, relu3_1 and relu4_1."""
    found = []
    for layer in (0, 2, "pool", 5, 7, "pool", 10, 12, 14, 16, "pool", 19):
        if layer == "pool":
            x = F.max_pool2d(x, 2)
            continue
        x = F.relu(perceptual.network.convs[str(layer)](x))
        if layer in (5, 10, 19):
            found.append(_gram(x))
    return found


def _style(perceptual: PerceptualLoss, image: Tensor, x: Tensor) -> Tensor:
    pairs = zip(_vgg19(perceptual, image), _vgg19(perceptual, x), strict=True)
    return torch.stack([F.mse_loss(ours, theirs) for ours, theirs in pairs]).sum()


def _window(like: Tensor) -> Tensor:
    line = torch.exp(-((torch.arange(11.0) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(line, line) / line.sum() ** 2
    return window.expand(3, 1, 11, 11).to(like).contiguous()


def _dissimilarity(image: Tensor, x: Tensor) -> Tensor:
    window = _window(x)

    def blur(picture: Tensor) -> Tensor:
        return F.conv2d(picture, window, padding=5, groups=3)

    a, b = blur(image), blur(x)
    variance_a = blur(image * image) - a * a
    variance_b = blur(x * x) - b * b
    covariance = blur(image * x) - a * b
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * a * b + c1) * (2 * covariance + c2)) / (
        (a * a + b * b + c1) * (variance_a + variance_b + c2)
    )
    return 1 - similarity.mean()


def _asymmetry(image: Tensor) -> Tensor:
    half = image.shape[-1] // 2
    return F.l1_loss(image[..., :half], image[..., half:].flip(-1))


def expression_loss(
    model: FaceCycle, perceptual: PerceptualLoss, x: Tensor, noise: Noise, noise_back: Noise
) -> Tensor:
    """The facial-motion cycle on ``x``: (2P, 3, S, S), first views and then second views."""
    flow, backflow = model.decode_flow(model.encode_expression(x))
    neutral = model.de_express(x, flow, noise)
    rebuilt = model.re_express(_swap(neutral), backflow, noise_back)
    same = model.rebuild(x)
    warped = warp(x, flow)
    neutral_warped = warp(_swap(neutral), backflow)
    double_warped = warp(_swap(warped), backflow)
    pixel = (
        F.l1_loss(rebuilt, x)
        + F.l1_loss(same, x)
        + F.l1_loss(neutral_warped, x)
        + 1.5 * F.l1_loss(double_warped, x)
    )
    style = (
        _style(perceptual, neutral, x)
        + _style(perceptual, neutral_warped, x)
        + _style(perceptual, double_warped, x)
        + _style(perceptual, rebuilt, x)
    ) / 4
    structure = (
        _dissimilarity(rebuilt, x)
        + _dissimilarity(same, x)
        + 1.5 * _dissimilarity(double_warped, x)
    )
    symmetry = _asymmetry(neutral) + 0.5 * _asymmetry(warped)
    return pixel + 0.01 * style + 5 * structure + 1.5 * symmetry


def identity_loss(
    model: FaceCycle, perceptual: PerceptualLoss, x: Tensor, noise: Noise, noise_back: Noise
) -> Tensor:
    """The identity cycle on ``x``: (N, 3, S, S); the expression networks do not learn."""
    flow, backflow = model.decode_flow(model.encode_expression(x))
    neutral = model.de_express(x, flow, noise)
    code = model.encode_identity(x)
    mean = model.de_identify(neutral, code).mean(0, keepdim=True).expand_as(x)
    restored = model.re_identify(mean, code)
    rebuilt = model.re_express(restored, backflow, noise_back)
    warped = warp(restored, backflow)
    pixel = F.l1_loss(rebuilt, x) + 0.8 * F.l1_loss(warped, x) + F.l1_loss(restored, neutral)
    style = (_style(perceptual, warped, x) + _style(perceptual, rebuilt, x)) / 2
    structure = _dissimilarity(rebuilt, x) + 0.8 * _dissimilarity(warped, x)
    margin = F.relu((mean - neutral).abs() - 0.1).mean()
    return pixel + 0.01 * style + 5 * structure + 1.5 * _asymmetry(restored) + margin
