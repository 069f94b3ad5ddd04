"""One picture that shows every step: input, flow, neutral, mean face, reconstruction."""

from __future__ import annotations

import cv2
import numpy as np

from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait import motions as motion
from facecycle_cli.portrait.neutralize import mean_faces
from facecycle_cli.portrait.portraits import move_crops


def step_grid(model: FaceCycle, crops: np.ndarray, results: np.ndarray | None = None) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8 -> one row per face, (N * H, 5 * H, 3) uint8.

    Columns: input, de-expression flow as a color wheel, neutral face (or ``results`` in its
    place), mean face, reconstruction.
    """
    neutral, moved = move_crops(model, crops, motion.neutral)
    rebuilt, _ = move_crops(model, crops, motion.rebuilt)
    shown = neutral if results is None else results
    wheels = np.stack([flow_colors(f, crops.shape[1]) for f in moved.flow.cpu().numpy()])
    columns = (crops, wheels, shown, mean_faces(model, crops), rebuilt)
    return np.concatenate([np.concatenate(list(c)) for c in columns], axis=1)


def flow_colors(flow: np.ndarray, side: int, largest: float = 0.25) -> np.ndarray:
    """A flow (2, h, w) in grid units as colors: hue is direction, saturation is distance.

    White stands still; full color has moved by ``largest`` (an eighth of the picture) or more.
    """
    x, y = (cv2.resize(f, (side, side), interpolation=cv2.INTER_CUBIC) for f in flow)
    hue = (np.degrees(np.arctan2(y, x)) % 360).astype(np.float32)
    saturation = np.clip(np.hypot(x, y) / largest, 0, 1).astype(np.float32)
    hsv = np.dstack((hue, saturation, np.ones_like(hue)))
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).round().astype(np.uint8)
