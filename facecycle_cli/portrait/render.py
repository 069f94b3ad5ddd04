"""From a low-resolution motion to a full-resolution picture.

The networks see 64x64 (or 128x128) pixels, but what they predict are flows, and a flow has no
resolution: it warps the photograph's own pixels, skin and hair and all. What warping cannot do,
such as opening a closed mouth, the generator draws at its own resolution, and only the difference
is added; the far cheek of a face that was turned to the front is the near one's mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model.flow import identity_grid, jacobian_determinant, upsample
from facecycle_cli.portrait.mouth import Mouth
from facecycle_cli.portrait.ramp import ramp

CALM, TORN = 0.25, 0.75
"""Logarithmic change of area below which the warp is trusted, and above which the generator is."""

SHUT, OPEN = 0.11, 0.18
"""Half widths of a mouth between its lips, as landmarks see a closed one, and one that is open."""

WELL_SHUT = 1.6
"""How much further than that the lips of an open mouth go: at the corners it is wider than an
ellipse."""

NARROW = 0.9, 1.4
"""Logarithmic difference of area between a place and its mirror image from which, and up to which,
the mirror image is taken in."""

TURNED = 0.45, 0.75
"""The same, averaged over one half of the face, for all of that half: 15 and 25 degrees of yaw."""

EYES, EYES_TURNED = (0.27, -0.16), (0.6, 0.85)
"""Where the eyes are (on either side, in grid units), and up to where they are kept: a mirrored eye
looks the other way, and the far eye is seen longer than its cheek (to 25 degrees or so)."""

MIDDLE = 0.12
"""Half width of the seam between the halves, in grid units."""


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
    area = change_of_area(flow, side).clamp_min(0.05)
    return ((area.log().abs() - CALM) / (TORN - CALM)).clamp(0, 1)


def change_of_area(flow: Tensor, side: int) -> Tensor:
    """How much more of the picture each place looks at than it covers, (N, 1, side, side)."""
    area = jacobian_determinant(upsample(flow, (side, side), mode="bicubic"))
    return F.pad(area.unsqueeze(1), (0, 1, 0, 1), mode="replicate")


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


def look_up(flow: Tensor, side: int, margin: int) -> Tensor:
    """Where each pixel of the output takes its color from.

    Args:
        flow: (N, 2, h, w), in grid units of the middle of a picture.
        side: of that middle, in pixels.
        margin: pixels around it.

    Returns:
        (N, 2, side, side), in grid units of the whole picture.
    """
    smooth = upsample(flow, (side, side), mode="bicubic")
    grid = identity_grid(side, side, like=flow) + smooth
    return grid * ((side - 1) / (side + 2 * margin - 1))


def sample(photo: Tensor, places: Tensor) -> Tensor:
    """The colors of (N, C, H, H) at (N, 2, h, w) in grid units; its border is repeated."""
    return F.grid_sample(
        photo, places.permute(0, 2, 3, 1), padding_mode="border", align_corners=True
    )


def closed(places: Tensor, flow: Tensor, mouths: Sequence[Mouth], margin: int) -> Tensor:
    """Places as :func:`look_up` gives them, with the mouths shut as far as the flow has not.

    A flow is smooth and cannot hide teeth behind lips. The mouths are those of the wide pictures.
    """
    side, cells = places.shape[-1], flow.shape[-1]
    half = (side + 2 * margin - 1) / 2
    part = np.array([[cells / side, 0, 0], [0, cells / side, 0]])
    part[:, 2] = (0.5 - margin) * cells / side - 0.5
    pixels = (places.cpu().numpy() * half + half).astype(np.float32)
    shift = np.zeros_like(pixels)
    coarse = flow.cpu().numpy().transpose(0, 2, 3, 1) * ((side - 1) / 2)
    for (xs, ys), (dx, dy), displacement, mouth in zip(pixels, shift, coarse, mouths, strict=True):
        open_enough = np.clip((mouth.opening - SHUT) / (OPEN - SHUT), 0, 1)
        wanted = -WELL_SHUT * mouth.opening * float(open_enough)
        x0, y0, x1, y1 = mouth.reach()
        near = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
        if not wanted or not near.any():
            continue
        missing = mouth.missing(wanted, np.ascontiguousarray(displacement, np.float32), part)
        rows, columns = (np.flatnonzero(near.any(axis=axis)) for axis in (1, 0))
        around = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        new_xs, new_ys, _ = mouth.open(xs[around], ys[around], wanted, missing)
        dx[around], dy[around] = new_xs - xs[around], new_ys - ys[around]
    return places + torch.from_numpy(shift).to(places) / half


def hidden(flow: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """What of a face turned to the front was not to be seen, two of (N, 1, side, side), 0 to 1.

    Where the far half was, the flow looks at fewer pixels than on the near half: there the mirror
    image knows better. From some 15 degrees of yaw on the whole half is counted in, with the hair,
    which the local measure does not see.

    Returns:
        where the mirror image is to be taken, and where only its colors are: around the far eye,
        while it is seen.
    """
    area = blur(change_of_area(flow, side).clamp(0.05, 2), sigma=side / 43)
    narrowed = (area.flip(-1) / area).log()
    grid = identity_grid(side, side, like=flow)
    x, y = grid[:, :1], grid[:, 1:]
    left = ((x / 0.72).square() + ((y - 0.12) / 0.9).square() < 1) & (x < 0)  # half of the face
    turn = (narrowed * left).sum(dim=(2, 3), keepdim=True) / left.sum()
    local = ramp(narrowed, *NARROW)
    half = ramp(-x * turn.sign(), -MIDDLE, MIDDLE)
    taken = torch.maximum(local, ramp(turn.abs(), *TURNED) * half)
    eyes = ((x.abs() - EYES[0]) / 0.24).square() + ((y - EYES[1]) / 0.16).square()
    kept = ramp(-eyes, -1, -0.3) * (1 - ramp(turn.abs(), *EYES_TURNED))
    return blur(taken * (1 - kept), sigma=side / 64), taken * kept


def complete(face: Tensor, flow: Tensor, low: int) -> Tensor:
    """A frontal face (N, 3, H, H) whose hidden half is the mirror image of the other.

    Soft symmetry: Hassner et al., "Effective face frontalization in unconstrained images", CVPR
    2015, who leave the eyes alone as well. ``flow`` made it frontal; ``low`` is the side at which
    what is hidden is found.
    """
    side = face.shape[-1]
    mirrored, colored = hidden(flow, low)
    colors = blur(resize(face.flip(-1) - face, low), sigma=low / 12)
    halves = torch.lerp(face, face.flip(-1), resize(mirrored, side).clamp(0, 1))
    return halves + resize(colored * colors, side)


def render(
    photo: Tensor,
    flow: Tensor,
    generated: Tensor,
    *,
    margin: int = 0,
    symmetric: bool = False,
    shut: Sequence[Mouth] = (),
) -> Tensor:
    """The moved face at the photograph's resolution.

    Args:
        photo: (N, 3, H + 2 * margin, H + 2 * margin), any scale of values, H at least the model's
            size.
        flow: (N, 2, h, w), from the output to the photograph's middle, in grid units of that.
        generated: (N, 3, S, S), what the generator draws for the same motion.
        margin: how far the photograph reaches beyond the face's crop, in pixels.
        symmetric: the result faces the camera: see :func:`complete`.
        shut: N mouths, in the pixels of ``photo``, that are to be closed: see :func:`closed`.

    Returns:
        (N, 3, H, H): the warped photograph plus what the generator knows better. Its large-scale
        difference (light, color, shape) is added everywhere; its fine structure, which is softer
        than the photograph's, only where the flow distorts.
    """
    side = photo.shape[-1] - 2 * margin
    low = generated.shape[-1]
    places = look_up(flow, side, margin)
    # The generator saw the crop alone: it is compared with what can be made of that.
    inside = (side - 1) / (photo.shape[-1] - 1)
    seen = sample(photo, places.clamp(-inside, inside))
    difference = generated - resize(seen, low)
    broad = blur(difference, sigma=low / 32)
    torn = blur(distortion(flow, low), sigma=low / 64)
    if shut:
        places = closed(places, flow, shut, margin)
    warped = sample(photo, places) if margin or shut else seen
    result = warped + resize(broad + torn * (difference - broad), side)
    return complete(result, flow, low) if symmetric else result
