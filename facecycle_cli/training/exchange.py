"""The exchange between the two views of a pair: each is rebuilt from what the other one gave.

All functions take batches of 2P pictures, the first views of P pairs and then the second views.
Which pairs are exchanged depends on their numbers among the pairs of all processes, so that the
number of processes changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SPREAD = 0.05
"""Of the values of a channel in :func:`relit`: a plain picture has none to divide by."""


def swap_views(x: Tensor, share: float = 1.0, start: int = 0) -> Tensor:
    """Exchange the two views of pairs.

    Args:
        x: (2P, ...), first views and then second.
        share: of the pairs that are exchanged, spread evenly over the pairs of all processes.
        start: number of the first pair here among those.

    Returns:
        (2P, ...); a pair that is not exchanged is as before.
    """
    first, second = x.chunk(2)
    if share < 1:
        mask = spread_evenly(share, start, len(first), x.device)
        mask = mask.view(-1, *[1] * (x.dim() - 1))
        return torch.cat((torch.where(mask, second, first), torch.where(mask, first, second)))
    return torch.cat((second, first))


def spread_evenly(share: float, start: int, count: int, device: torch.device) -> Tensor:
    """Choose an even share of ``count`` things, numbered from ``start`` on: (count,) bool.

    A GPU computes it itself, because it would have to be waited for to copy it there.
    """
    where = device if device.type == "cuda" else "cpu"  # float64, which not every device has
    before = torch.arange(start, start + count, dtype=torch.float64, device=where)
    return (((before + 1) * share).floor() > (before * share).floor()).to(device)


def relit(face: Tensor, like: Tensor, importance: Tensor) -> Tensor:
    """``face`` with the colors of ``like``: mean and spread of each channel, inside the face.

    Args:
        face: (N, 3, H, W).
        like: (N, 3, H, W).
        importance: (H, W), of mean 1, the weight of every pixel.

    Returns:
        (N, 3, H, W).
    """

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (x * importance).mean(dim=(2, 3), keepdim=True)
        spread = ((x - mean).square() * importance).mean(dim=(2, 3), keepdim=True).sqrt()
        return mean, spread.clamp_min(_LEAST_SPREAD)

    mean, spread = moments(face)
    wanted_mean, wanted_spread = moments(like)
    return (face - mean) / spread * wanted_spread + wanted_mean
