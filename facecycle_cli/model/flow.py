"""Flow fields: where each output position looks in the input.

A flow is ``(N, 2, H, W)``, channel 0 horizontal and channel 1 vertical, in grid units: the picture
spans [-1, 1] from the center of its first pixel to the center of its last (``align_corners=True``),
so a flow has no resolution of its own and fits a picture of any size. ``warp(image, flow)`` samples
the image at ``identity + flow``; a zero flow changes nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(height: int, width: int, *, like: Tensor) -> Tensor:
    """The grid ``(1, 2, H, W)`` on which a zero flow samples, x in channel 0."""
    xs = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device)
    ys = torch.linspace(-1, 1, height, dtype=like.dtype, device=like.device)
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((x, y)).unsqueeze(0)


def upsample(flow: Tensor, size: tuple[int, int], *, mode: str = "bilinear") -> Tensor:
    """The same flow on a grid of ``size`` = (H, W).

    ``mode="bicubic"`` has no creases between the cells: use it far above the flow's own resolution.
    """
    if tuple(flow.shape[-2:]) == tuple(size):
        return flow
    return F.interpolate(flow, size=size, mode=mode, align_corners=True)


def warp(image: Tensor, flow: Tensor, *, padding: str = "zeros", mode: str = "bilinear") -> Tensor:
    """Sample ``image`` (N, C, H, W) at ``identity + flow``, the flow brought to the image's size.

    Bilinear ``grid_sample`` with ``align_corners=True``. ``padding`` says what lies outside of the
    image: the paper's ``zeros``, or ``border``. A batch of one, image or flow, serves all of the
    other.
    """
    height, width = image.shape[-2:]
    grid = identity_grid(height, width, like=flow) + upsample(flow, (height, width))
    if image.shape[0] != grid.shape[0]:
        number = max(image.shape[0], grid.shape[0])
        image, grid = (t.expand(number, -1, -1, -1) for t in (image, grid))
    return F.grid_sample(
        image, grid.permute(0, 2, 3, 1), mode=mode, padding_mode=padding, align_corners=True
    )


def backward_flow(flow: Tensor, steps: int = 1) -> Tensor:
    """The re-expression flow, clamped to [-1, 1]: the inverse of ``flow`` after fixed-point steps.

    One step, ``-warp(flow, flow)``, is the paper's; it is the exact inverse where the flow is
    locally constant. More steps go on as :func:`invert` does.
    """
    inverse = -warp(flow, flow)
    for _ in range(steps - 1):
        inverse = -warp(flow, inverse, padding="border")
    return inverse.clamp(-1, 1)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """One flow for two warps: ``warp(image, compose(a, b)) == warp(warp(image, a), b)``.

    Equal up to resampling, as long as nothing leaves the picture; the result has ``second``'s size.
    """
    size = (second.shape[-2], second.shape[-1])
    return second + warp(upsample(first, size), second, padding="border")


def invert(flow: Tensor, iterations: int = 12) -> Tensor:
    """The flow that undoes ``flow``, by fixed-point iteration ``b <- -warp(flow, b)``.

    Converges where the flow is a contraction (its Jacobian's norm below 1: nothing folds).
    Chen et al., "A simple fixed-point approach to invert a deformation field", Med. Phys. 2008.
    """
    inverse = -flow
    for _ in range(iterations):
        inverse = -warp(flow, inverse, padding="border")
    return inverse


def mirror(flow: Tensor) -> Tensor:
    """The flow of the mirrored picture: ``warp(flip(x), mirror(f)) == flip(warp(x, f))``."""
    flipped = flow.flip(-1)
    return torch.cat((-flipped[:, :1], flipped[:, 1:]), dim=1)


def jacobian_determinant(flow: Tensor) -> Tensor:
    """Local change of area ``(N, H-1, W-1)``: 1 where nothing moves, below 0 where it folds."""
    height, width = flow.shape[-2:]
    step_x, step_y = 2.0 / (width - 1), 2.0 / (height - 1)
    d_x = (flow[:, :, :-1, 1:] - flow[:, :, :-1, :-1]) / step_x
    d_y = (flow[:, :, 1:, :-1] - flow[:, :, :-1, :-1]) / step_y
    return (1 + d_x[:, 0]) * (1 + d_y[:, 1]) - d_x[:, 1] * d_y[:, 0]
