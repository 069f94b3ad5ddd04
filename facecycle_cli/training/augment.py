"""Augmentation of whole batches on the device that trains: one warp and one colour matrix each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation; the defaults are the paper's.

    Geometry is drawn for every picture, colour once for both pictures of a pair: one view is
    rebuilt from the other, so their colours have to agree.

    Attributes:
        scale: scale and aspect ratio are drawn from 1 - scale to 1 + scale.
        rotation: degrees to either side.
        shift: fraction of the side, in both directions.
        colour: brightness, contrast and saturation vary by this fraction.
        hue: hue varies by this fraction of a turn.
        colour_probability: how often colours vary at all.
        grey: how often a pair becomes grey.
    """

    scale: float = 0.05
    rotation: float = 0.0
    shift: float = 0.0
    colour: float = 0.05
    hue: float = 0.01
    colour_probability: float = 0.8
    grey: float = 0.0


_LUMA = (0.299, 0.587, 0.114)


def augment_pairs(
    first: Tensor, second: Tensor, size: int, settings: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """uint8 RGB (N, C, C, 3), twice -> float RGB in [0, 1], (N, 3, size, size), twice.

    Args:
        first: one view of each pair; any square size.
        second: the other view.
        size: side of the output.
        settings: what may vary.
        generator: the only source of randomness (on the CPU).
    """
    n = len(first)
    matrix, offset = _colour(n, settings, generator)
    both = torch.cat((first, second)).permute(0, 3, 1, 2).float() / 255
    theta = _geometry(2 * n, settings, generator).to(both.device)
    grid = F.affine_grid(theta, [2 * n, 3, size, size], align_corners=False)
    both = F.grid_sample(
        both, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    matrix = matrix.repeat(2, 1, 1).to(both.device)
    offset = offset.repeat(2, 1).to(both.device)
    both = torch.baddbmm(offset.unsqueeze(-1), matrix, both.flatten(2)).view_as(both)
    return tuple(both.clamp(0, 1).chunk(2))  # type: ignore[return-value]


def _uniform(n: int, spread: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * spread


def _geometry(n: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Affine matrices (n, 2, 3) from output to input, in ``affine_grid``'s units."""
    angle = _uniform(n, math.radians(settings.rotation), generator)
    scale = 1 + _uniform(n, settings.scale, generator)
    ratio = (1 + _uniform(n, settings.scale, generator)).sqrt()
    shift = _uniform(2 * n, 2 * settings.shift, generator).view(n, 2)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = torch.stack((cos * ratio, -sin / ratio, shift[:, 0], sin * ratio, cos / ratio, shift[:, 1]))
    return rows.T.reshape(n, 2, 3)


def _colour(n: int, settings: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Matrices (n, 3, 3) and offsets (n, 3): brightness, contrast, saturation, hue and grey."""
    active = (torch.rand(n, generator=generator) < settings.colour_probability).float()
    brightness, contrast, saturation = (
        1 + active * _uniform(n, settings.colour, generator) for _ in range(3)
    )
    hue = active * _uniform(n, 2 * math.pi * settings.hue, generator)
    grey = torch.rand(n, generator=generator) < settings.grey
    saturation = torch.where(grey, torch.zeros(()), saturation)

    luma = torch.tensor(_LUMA).expand(3, 3)
    eye = torch.eye(3)
    mix = saturation.view(n, 1, 1)
    saturate = mix * eye + (1 - mix) * luma
    rotate = _hue_rotation(hue)
    gain = (brightness * contrast).view(n, 1, 1)
    # Contrast turns around mid-grey, so that one matrix and one offset do for all of it.
    offset = (0.5 * (1 - contrast)).view(n, 1).expand(n, 3)
    return gain * (saturate @ rotate), offset


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotation of RGB space around the grey axis, (n, 3, 3) (Rodrigues' formula)."""
    axis = 1 / math.sqrt(3)
    cross = axis * torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    sin, cos = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    return cos * torch.eye(3) + sin * cross + (1 - cos) * torch.full((3, 3), 1 / 3)
