"""What a mouth shows between its lips: the inside of another mouth, in this one's colors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facecycle_cli.portrait.dense import interpolate
from facecycle_cli.portrait.edges import CURVE
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.slits import Opening, Slit, coarse_cells
from facecycle_cli.types import RGBImage

__all__ = ["MouthPatch", "with_inside"]

_ANSWERS = 0.015, 0.06
"""Change of a mouth's opening, in half widths of it, up to which the inside of the target's own
mouth is shown, and from which that of the source's mouth is."""

_OPEN_ENOUGH = 0.35, 0.7
"""The opening of the source's mouth over the one that is drawn, from which its inside begins to be
shown, and from which it is shown as it is."""

_INSET, _INSET_ASIDE = (0.05, 0.1), 0.06
"""Parts of the source's opening, at its upper and lower lip, and of its width, at either corner,
that are not shown: they are lip."""

_OTHER_SKIN = 0.03, 0.2
"""Logarithm of the gain up to which lips have one color, and from which they have another."""

_WHITE, _MAX_GAIN = 215.0, 2.0
"""Gray level up to which teeth are made brighter, and the most by which colors are changed."""

_LIP_HUE, _LIP_SHADE, _LIP_SHINE = (0.12, 0.3), (-0.8, -0.35), (0.1, 0.3)
"""Differences of the logarithms of colors: up to which one has the hue of the lips, and from which
it has not; up to which it is too dark for them, and from which it is not; and from and up to which
it becomes too bright for them: a tooth."""

_LIP_DEPTH = 0.08, 0.3
"""How far behind their edge, in half widths of the mouth, there may be lip, and from where on there
is none."""

_SHADE = 0.15
"""Of the color of lips: what the darkest part of an open mouth has. Where the source has less, its
light has more contrast than that of a photograph of a person."""

_WARM, _BETWEEN, _TOOTH, _IVORY, _PURPLE = 0.95, 0.6, (0.75, 0.9), 0.84, 1.1
"""The most blue over red; how much of the way from blue to red green lies at most; green over red
up to which a color is no tooth's, and from which it is; the least blue over red of a tooth; and the
most blue over green."""

_DULL_TOOTH, _SHINES = (0.7, 0.8), (1.15, 1.5)
"""The same green over red of a tooth in a small or soft picture, which has some of the color of the
lips; and green over that of the lips up to which it is none, and from which it is one."""

_RED, _LIT = 0.85, (0.25, 0.6)
"""The least green and blue over red of what is lit, over those of the lips; and red over that of
the lips up to which the mouth is in its own shadow, which is redder, and from which it is lit."""

_BLUE_LIPS = 0.82
"""The least blue over green of lips in white light. Where there is less, a tooth is yellow, too."""

_COLORED = 0.03, 0.12
"""Logarithm of the most over the least of red, green and blue of lips up to which a picture has no
colors, and from which it has."""


@dataclass(frozen=True)
class MouthPatch:
    """The mouth in a picture, whose inside another mouth may show.

    Attributes:
        pixels: (h, w, 3) uint8.
        upper: (k, 2) float32, pixels of the patch: the inner edge of the upper lip, from the left
            corner to the right one.
        lower: the same of the lower lip.
        lips: (3,) float32, the color of the lips around it, RGB 0..255; None: not known.
    """

    pixels: RGBImage
    upper: np.ndarray
    lower: np.ndarray
    lips: np.ndarray | None = None


def with_inside(
    slit: Slit,
    opening: Opening,
    source: MouthPatch,
    source_opening: float,
    *,
    gain: np.ndarray,
    lips: np.ndarray,
) -> Opening:
    """The opening, with the inside of the source's mouth in it.

    Args:
        slit: the lips of the target.
        opening: what :meth:`.Slit.prepare` made of them.
        source: the source's mouth.
        source_opening: of the source's mouth, in the half widths of ``opening``.
        gain: (3,), the target's colors over the source's.
        lips: (3,), the color of the target's lips.
    """
    drawn = opening.edges.widest
    answers = smoothstep(np.array(abs(drawn - slit.opening)), *_ANSWERS)
    enough = smoothstep(np.array(source_opening / max(1e-3, drawn)), *_OPEN_ENOUGH)
    share = float(answers * enough)
    if share <= 0:
        return opening
    frame = opening.frame
    knots = ((u[::CURVE], v[::CURVE]) for u, v in (opening.edges.upper, opening.edges.lower))
    edges = [np.stack(frame.to_pixels(*edge), axis=-1) for edge in knots]
    points = np.concatenate([edges[0], edges[1][1:-1]])
    other = smoothstep(np.array(np.abs(np.log(gain)).max()), *_OTHER_SKIN)
    upper, lower = _inset(source, other)
    there = np.concatenate([upper, lower[1:-1]])
    cells = coarse_cells(opening.box, slit.cells)
    inside = interpolate(points, there - points, cells, 0.01 * frame.half)
    inside += cells.astype(np.float32)
    across = np.linalg.norm(source.upper[-1] - source.upper[0])
    finer = float(across) / (2 * frame.half)
    gain = _bounded(gain, float(np.percentile(source.pixels.max(-1), 99)))
    pixels = source.pixels.astype(np.float32) * gain.astype(np.float32)
    if source.lips is not None:
        pixels *= _lips_recolored(source, source.lips, lips / np.maximum(1, source.lips * gain))
    natural = _natural(_lifted(pixels, lips.astype(np.float32)), lips)
    colors = pixels + np.float32(other) * (natural - pixels)
    if finer > 1:
        colors = np.asarray(cv2.GaussianBlur(colors, (0, 0), 0.5 * finer))
    return replace(
        opening,
        inside=inside.astype(np.float32),
        patch=colors,
        share=share,
    )


def _bounded(gain: np.ndarray, brightest: float) -> np.ndarray:
    """A gain (3,) that keeps its hue and makes the brightest gray level no whiter than teeth."""
    brighter = float(gain.mean())
    hue = np.clip(gain / brighter, 1 / _MAX_GAIN, _MAX_GAIN)
    most = min(_MAX_GAIN, max(1.0, _WHITE / max(1.0, brightest)))
    return np.asarray(hue * np.clip(brighter, 1 / _MAX_GAIN, most))


def _inset(source: MouthPatch, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a mouth, moved inwards by a share of what is lip at most: two of (k, 2)."""
    down = share * (source.lower - source.upper)
    upper, lower = source.upper + _INSET[0] * down, source.lower - _INSET[1] * down
    middle = (source.upper[0] + source.upper[-1]) / 2
    across = (source.upper[-1] - source.upper[0]) / 2
    part = (source.upper - middle) @ across / max(1e-6, float(across @ across))
    aside = share * _INSET_ASIDE * part[:, None] * across
    return upper - aside, lower - aside


def _lips_recolored(source: MouthPatch, lips: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """(h, w, 3): by what the colors of a mouth are multiplied where its own lips are seen.

    Edges are not exact, and lips turn inwards at the corners. What has the color of the lips near
    their edge is lip.

    Args:
        source: the mouth.
        lips: (3,), the color of its lips.
        ratio: (3,), by what a lip is multiplied.
    """
    outline = np.concatenate([source.upper, source.lower[-2:0:-1]])
    inside = np.zeros(source.pixels.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(outline).astype(np.int32)], 1)
    half = float(np.linalg.norm(source.upper[-1] - source.upper[0])) / 2
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3) / max(1.0, half)
    logs = cv2.log(source.pixels.astype(np.float32) + 1)
    apart = logs - np.log(lips + 1).astype(np.float32)
    red, green, blue = cv2.split(apart)
    hue = np.hypot(red - green, blue - green)
    share = (1 - smoothstep(hue, *_LIP_HUE)) * smoothstep(green, *_LIP_SHADE)
    share *= (1 - smoothstep(green, *_LIP_SHINE)) * (1 - smoothstep(depth, *_LIP_DEPTH))
    return np.asarray(1 + share[..., None] * (np.clip(ratio, 0.4, 2.5) - 1), np.float32)


def _lifted(pixels: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Colors (h, w, 3) of the inside of a mouth, no darker than the shade between lips (3,)."""
    shade = _SHADE * lips
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    dark = cv2.exp(gray * (-1 / max(1.0, float(shade.mean()))))
    return np.asarray(pixels + dark[..., None] * shade)


def _natural(pixels: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Colors (h, w, 3) of the inside of a mouth without those that no mouth has.

    Between two skins, what is no skin can turn blue, green, yellow or purple. Nothing in a mouth is
    as blue as red, greener than what lies between red and blue, or more purple than its lips (3,),
    and what is lit is not much redder than they are; teeth, which are hardly redder than green, are
    no less blue than ivory, and no less green than gray. What loses a color does not become darker.
    In a picture without colors all of it is gray.
    """
    lips_blue = float(lips[2] / max(1.0, lips[1]))
    ivory = _IVORY * min(1.0, lips_blue / _BLUE_LIPS)
    red, green, blue = cv2.split(pixels)
    least = _RED * red * smoothstep(red / max(1.0, float(lips[0])), *_LIT)
    green = np.maximum(green, least * float(lips[1] / max(1.0, lips[0])))
    blue = np.maximum(blue, least * float(lips[2] / max(1.0, lips[0])))
    blue = np.minimum(blue, _WARM * red)
    pale = green / np.maximum(red, 1)
    shines = smoothstep(green / max(1.0, float(lips[1])), *_SHINES)
    tooth = np.maximum(smoothstep(pale, *_TOOTH), shines * smoothstep(pale, *_DULL_TOOTH))
    blue = blue + tooth * np.maximum(0, ivory * red - blue)
    green = np.minimum(green, _BETWEEN * red + (1 - _BETWEEN) * blue)
    green = green + tooth * np.maximum(0, (red + blue) / 2 - green)
    blue = np.minimum(blue, max(_PURPLE, lips_blue) * green)
    natural = cv2.merge([red, green, blue])
    before, after = (cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY) + 1 for colors in (pixels, natural))
    natural *= np.clip(before / after, 1, _MAX_GAIN)[..., None]
    colored = float(smoothstep(np.log(lips.max() / max(1.0, float(lips.min()))), *_COLORED))
    if colored < 1:
        gray = cv2.cvtColor(natural, cv2.COLOR_RGB2GRAY)[..., None]
        natural = gray + colored * (natural - gray)
    return np.asarray(natural)
