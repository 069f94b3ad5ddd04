"""From a low-resolution motion to a full-resolution picture.

The networks work at 64x64 (or 128x128) pixels, but they predict flows, and a flow has no
resolution: it warps the photograph's own pixels, skin and hair included. What warping cannot do,
such as opening a closed mouth, the networks draw at their own resolution, and only the difference
is added. The occluded cheek of a face that was turned to the front is the mirror image of the
visible one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model.flow import identity_grid, jacobian_determinant, upsample
from facecycle_cli.portrait.features import Mouth, smoothstep
from facecycle_cli.portrait.slits import Opening, Slit, draw_openings

__all__ = [
    "blur",
    "close_mouths",
    "distortion",
    "fill_occlusion",
    "move_edges",
    "occlusion",
    "render",
    "resize",
]

Openings: TypeAlias = Sequence[tuple[Slit, Opening]]
"""Lips and lids of a face, as they are drawn."""

_Layer: TypeAlias = tuple[tuple[slice, slice], Tensor, Tensor]

_CALM, _TORN = 0.25, 0.75
"""Logarithmic change of area below which the warp is trusted, and above which the networks' drawing
is."""

_LIPS_CLOSED, _LIPS_OPEN = 0.11, 0.18
"""Gap between the lips' landmarks of a closed and of an open mouth, in half widths of the mouth."""

_CLOSE_MORE = 1.6
"""How much further than that gap the lips of an open mouth move: at the corners the opening is
wider than an ellipse."""

_NARROWED = 0.9, 1.4
"""Logarithmic ratio of area between a point and its mirror image from which, and up to which, the
mirror image is blended in."""

_HALF_NARROWED = 0.45, 0.75
"""The same, averaged over one half of the face, for all of that half: 15 and 25 degrees of yaw."""

_EYES, _EYES_KEPT = (0.27, -0.16), (0.6, 0.85)
"""Where the eyes are (to either side, in grid units), and up to which ratio they are kept: a
mirrored eye looks the other way, and the far eye stays visible longer than its cheek (to about 25
degrees)."""

_SEAM = 0.12
"""Half width of the seam between the halves, in grid units."""


def resize(image: Tensor, side: int) -> Tensor:
    """Square images (N, C, S, S) at another side: antialiased down, bicubic up."""
    if image.shape[-1] == side:
        return image
    mode = "bilinear" if side < image.shape[-1] else "bicubic"
    return F.interpolate(
        image, (side, side), mode=mode, antialias=mode == "bilinear", align_corners=False
    )


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (N, C, H, W), borders replicated; ``sigma`` in pixels."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * sigma**2))
    window = window / window.sum()
    channels = image.shape[1]
    x = F.pad(image, (radius,) * 4, mode="replicate")
    x = F.conv2d(x, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def distortion(flow: Tensor, side: int) -> Tensor:
    """Where a warp cannot be trusted: (N, 1, side, side), from 0 (calm) to 1 (torn).

    Measured by how much the flow stretches or squeezes the picture locally.
    """
    area = _area_change(flow, side).clamp_min(0.05)
    return ((area.log().abs() - _CALM) / (_TORN - _CALM)).clamp(0, 1)


def _area_change(flow: Tensor, side: int) -> Tensor:
    """Area of the input over area of the output at each pixel, (N, 1, side, side)."""
    area = jacobian_determinant(upsample(flow, (side, side), mode="bicubic"))
    return F.pad(area.unsqueeze(1), (0, 1, 0, 1), mode="replicate")


def _sampling_grid(flow: Tensor, side: int, margin: int) -> Tensor:
    """Where in the photograph each pixel of the output takes its color.

    Args:
        flow: (N, 2, h, w), in grid units of the photograph's middle.
        side: of that middle, in pixels.
        margin: pixels around it.

    Returns:
        (N, 2, side, side), in grid units of the whole photograph.
    """
    smooth = upsample(flow, (side, side), mode="bicubic")
    grid = identity_grid(side, side, like=flow) + smooth
    return grid * ((side - 1) / (side + 2 * margin - 1))


def _sample(photo: Tensor, grid: Tensor) -> Tensor:
    """The colors of (N, C, H, H) at (N, 2, h, w) in grid units; its border is repeated."""
    return F.grid_sample(photo, grid.permute(0, 2, 3, 1), padding_mode="border", align_corners=True)


def close_mouths(
    grid: Tensor, flow: Tensor, mouths: Sequence[Mouth], margin: int, change: float = 1.0
) -> Tensor:
    """A sampling grid that also closes mouths, as far as its flow has not.

    A flow is smooth and cannot move lips over teeth.

    Args:
        grid: (N, 2, side, side), in grid units of the whole photograph.
        flow: (N, 2, h, w) that it was made from, in grid units of the photograph's middle.
        mouths: N, in pixels of the photograph.
        margin: pixels around its middle.
        change: how far they are closed, 0..1.

    Returns:
        (N, 2, side, side), in grid units of the whole photograph.
    """
    side, cells = grid.shape[-1], flow.shape[-1]
    half = (side + 2 * margin - 1) / 2
    to_cells = np.array([[cells / side, 0, 0], [0, cells / side, 0]])
    to_cells[:, 2] = (0.5 - margin) * cells / side - 0.5
    pixels = (grid.cpu().numpy() * half + half).astype(np.float32)
    shift = np.zeros_like(pixels)
    coarse = flow.cpu().numpy().transpose(0, 2, 3, 1) * ((side - 1) / 2)
    for (xs, ys), (dx, dy), displacement, mouth in zip(pixels, shift, coarse, mouths, strict=True):
        share = np.clip((mouth.opening - _LIPS_CLOSED) / (_LIPS_OPEN - _LIPS_CLOSED), 0, 1)
        wanted = -_CLOSE_MORE * mouth.opening * float(share) * change
        x0, y0, x1, y1 = mouth.reach()
        near = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
        if not wanted or not near.any():
            continue
        missing = mouth.missing(wanted, np.ascontiguousarray(displacement, np.float32), to_cells)
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        around = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        new_xs, new_ys, _ = mouth.open(xs[around], ys[around], wanted, missing)
        dx[around], dy[around] = new_xs - xs[around], new_ys - ys[around]
    return grid + torch.from_numpy(shift).to(grid) / half


def move_edges(
    grid: Tensor, photo: Tensor, openings: Sequence[Openings], margin: int
) -> tuple[Tensor, list[list[_Layer]]]:
    """A sampling grid that also moves lips and lids, and what it shows between them.

    Args:
        grid: (N, 2, side, side), in grid units of the whole photograph.
        photo: (N, 3, side + 2 * margin, side + 2 * margin).
        openings: of N faces, in pixels of the photograph.
        margin: pixels around its middle.

    Returns:
        The grid, and for each face rows and columns, shares (h, w) and colors (h, w, 3).
    """
    half = (photo.shape[-1] - 1) / 2
    pixels = (grid.cpu().numpy() * half + half).astype(np.float32)
    pictures = photo.permute(0, 2, 3, 1).cpu().numpy().astype(np.float32)
    layers: list[list[_Layer]] = []
    for (xs, ys), picture, each in zip(pixels, pictures, openings, strict=True):
        drawn = draw_openings(each, xs, ys, np.ascontiguousarray(picture), (margin, margin))
        layers.append(
            [
                (part, torch.from_numpy(share).to(grid), torch.from_numpy(color).to(grid))
                for part, share, color in drawn
            ]
        )
    return torch.from_numpy(pixels).to(grid) / half - 1, layers


def occlusion(flow: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """What the photograph did not show of a face that ``flow`` turned to the front.

    The flow reads fewer pixels on the far half than on the near half, and there the mirror image is
    better. From about 15 degrees of yaw the whole half counts, with the hair, where the local
    measure says nothing.

    Returns:
        Two of (N, 1, side, side), 0 to 1: where the mirror image is taken, and where only its
        colors are (around the far eye, while that is visible).
    """
    area = blur(_area_change(flow, side).clamp(0.05, 2), sigma=side / 43)
    narrowed = (area.flip(-1) / area).log()
    grid = identity_grid(side, side, like=flow)
    x, y = grid[:, :1], grid[:, 1:]
    left = ((x / 0.72).square() + ((y - 0.12) / 0.9).square() < 1) & (x < 0)  # half of the face
    turn = (narrowed * left).sum(dim=(2, 3), keepdim=True) / left.sum()
    local = smoothstep(narrowed, *_NARROWED)
    half = smoothstep(-x * turn.sign(), -_SEAM, _SEAM)
    taken = torch.maximum(local, smoothstep(turn.abs(), *_HALF_NARROWED) * half)
    eyes = ((x.abs() - _EYES[0]) / 0.24).square() + ((y - _EYES[1]) / 0.16).square()
    kept = smoothstep(-eyes, -1, -0.3) * (1 - smoothstep(turn.abs(), *_EYES_KEPT))
    return blur(taken * (1 - kept), sigma=side / 64), taken * kept


def fill_occlusion(face: Tensor, flow: Tensor, low: int) -> Tensor:
    """A frontal face whose occluded half is the mirror image of the visible one.

    Soft symmetry: Hassner et al., "Effective face frontalization in unconstrained images", CVPR
    2015, who leave the eyes unchanged as well.

    Args:
        face: (N, 3, H, H), frontal.
        flow: (N, 2, h, w) that made it frontal, in grid units.
        low: side in pixels at which the occlusion is computed.
    """
    side = face.shape[-1]
    mirrored, colored = occlusion(flow, low)
    colors = blur(resize(face.flip(-1) - face, low), sigma=low / 12)
    halves = torch.lerp(face, face.flip(-1), resize(mirrored, side).clamp(0, 1))
    return halves + resize(colored * colors, side)


def render(
    photo: Tensor,
    flow: Tensor,
    generated: Tensor,
    *,
    margin: int = 0,
    frontal: bool = False,
    close: Sequence[Mouth] = (),
    openings: Sequence[Openings] = (),
    change: float = 1.0,
) -> Tensor:
    """The moved face at the photograph's resolution.

    Args:
        photo: (N, 3, H + 2 * margin, H + 2 * margin), any scale of values, H at least the model's
            size.
        flow: (N, 2, h, w), from the output to the photograph's middle, in grid units of that.
        generated: (N, 3, S, S), what the networks draw for the same motion.
        margin: how far the photograph reaches beyond the face's crop, in pixels.
        frontal: the result faces the camera: see :func:`fill_occlusion`.
        close: N mouths in pixels of ``photo``, or none: see :func:`close_mouths`.
        openings: lips and lids of N faces in pixels of ``photo``, or none: see :func:`move_edges`.
        change: how much of the networks' corrections, and of closing a mouth, counts, 0..1.

    Returns:
        (N, 3, H, H): the warped photograph plus the networks' corrections. Their large-scale
        difference (light, color, shape) is added everywhere. Their fine structure, which is softer
        than the photograph's, is added only where the flow distorts.
    """
    side = photo.shape[-1] - 2 * margin
    low = generated.shape[-1]
    grid = _sampling_grid(flow, side, margin)
    # The networks were given the crop alone: compare with what can be made of that.
    inside = (side - 1) / (photo.shape[-1] - 1)
    seen = _sample(photo, grid.clamp(-inside, inside))
    difference = generated - resize(seen, low)
    broad = blur(difference, sigma=low / 32)
    torn = blur(distortion(flow, low), sigma=low / 64)
    if close:
        grid = close_mouths(grid, flow, close, margin, change)
    layers: list[list[_Layer]] = []
    if openings:
        grid, layers = move_edges(grid, photo, openings, margin)
    warped = _sample(photo, grid) if margin or close or openings else seen
    for face, drawn in zip(warped, layers or [[]] * len(warped), strict=True):
        for (rows, columns), share, color in drawn:
            below = face[:, rows, columns]
            face[:, rows, columns] = torch.lerp(below, color.permute(2, 0, 1), share)
    corrections = broad + torn * (difference - broad)
    if change != 1:
        corrections = change * corrections
    result = warped + resize(corrections, side)
    return fill_occlusion(result, flow, low) if frontal else result
