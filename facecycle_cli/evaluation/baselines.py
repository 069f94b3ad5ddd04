"""Hand-crafted features (raw pixels, HOG, LBP) of the same crops: what a network must beat."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from facecycle_cli.system import import_extra
from facecycle_cli.verify.features import Extractor

__all__ = ["BASELINES", "hog", "lbp", "raw_pixels"]

_RAW_SIDE = 32
"""Side in pixels at which raw gray values are compared."""

_CROP_SIDE = 64
"""Side in pixels of the crops that LBP and HOG describe."""

_CELL = 8
"""Side in pixels of the cells whose histograms they collect."""

_LBP_NEIGHBORS = 8


def _gray(crops: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """uint8 (N, H, H, 3) -> float32 (N, side, side) in 0..255, antialiased."""
    return np.stack(
        [
            cv2.resize(
                cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA
            )
            for crop in crops
        ]
    ).astype(np.float32)


def raw_pixels(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gray values at 32x32, mean and contrast of each picture removed: (N, 1024) float32."""
    pixels: NDArray[np.float32] = _gray(crops, _RAW_SIDE).reshape(len(crops), -1)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.maximum(pixels.std(axis=1, keepdims=True), 1e-6)
    return pixels


def lbp(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
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


def hog(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
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


BASELINES: Mapping[str, Extractor] = {
    "raw": raw_pixels,
    "lbp": lbp,
    "hog": hog,
}
"""By name; each takes crops (N, H, H, 3) uint8."""
