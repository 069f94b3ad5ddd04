"""From a low-resolution motion to a full-resolution picture.

The networks see 64x64 (or 128x128) pixels, but what they predict are flows, and a flow has no
resolution: it warps the photograph's own pixels, skin and hair and all. What warping cannot do,
such as opening a closed mouth or showing the far cheek, the generator draws at its own resolution,
and only the difference is added.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model.flow import jacobian_determinant, upsample, warp

CALM, TORN = 0.25, 0.75
"""Logarithmic change of area below which the warp is trusted, and above which the generator is."""


def resize(image: Tensor, side: int) -> Tensor:
    """Square images (N, C, S, S) to another side: antialiased down, bicubic up."""
    if image.shape[-1] == side:
        return image
    mode = "bilinear" if side < image.shape[-1] else "bicubic"
    return F.interpolate(
        image, (side, side), mode=mode, antialias=mode == "bilinear", align_corners=False
    )


def distortion(flow: Tensor, side: int) -> Tensor:
    """Where a warp cannot be trusted: (N, 1, side, side), 0 where it is calm and 1 where it tears.

    Measured by how much the flow stretches or squeezes the picture locally.
    """
    area = jacobian_determinant(upsample(flow, (side, side), mode="bicubic")).clamp_min(0.05)
    area = F.pad(area.unsqueeze(1), (0, 1, 0, 1), mode="replicate")
    return ((area.log().abs() - CALM) / (TORN - CALM)).clamp(0, 1)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, C, H, W), borders replicated."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = window / window.sum()
    channels = image.shape[1]
    x = F.pad(image, (radius,) * 4, mode="replicate")
    x = F.conv2d(x, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def render(photo: Tensor, flow: Tensor, generated: Tensor) -> Tensor:
    """The moved face at the photograph's resolution.

    Args:
        photo: (N, 3, H, H), any scale of values, H at least the model's size.
        flow: (N, 2, h, w), from the output to the photograph, in grid units.
        generated: (N, 3, S, S), what the generator draws for the same motion.

    Returns:
        (N, 3, H, H): ``warp(photo)`` plus what the generator knows better. Its large-scale
        difference (light, colour, shape) is added everywhere; its fine structure, which is softer
        than the photograph's, only where the flow distorts.
    """
    side = photo.shape[-1]
    smooth = upsample(flow, (side, side), mode="bicubic")
    warped = warp(photo, smooth, padding="border")
    low = generated.shape[-1]
    difference = generated - resize(warped, low)
    broad = blur(difference, sigma=low / 32)
    torn = blur(distortion(flow, low), sigma=low / 64)
    return warped + resize(broad + torn * (difference - broad), side)
