"""Augmentation of whole batches on the device that trains: one warp and one color matrix a picture.

Random numbers are drawn for the pairs of all processes, and each process keeps those of its own
pairs. That is why the number of processes changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.errors import SettingsError
from facecycle_cli.model.inputs import face_ellipse, pixel_centers
from facecycle_cli.training.precision import exact
from facecycle_cli.training.transfer import upload


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation; the defaults are the paper's.

    Attributes:
        scale: scale and aspect ratio are drawn from 1 - scale to 1 + scale.
        rotation: degrees to either side.
        shift: fraction of the side, in both directions.
        color: brightness, contrast and saturation vary by this fraction.
        hue: hue varies by this fraction of a turn.
        color_probability: how often colors vary at all.
        gray: how often pictures become gray.
        coarse: how often pictures lose detail, down to 0.4 of their resolution.
        light: one side of a picture becomes brighter and the opposite one darker, by up to this
            fraction.
        cover: how often a rectangle of up to a sixth of a picture is covered.
        tone: the curve from dark to bright bends by up to this much: values in [0, 1] are raised to
            a power between e^-tone and e^tone.
        tint: red, green and blue become brighter or darker, each by up to this fraction.
        surroundings: how often plain colors replace what lies around the face: hair, clothes and
            background do not identify a person.
        flip: how often pictures are mirrored.
        coupled: whether both views of a pair get the same colors and are mirrored together. One
            view is rebuilt from the other, which cannot know other colors (the paper draws them
            independently). The views of a mirrored pair then differ in their geometry.
        independent: whether both views of a pair are drawn independently even if the pair is a
            picture and its mirror image, as contrast between persons needs it.
    """

    scale: float = 0.05
    rotation: float = 0.0
    shift: float = 0.0
    color: float = 0.05
    hue: float = 0.01
    color_probability: float = 0.8
    gray: float = 0.0
    coarse: float = 0.0
    light: float = 0.0
    cover: float = 0.0
    tone: float = 0.0
    tint: float = 0.0
    surroundings: float = 0.0
    flip: float = 0.5
    coupled: bool = False
    independent: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            highest = 180.0 if name == "rotation" else 1.0
            if not 0 <= value <= highest:
                raise SettingsError(f"{name} must be from 0 to {highest:g}, not {value}")
        if self.coupled and self.independent:
            raise SettingsError("views cannot be both coupled and independent")
        if self.scale >= 1:
            raise SettingsError(f"scale must be below 1, not {self.scale}")


_COARSE = 0.4, 0.8
"""Least and largest resolution that a picture without detail keeps, as a fraction."""

_COVERED = 0.12, 0.4
"""Least and largest side of a covering rectangle, as a fraction of the picture's."""

_DARKEST = 1e-3
"""Values are raised to it before they are raised to a power: contrast makes negative ones."""

_FACE_SPREAD = 0.15
"""By how much the ellipse around a face may be larger or smaller than the average, each way."""


@dataclass(frozen=True)
class Draw:
    """The random numbers of an augmentation: what happens to both views of P pairs.

    Attributes:
        theta: (2, P, 2, 3) affine matrices from output to input, in ``affine_grid``'s units.
        matrix: (2, P, 3, 3) of RGB in [0, 1].
        offset: (2, P, 3), added after it.
        light: (2, P, 2), how much brighter the picture becomes from its middle to the right, and
            to the bottom.
        cover: (2, P, 5), center and half sides of a rectangle in fractions of a picture, and the
            gray that covers it; half sides of 0 cover nothing.
        tone: (2, P) exponents.
        tint: (2, P, 3) factors of red, green and blue.
        surroundings: (2, P, 9): 1 where they are replaced, else 0; width and height of the ellipse
            that is kept, as multiples of an average face's; the colors at the top and the bottom.
        coarse: (2, P) bool, pictures that lose detail.
        detail: the resolution that these keep, as a fraction.
    """

    theta: Tensor
    matrix: Tensor
    offset: Tensor
    light: Tensor
    cover: Tensor
    tone: Tensor
    tint: Tensor
    surroundings: Tensor
    coarse: Tensor
    detail: float = 1.0


def draw(
    mirrored: Tensor,
    settings: Augmentation,
    generator: torch.Generator,
    *,
    pairs: int | None = None,
    start: int = 0,
) -> Draw:
    """Draw an augmentation for both views of P pairs.

    Args:
        mirrored: (P,) bool, pairs whose second view is the first one's mirror image.
        settings: what may vary, and how much.
        generator: the only source of randomness, on the CPU.
        pairs: number of pairs of all processes together; P by default.
        start: number of the first pair here among those.
    """
    n = len(mirrored)
    total = n if pairs is None else pairs
    theta, matrix, offset, flips, coarse = (
        torch.unflatten(t, 0, (2, total))[:, start : start + n]
        for t in (
            _geometry(2 * total, settings, generator),
            *_color(2 * total, settings, generator),
            torch.rand(2 * total, generator=generator) < settings.flip,
            torch.rand(2 * total, generator=generator) < settings.coarse,
        )
    )
    low, high = _COARSE
    detail = low + (high - low) * torch.rand((), generator=generator).item()
    light, cover, tone, tint, surroundings = (
        torch.unflatten(t, 0, (2, total))[:, start : start + n]
        for t in (
            _light(2 * total, settings, generator),
            _cover(2 * total, settings, generator),
            _uniform(2 * total, settings.tone, generator).exp(),
            1 + _uniform(6 * total, settings.tint, generator).view(-1, 3),
            _surroundings(2 * total, settings, generator),
        )
    )
    if settings.coupled:
        same_look = torch.ones(n, dtype=torch.bool)
    elif settings.independent:
        same_look = torch.zeros(n, dtype=torch.bool)
    else:
        # As in the paper: the second view is the mirror image of the augmented first view.
        same_look = mirrored
        theta[1] = torch.where(mirrored.view(n, 1, 1), theta[0], theta[1])
    for look in (matrix, offset, coarse, light, cover, tone, tint, surroundings):
        same = same_look.view(n, *[1] * (look.dim() - 2))
        look[1] = torch.where(same, look[0], look[1])
    flips[1] = torch.where(same_look, flips[0], flips[1]) ^ mirrored
    sign = torch.where(mirrored, -1.0, 1.0)
    light[1, :, 0] *= torch.where(same_look, sign, 1.0)
    cover[1, :, 0] = torch.where(same_look & mirrored, 1 - cover[1, :, 0], cover[1, :, 0])
    # A mirrored output looks its x up on the opposite side of the input.
    theta[..., 0] = torch.where(flips.unsqueeze(-1), -theta[..., 0], theta[..., 0])
    return Draw(theta, matrix, offset, light, cover, tone, tint, surroundings, coarse, detail)


def unchanged(mirrored: Tensor) -> Draw:
    """The draw that changes nothing, except that it mirrors second views.

    Args:
        mirrored: (P,) bool, pairs whose second view is the first one's mirror image.
    """
    n = len(mirrored)
    theta = torch.eye(2, 3).repeat(2, n, 1, 1)
    theta[1, :, 0, 0] = torch.where(mirrored, -1.0, 1.0)
    return Draw(
        theta,
        torch.eye(3).repeat(2, n, 1, 1),
        torch.zeros(2, n, 3),
        torch.zeros(2, n, 2),
        torch.zeros(2, n, 5),
        torch.ones(2, n),
        torch.ones(2, n, 3),
        torch.zeros(2, n, 9),
        torch.zeros(2, n, dtype=torch.bool),
    )


def apply(views: Tensor, drawn: Draw, size: int) -> Tensor:
    """Augment pictures.

    Args:
        views: (2, P, C, C, 3) uint8 RGB, first and second views.
        drawn: what happens to them, on the CPU: no decision here waits for a GPU.
        size: side of the result in pixels.

    Returns:
        (2 * P, 3, size, size) float RGB in [0, 1], first views and then second views.
    """
    n = 2 * views.shape[1]
    device = views.device
    images = views.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    theta = upload(drawn.theta.flatten(0, 1), device)
    # A matrix product gives the positions.
    grid = F.affine_grid(exact(theta), [n, 3, size, size], align_corners=False).float()
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    coarse = upload(drawn.coarse.flatten().nonzero().squeeze(1), device)
    if len(coarse):
        lost = F.interpolate(
            images[coarse], scale_factor=drawn.detail, mode="bilinear", antialias=True
        )
        images[coarse] = F.interpolate(lost, (size, size), mode="bilinear")
    matrix = upload(drawn.matrix.flatten(0, 1), device)
    offset = upload(drawn.offset.flatten(0, 1).unsqueeze(-1), device)
    images = torch.baddbmm(offset, matrix, images.flatten(2)).view_as(images)
    if drawn.light.any():
        images = images * _gradients(upload(drawn.light.flatten(0, 1), device), size)
    if (drawn.tone != 1).any():
        power = upload(drawn.tone.flatten(), device).view(-1, 1, 1, 1)
        images = images.clamp(_DARKEST, 1) ** power
    if (drawn.tint != 1).any():
        images = images * upload(drawn.tint.flatten(0, 1), device)[..., None, None]
    if drawn.surroundings.any():
        images = _plain_around(images, upload(drawn.surroundings.flatten(0, 1), device))
    if drawn.cover.any():
        images = _covered(images, upload(drawn.cover.flatten(0, 1), device))
    return images.clamp(0, 1)


def _gradients(light: Tensor, size: int) -> Tensor:
    """Factors (N, 1, size, size) of brightness for slopes (N, 2)."""
    line = torch.linspace(-1, 1, size, device=light.device)
    across, down = light.view(-1, 2, 1, 1, 1).unbind(1)
    return 1 + across * line + down * line[:, None]


def _covered(images: Tensor, cover: Tensor) -> Tensor:
    """Pictures with their rectangles (N, 5) filled."""
    centers = pixel_centers(images.shape[-1], images.device)
    x, y, half_width, half_height, gray = cover.view(-1, 5, 1, 1, 1).unbind(1)
    inside = ((centers - x).abs() < half_width) & ((centers[:, None] - y).abs() < half_height)
    return torch.where(inside, gray, images)


def _plain_around(images: Tensor, surroundings: Tensor) -> Tensor:
    """Pictures with plain colors around the face, as :class:`Draw` has them: (N, 9)."""
    size = images.shape[-1]
    replaced, width, height, *colors = surroundings.view(-1, 9, 1, 1, 1).unbind(1)
    above, below = torch.cat(colors, dim=1).chunk(2, dim=1)
    inside = face_ellipse(size, images.device, width, height)
    plain = torch.lerp(above, below, pixel_centers(size, images.device)[:, None]).expand_as(images)
    return torch.lerp(images, plain, replaced * (1 - inside))


def _uniform(n: int, spread: float, generator: torch.Generator) -> Tensor:
    """Numbers (n,) between -spread and spread."""
    return (torch.rand(n, generator=generator) * 2 - 1) * spread


def _geometry(n: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Affine matrices (n, 2, 3)."""
    angle = _uniform(n, math.radians(settings.rotation), generator)
    scale = 1 + _uniform(n, settings.scale, generator)
    ratio = (1 + _uniform(n, settings.scale, generator)).sqrt()
    shift = _uniform(2 * n, 2 * settings.shift, generator).view(n, 2)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    x, y = shift.T
    rows = torch.stack((cos * ratio, -sin / ratio, x, sin * ratio, cos / ratio, y))
    return rows.T.reshape(n, 2, 3)


def _light(n: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Slopes (n, 2) of the brightness, in any direction."""
    angle = _uniform(n, math.pi, generator)
    strength = torch.rand(n, generator=generator) * settings.light
    return torch.stack((angle.cos() * strength, angle.sin() * strength), dim=1)


def _cover(n: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """Rectangles (n, 5), as :class:`Draw` has them."""
    low, high = _COVERED
    x, y, width, height, gray = torch.rand(5, n, generator=generator)
    present = (torch.rand(n, generator=generator) < settings.cover).float()
    sides = (low + (high - low) * side for side in (width, height))
    return torch.stack((x, y, *(side / 2 * present for side in sides), gray), dim=1) * (
        present.unsqueeze(1)
    )


def _surroundings(n: int, settings: Augmentation, generator: torch.Generator) -> Tensor:
    """(n, 9), as :class:`Draw` has them."""
    present = (torch.rand(n, 1, generator=generator) < settings.surroundings).float()
    size = 1 + _uniform(2 * n, _FACE_SPREAD, generator).view(n, 2)
    colors = torch.rand(n, 6, generator=generator)
    return torch.cat((present, size, colors), dim=1) * present


def _color(n: int, settings: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Matrices (n, 3, 3) and offsets (n, 3): brightness, contrast, saturation, hue and gray."""
    active = (torch.rand(n, generator=generator) < settings.color_probability).float()
    brightness, contrast, saturation = (
        1 + active * _uniform(n, settings.color, generator) for _ in range(3)
    )
    hue = active * _uniform(n, 2 * math.pi * settings.hue, generator)
    gray = torch.rand(n, generator=generator) < settings.gray
    saturation = torch.where(gray, 0.0, saturation)

    luma = torch.tensor((0.299, 0.587, 0.114)).expand(3, 3)
    mix = saturation.view(n, 1, 1)
    saturate = mix * torch.eye(3) + (1 - mix) * luma
    gain = (brightness * contrast).view(n, 1, 1)
    # Contrast leaves mid-gray as it is: one matrix and one offset hold all changes of color.
    offset = (0.5 * (1 - contrast)).view(n, 1).expand(n, 3).contiguous()
    return gain * (saturate @ _hue_rotation(hue)), offset


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotation of RGB space around the gray axis, (n, 3, 3) (Rodrigues' formula)."""
    axis = 1 / math.sqrt(3)
    cross = axis * torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    sin, cos = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    return cos * torch.eye(3) + sin * cross + (1 - cos) * torch.full((3, 3), 1 / 3)
