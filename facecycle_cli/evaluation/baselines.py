"""Features that nobody had to learn, from the same crops: what a representation must beat."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from facecycle_cli.system import import_extra

__all__ = ["BASELINES", "hog", "lbp", "raw_pixels"]

_RAW_SIDE = 32
_CROP_SIDE = 64
_CELL = 8
_LBP_NEIGHBORS = 8


def _gray(crops: np.ndarray, side: int) -> np.ndarray:
    """uint8 (N, H, H, 3) -> float32 (N, side, side) in 0..255, antialiased."""
    return np.stack(
        [
            cv2.resize(
                cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA
            )
            for crop in crops
        ]
    ).astype(np.float32)


def raw_pixels(crops: np.ndarray) -> np.ndarray:
    """Gray values at 32x32, mean and contrast of each picture removed: (N, 1024) float32."""
    pixels = _gray(crops, _RAW_SIDE).reshape(len(crops), -1)
    pixels -= pixels.mean(axis=1, keepdims=True)
    return pixels / np.maximum(pixels.std(axis=1, keepdims=True), 1e-6)


def lbp(crops: np.ndarray) -> np.ndarray:
    """Histograms of uniform local binary patterns in 8x8 cells of the 64x64 crop: (N, 640) float32.

    Ahonen et al., "Face description with local binary patterns", PAMI 2006. Square roots of the
    counts, so that the cosine is the histograms' Bhattacharyya coefficient.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    pattern = import_extra("skimage.feature").local_binary_pattern
    codes = _LBP_NEIGHBORS + 2
    cells = _CROP_SIDE // _CELL
    features = np.empty((len(crops), cells * cells * codes), np.float32)
    for i, image in enumerate(_gray(crops, _CROP_SIDE)):
        values = pattern(image.astype(np.uint8), _LBP_NEIGHBORS, 1, method="uniform").astype(int)
        blocks = values.reshape(cells, _CELL, cells, _CELL).swapaxes(1, 2).reshape(-1, _CELL**2)
        shifted = blocks + codes * np.arange(len(blocks))[:, None]
        counts = np.bincount(shifted.ravel(), minlength=features.shape[1])
        features[i] = np.sqrt(counts)
    return features


def hog(crops: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients of the 64x64 crop: 9 directions, 8x8 cells, 2x2 blocks,
    (N, 1764) float32.

    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    describe = import_extra("skimage.feature").hog
    return np.stack(
        [
            describe(image, orientations=9, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2))
            for image in _gray(crops, _CROP_SIDE)
        ]
    ).astype(np.float32)


BASELINES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "raw": raw_pixels,
    "lbp": lbp,
    "hog": hog,
}
"""By name; each takes crops (N, H, H, 3) uint8."""
