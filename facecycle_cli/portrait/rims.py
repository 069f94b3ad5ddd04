"""Where lips begin: beyond the landmarks of a mouth's inner edge, as colors say.

Landmarks of an open mouth lie on teeth here and there, and in dark corners.
"""

from __future__ import annotations

import cv2
import numpy as np

from facecycle_cli.portrait.features import smoothstep

__all__ = ["lip_rims", "lips_seen"]

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
    smooth = cv2.GaussianBlur(picture, (0, 0), max(0.4, 0.01 * half))
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


def _is_lip(logs: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Which colors are no tooth and not the dark between lips; arguments as for lips_seen."""
    hue, green = _hue_and_light(logs, lips)
    apart = np.hypot(hue / _HUE_APART, np.maximum(green, 0) / _SHINY)
    return np.asarray((apart < 1) & (green > _DARK))


def _hue_and_light(logs: np.ndarray, lips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far colors are from those of the lips, in hue and in green; arguments as before."""
    red, green, blue = np.moveaxis(logs - np.log(lips + 1).astype(np.float32), -1, 0)
    return np.hypot(red - green, blue - green), green
