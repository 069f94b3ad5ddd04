"""One picture that shows every step: input, flow, result, mean face, reconstruction."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.motions import MEAN, REBUILT
from facecycle_cli.portrait.portraits import Portrait, move_crops
from facecycle_cli.types import RGBImage

__all__ = ["flow_colors", "step_grid"]

_FULL_COLOR = 0.25
"""Length of a flow that has full color, in grid units: an eighth of the picture's side."""


def step_grid(model: FaceCycle, portraits: Sequence[Portrait]) -> RGBImage:
    """One row per portrait, (N * size, 5 * size, 3) uint8.

    Columns: input, flow of the result as a color wheel, result, mean face, reconstruction (the
    input after its motion was removed and put back).

    Args:
        model: the networks that made the portraits.
        portraits: at least one, of any one motion.
    """
    crops = np.stack([portrait.crop for portrait in portraits])
    columns = (
        crops,
        np.stack([flow_colors(portrait.flow, crops.shape[1]) for portrait in portraits]),
        np.stack([portrait.result for portrait in portraits]),
        move_crops(model, crops, MEAN)[0],
        move_crops(model, crops, REBUILT)[0],
    )
    return np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)


def flow_colors(flow: np.ndarray, side: int, largest: float = _FULL_COLOR) -> RGBImage:
    """A flow as colors: hue is direction, saturation is length; white does not move.

    Args:
        flow: (2, h, w), in grid units.
        side: of the result in pixels.
        largest: length with full saturation, in grid units.

    Returns:
        (side, side, 3) uint8.
    """
    x, y = (cv2.resize(f, (side, side), interpolation=cv2.INTER_CUBIC) for f in flow)
    hue = (np.degrees(np.arctan2(y, x)) % 360).astype(np.float32)
    saturation = np.clip(np.hypot(x, y) / largest, 0, 1).astype(np.float32)
    hsv = np.dstack((hue, saturation, np.ones_like(hue)))
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).round().astype(np.uint8)
