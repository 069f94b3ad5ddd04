"""Where a video cuts to another picture."""

from __future__ import annotations

import cv2
import numpy as np

from facecycle_cli.types import RGBImage

__all__ = ["CutDetector"]

_SIDE = 32
_SHIFT = 2  # of _SIDE: how far the picture may move between frames and still be the same
_CELLS = 4  # per side of the picture, each with a color histogram of its own
_BINS = 8

# Measured on 70 clips at 5 frames per second: of some 2,100 pairs of neighboring frames these call
# 4 a cut, two of which are; of 425 pairs from different clips of alike framing and background they
# miss 8.
_ANOTHER_PICTURE = 8.0  # mean difference (0..255) whatever the shift
_ANOTHER_SUBJECT = 3.0, 0.2  # the same with the mean distance of the cells' histograms (0..1)
_UNCHANGED = 2.0  # difference (0..255) of a pixel that stays as it was
_BACKGROUND = 0.2  # share of such pixels from which the scene is the same, however wild its people
_BLACK = 16.0  # the bars above and below a wide picture survive every cut


class CutDetector:
    """Compares each frame of a video with the one before.

    Call it with the frames in order (RGB uint8, (H, W, 3)): it answers whether a cut lies between
    this frame and the last one (False for the first). Heads that move, light that flickers and a
    camera that pans slowly are not cuts; they change a 32 x 32 picture little once it may be
    shifted by two of its pixels.
    """

    def __init__(self) -> None:
        self._last: np.ndarray | None = None  # (64, 64, 3) uint8

    def __call__(self, image: RGBImage) -> bool:
        """Whether ``image`` begins a new shot."""
        # Every second pixel of a small picture says enough for 32 x 32, and of a large one fewer.
        height, width = image.shape[:2]
        step = max(1, min(height, width) // (4 * _SIDE))
        sparse = cv2.resize(image, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
        medium = cv2.resize(sparse, (2 * _SIDE, 2 * _SIDE), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, medium
        if last is None:
            return False
        before, after = _tiny(last), _tiny(medium)
        if np.abs(before - after).mean() <= _ANOTHER_SUBJECT[0]:
            return False  # nearly always, and without looking any closer
        difference = _difference(before, after)
        another = difference > _ANOTHER_PICTURE or (
            difference > _ANOTHER_SUBJECT[0] and _distance(last, medium) > _ANOTHER_SUBJECT[1]
        )
        return another and _same_background(before, after) < _BACKGROUND


def _tiny(medium: np.ndarray) -> np.ndarray:
    """(32, 32, 3) float32, blurred."""
    small = cv2.resize(medium, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1)


def _distance(before: np.ndarray, after: np.ndarray) -> float:
    """Between the color histograms of the cells, 0..1."""
    return 1 - float(np.minimum(_histograms(before), _histograms(after)).sum(-1).mean())


def _histograms(medium: np.ndarray) -> np.ndarray:
    """(16, 24): of each cell and channel; those of a cell sum to 1."""
    side = 2 * _SIDE // _CELLS
    levels = (medium.astype(np.int64) * _BINS >> 8) + _BINS * np.arange(3)
    cells = levels.reshape(_CELLS, side, _CELLS, side, 3).swapaxes(1, 2).reshape(_CELLS**2, -1)
    width = 3 * _BINS
    flat = cells + width * np.arange(_CELLS**2)[:, None]
    counts = np.bincount(flat.ravel(), minlength=_CELLS**2 * width)
    return counts.reshape(_CELLS**2, width) / cells.shape[1]


def _difference(before: np.ndarray, after: np.ndarray) -> float:
    """Mean over the pixels of their least difference under any small shift."""
    inner = after[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    height, width = inner.shape[:2]
    shifts = range(2 * _SHIFT + 1)
    shifted = [before[y : y + height, x : x + width] for y in shifts for x in shifts]
    least = np.abs(np.stack(shifted) - inner).mean(-1).min(0)
    return float(least.mean())


def _same_background(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the pixels that did not change, black ones left out."""
    seen = np.maximum(before, after).max(-1) > _BLACK
    same = np.abs(before - after).mean(-1) < _UNCHANGED
    return float((same & seen).sum() / max(1, seen.sum()))
