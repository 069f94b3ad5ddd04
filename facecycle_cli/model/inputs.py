"""What goes into the networks: aligned crops as tensors, and where the face is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.types import RGBImage

Crops: TypeAlias = "RGBImage | Tensor | Sequence[RGBImage]"
"""Aligned faces, uint8 RGB: one (S, S, 3), or several (N, S, S, 3)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1], as torchvision normalizes its ImageNet networks' input."""

_CENTER = 0.5, 0.56
"""Of an average face in its crop, across and down, as fractions of the side."""
_RADII = 0.36, 0.46
"""Of the ellipse around it, from ear to ear and from forehead to chin, likewise."""
_SOFTNESS = 0.06
"""Width of the ellipse's edge as a fraction of its radius."""


def stack_crops(crops: Crops, side: int) -> Tensor:
    """One or more crops as one batch.

    Args:
        crops: uint8 RGB, (S, S, 3) or (N, S, S, 3).
        side: S in pixels.

    Returns:
        (N, 3, S, S) uint8, where the crops were; it may share their memory.

    Raises:
        ValueError: not uint8, or of another size.
    """
    array = crops if isinstance(crops, Tensor) else np.asarray(crops)
    dtype = str(array.dtype).removeprefix("torch.")
    if dtype != "uint8" or tuple(array.shape[-3:]) != (side, side, 3) or array.ndim > 4:
        raise ValueError(
            f"faces must be uint8 (N, {side}, {side}, 3), not {dtype} {tuple(array.shape)}"
        )
    if isinstance(array, np.ndarray):  # torch takes no read-only array: Pillow makes such
        array = torch.from_numpy(np.require(array, requirements=("C", "W")))
    if array.ndim == 3:
        array = array.unsqueeze(0)
    return array.permute(0, 3, 1, 2)


def pixel_centers(side: int, device: torch.device) -> Tensor:
    """Where the pixels of a row or column are, (side,), as fractions of the side, in (0, 1)."""
    return (torch.arange(side, device=device) + 0.5) / side


def face_ellipse(
    side: int, device: torch.device, width: Tensor | float = 1.0, height: Tensor | float = 1.0
) -> Tensor:
    """A soft mask of the face in a crop: an ellipse from the forehead to the chin.

    Args:
        side: of the crop, in pixels.
        device: of the result.
        width: of the face, in widths of an average one: a number or a tensor (..., 1, 1).
        height: likewise.

    Returns:
        (..., side, side) in [0, 1]: 1 inside, 0 outside.
    """
    line = pixel_centers(side, device)
    across = (line - _CENTER[0]) / (_RADII[0] * width)
    down = (line[:, None] - _CENTER[1]) / (_RADII[1] * height)
    return torch.sigmoid((1 - (across.square() + down.square()).sqrt()) / _SOFTNESS)
