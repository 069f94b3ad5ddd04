"""Where lips begin, as colors say: landmarks of the inner edge of a mouth lie beside it.

Those of an open mouth lie on teeth here and there, and in dark corners; others lie on the lips.
"""

from __future__ import annotations

import cv2
import numpy as np

from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.skins import colors_at

__all__ = ["lip_rims", "lips_seen", "past_rims"]

_LIP_HUE, _LIP_SHADE, _LIP_SHINE = (0.12, 0.3), (-0.8, -0.35), (0.1, 0.3)
"""Differences of the logarithms of colors: up to which one has the hue of the lips, and from which
it has not; up to which it is too dark for them, and from which it is not; and from and up to which
it becomes too bright for them: a tooth."""

_HUE_APART, _SHINY, _DARK = 0.25, 0.5, -0.6
"""The same of what is a lip as a whole, with its highlights and shades: how far a hue without light
may differ, and the light of one hue; and what is darker than a lip's shade."""

_FURTHEST, _STEPS, _RUN = 0.25, 26, 5
"""How far beyond landmarks lips are looked for, in half widths of the mouth; at how many places on
that way; and at how many of these in a row a lip is seen: between a tooth and what is dark there is
its color, too."""

_SLOPE = 0.8
"""How deep it is at least beside a landmark where lips begin late: skin gives way slowly."""

_FINER = 4
"""Rays between two neighboring landmarks: a tooth is no wider than their distance."""

_RIM_HUE, _RIM_SEEN = (0.2, 0.45), (0.1, 0.5)
"""As ``_LIP_HUE``, of the rim of lips, which is redder; and how much of a color is a lip's where
none is seen any more, and where only lip is."""

_RIM_BLUR = 0.7
"""Standard deviation of the blur in which that is looked for, in pixels of the patch."""

_SPINE, _RIM_DEPTH, _RIM_STEPS = 0.6, 0.4, 25
"""How far a mouth's middle line reaches towards its corners, as a part of its half width; how far
from the edges towards that line the end of lips is looked for, in half widths; and at how many
places. Where none is found, lip and tongue have one color."""


def lips_seen(logs: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """(...), float32: how much colors are those of lips, from 0 to 1.

    Args:
        logs: (..., 3) float32, the logarithms of one more than the colors, RGB 0..255.
        lips: (3,), the color of the lips.
    """
    hue, green = _hue_and_light(logs, lips)
    share = (1 - smoothstep(hue, *_LIP_HUE)) * smoothstep(green, *_LIP_SHADE)
    return np.asarray(share * (1 - smoothstep(green, *_LIP_SHINE)))


def lip_rims(
    picture: np.ndarray, edges: tuple[np.ndarray, np.ndarray], lips: np.ndarray
) -> np.ndarray:
    """(2, k): how far beyond the points of both edges of a mouth its lips begin.

    In half widths of the mouth; not a number where no lip is found.

    Args:
        picture: (h, w, 3) uint8.
        edges: the upper and the lower one, (k, 2) each, from the left corner to the right one.
        lips: (3,), the color of the lips, RGB 0..255.
    """
    left, right = edges[0][0], edges[0][-1]
    half = max(1.0, float(np.linalg.norm(right - left)) / 2)
    blur = max(0.4, 0.01 * half)
    # Only what is looked at is blurred: a photograph may have a hundred times as many pixels.
    corner, picture = _around(picture, np.concatenate(edges), _FURTHEST * half + 4 * blur + 2)
    edges = edges[0] - corner, edges[1] - corner
    smooth = cv2.GaussianBlur(picture, (0, 0), blur)
    ways = np.linspace(0, _FURTHEST, _STEPS)
    found = []
    for sign, edge in zip((-1, 1), edges, strict=True):
        knots = np.arange(len(edge))
        fine = np.arange(_FINER * (len(edge) - 1) + 1) / _FINER
        line = np.column_stack([np.interp(fine, knots, edge[:, i]) for i in (0, 1)])
        along = np.gradient(line, axis=0)
        outwards = sign * np.column_stack([-along[:, 1], along[:, 0]])
        outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
        at = (line[:, None] + half * ways[:, None] * outwards[:, None]).astype(np.float32)
        colors = cv2.remap(
            smooth, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        lip = _is_lip(np.log(colors.astype(np.float32) + 1), lips)
        lasts = np.lib.stride_tricks.sliding_window_view(lip, _RUN, axis=1).min(-1)
        begins = np.where(lasts.any(1), ways[lasts.argmax(1)], np.nan)
        around = np.pad(begins, _FINER // 2, constant_values=np.nan)
        near = np.lib.stride_tricks.sliding_window_view(around, _FINER + 1)[::_FINER]
        missing = np.isnan(near).sum(1) > _FINER // 2
        deepest = np.where(np.isnan(near), -1, near).max(1)
        beside = np.pad(deepest, 1, mode="edge")
        deepest = np.maximum(deepest, _SLOPE * np.maximum(beside[:-2], beside[2:]))
        found.append(np.where(missing, np.nan, deepest))
    return np.array(found)


def past_rims(
    picture: np.ndarray,
    lips: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    share: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a mouth, moved inwards to where its lips end: landmarks may lie on lips.

    Args:
        picture: (h, w, 3) uint8, the mouth.
        lips: (3,), the color of its lips.
        edges: two of (k, 2).
        share: how much of that way they move, 0..1.
    """
    if share <= 0:
        return edges
    count = len(edges[0])
    half = float(np.linalg.norm(edges[0][-1] - edges[0][0])) / 2
    points = np.concatenate(edges)
    middle = np.tile((edges[0] + edges[1]) / 2, (2, 1))
    inwards = middle.mean(0) + _SPINE * (middle - middle.mean(0)) - points
    length = np.maximum(1e-6, np.linalg.norm(inwards, axis=1, keepdims=True))
    inwards *= np.minimum(1, _RIM_DEPTH * half / length)
    ways = np.linspace(0, 1, _RIM_STEPS)[:, None]
    at = (points[:, None] + ways * inwards[:, None]).astype(np.float32)
    colors = colors_at(cv2.GaussianBlur(picture, (0, 0), _RIM_BLUR), at[..., 0], at[..., 1])
    logs = np.log(np.maximum(0, colors) + 1)
    red, green, blue = _apart(logs, lips)
    hue = np.hypot(np.maximum(0, green - red), blue - green)
    seen = (1 - smoothstep(hue, *_RIM_HUE)) * smoothstep(green, *_LIP_SHADE)
    seen *= 1 - smoothstep(green, *_LIP_SHINE)
    seen = smoothstep(np.minimum.accumulate(seen, axis=1), *_RIM_SEEN)
    depths = np.pad(
        np.reshape(seen.mean(1) * (1 - seen[:, -1]), (2, count)), ((0, 0), (1, 1)), "edge"
    )
    smooth = (depths[:, :-2] + 2 * depths[:, 1:-1] + depths[:, 2:]) / 4
    moved = points + share * smooth.reshape(-1, 1) * inwards
    return moved[:count], moved[count:]


def _around(picture: np.ndarray, points: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture within ``reach`` pixels of points (n, 2): its corner (2,), and it."""
    height, width = picture.shape[:2]
    low = np.clip(np.floor(points.min(0) - reach), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(points.max(0) + reach) + 1, low + 1, (width, height)).astype(int)
    return low, picture[low[1] : high[1], low[0] : high[0]]


def _is_lip(logs: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Which colors are no tooth and not the dark between lips; arguments as for lips_seen."""
    hue, green = _hue_and_light(logs, lips)
    apart = np.hypot(hue / _HUE_APART, np.maximum(green, 0) / _SHINY)
    return np.asarray((apart < 1) & (green > _DARK))


def _hue_and_light(logs: np.ndarray, lips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far colors are from those of the lips, in hue and in green; arguments as before."""
    red, green, blue = _apart(logs, lips)
    return np.hypot(red - green, blue - green), green


def _apart(logs: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """(3, ...) float32: logarithms of red, green and blue over those of the lips."""
    return np.asarray(np.moveaxis(logs - np.log(lips + 1).astype(np.float32), -1, 0))
