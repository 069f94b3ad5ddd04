"""Differences of pictures from those that were wanted: L1, SSIM, and flicker over time."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from facecycle_cli.system import import_extra
from facecycle_cli.types import RGBImage

__all__ = ["Flicker", "l1", "ssim"]

_STILL = 1.5
"""Gray levels that the local mean of a part of a picture may change by over three frames, for the
part to count as still."""

_LOCAL = 0.06
"""Side of the square over which local means are taken, as a fraction of the box's height: noise of
single pixels must not decide what is still, or the source's own flicker would be left out."""


def l1(made: RGBImage, wanted: RGBImage) -> float:
    """Mean absolute difference of two pictures (H, W, 3), of RGB values in 0..1."""
    return float(np.abs(made.astype(np.float32) - wanted).mean()) / 255


def ssim(made: RGBImage, wanted: RGBImage) -> float:
    """Structural similarity (Wang et al., 2004) of two pictures (H, W, 3), mean over colors.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    similarity = import_extra("skimage.metrics").structural_similarity
    return float(
        similarity(made, wanted, channel_axis=2, gaussian_weights=True, sigma=1.5, data_range=255)
    )


class Flicker:
    """How much the still parts of a video flicker, beside the same parts of its source.

    It is the mean absolute second difference in time, ``|a - 2 b + c|`` of three frames in a row,
    in gray levels. Steady motion has none, trembling has the most. Parts are still where the local
    mean of the *source* changes by less than 1.5 gray levels over the three frames.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[RGBImage, RGBImage]] = deque(maxlen=3)
        self._boxes: deque[tuple[int, int, int, int]] = deque(maxlen=3)
        self._sums = np.zeros(2)
        self._pixels = 0

    def add(self, source: RGBImage, output: RGBImage, box: np.ndarray) -> None:
        """Add a frame.

        Args:
            source: (H, W, 3) uint8.
            output: of the same size.
            box: (4,) x0, y0, x1, y1: the part of the frame that is looked at.
        """
        height, width = source.shape[:2]
        x0, y0 = np.floor(box[:2]).astype(int)
        x1, y1 = np.ceil(box[2:]).astype(int)
        self._frames.append((source, output))
        self._boxes.append((max(0, x0), max(0, y0), min(width, x1), min(height, y1)))
        if len(self._frames) == 3:
            self._measure()

    def interrupt(self) -> None:
        """Say that the next frame does not follow the last one."""
        self._frames.clear()
        self._boxes.clear()

    @property
    def source(self) -> float | None:
        """Of the source, in gray levels; None if nothing was still."""
        return float(self._sums[0] / self._pixels) if self._pixels else None

    @property
    def output(self) -> float | None:
        """Of the output."""
        return float(self._sums[1] / self._pixels) if self._pixels else None

    def _measure(self) -> None:
        x0, y0, x1, y1 = self._boxes[1]
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        source, output = (
            [pair[k][y0:y1, x0:x1].astype(np.float32) for pair in self._frames] for k in (0, 1)
        )
        side = max(3, round(_LOCAL * (y1 - y0)))
        local = np.stack([cv2.blur(picture.mean(axis=2), (side, side)) for picture in source])
        still = np.ptp(local, axis=0) < _STILL
        for k, (a, b, c) in enumerate((source, output)):
            self._sums[k] += np.abs(a - 2 * b + c).mean(axis=2)[still].sum(dtype=np.float64)
        self._pixels += int(still.sum())
