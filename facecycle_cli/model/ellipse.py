"""Where the face is in an aligned crop."""

from __future__ import annotations

import torch
from torch import Tensor

_CENTER = 0.5, 0.56
_HALF_SIDES = 0.36, 0.46
_SOFT = 0.06


def pixel_centers(side: int, device: torch.device) -> Tensor:
    """Where the pixels of a row or column are, (side,), in fractions of the picture."""
    return (torch.arange(side, device=device) + 0.5) / side


def face_ellipse(
    side: int, device: torch.device, width: Tensor | float = 1.0, height: Tensor | float = 1.0
) -> Tensor:
    """A soft ellipse from the forehead to the chin: (..., side, side), 1 inside and 0 outside.

    Args:
        side: of the crop, in pixels.
        device: of the result.
        width: of an average face's, a number or a tensor (..., 1, 1).
        height: likewise.
    """
    line = pixel_centers(side, device)
    across = (line - _CENTER[0]) / (_HALF_SIDES[0] * width)
    down = (line[:, None] - _CENTER[1]) / (_HALF_SIDES[1] * height)
    return torch.sigmoid((1 - (across.square() + down.square()).sqrt()) / _SOFT)
