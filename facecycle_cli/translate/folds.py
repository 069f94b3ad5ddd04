"""A displacement without folds: a photograph is not torn, and not smeared over half a face."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["stretch", "unfolded"]

_LEAST = 0.45
"""Of the stretch that stays as it is: one pixel of the photograph becomes little more than two."""

_WORST = 0.1
"""Of the stretch that is smoothed as much as there is: a fold, or close to one."""

_ROUNDS = 24
_WIDTH = 1.5
"""Of one round's smoothing, in cells: what has to be spread further takes more rounds."""


def stretch(displacement: np.ndarray, cell: float) -> np.ndarray:
    """How far apart the neighbors of each point were before the motion, along the direction in
    which they were nearest: 1 nothing happens, 1/3 the picture is stretched threefold, 0 and below
    it folds.

    Args:
        displacement: (h, w, 2) float32, from each point to where its color is taken from.
        cell: distance of neighboring points in the same unit.

    Returns:
        (h, w) float32, the lesser singular value of the Jacobian, with the sign of its determinant.
    """
    down, across = (np.gradient(displacement, cell, axis=axis) for axis in (0, 1))
    a, c = 1 + across[..., 0], across[..., 1]
    b, d = down[..., 0], 1 + down[..., 1]
    # Half sum and half difference of a 2x2 matrix's singular values (the latter signed).
    mean, half = np.hypot(a + d, b - c) / 2, np.hypot(a - d, b + c) / 2
    return (mean - half).astype(np.float32)


def unfolded(displacement: np.ndarray, cell: float) -> np.ndarray:
    """The displacement, smoothed where it folds or stretches too much and nowhere else.

    It changes steadily with what goes in, so that a video does not jump where a fold begins.

    Args:
        displacement, cell: as of :func:`stretch`.
    """
    for _ in range(_ROUNDS):
        least = stretch(displacement, cell)
        if float(least.min()) >= _LEAST:
            break
        weight = np.clip((_LEAST - least) / (_LEAST - _WORST), 0, 1)
        weight = np.minimum(1, 2 * cv2.GaussianBlur(weight, (0, 0), _WIDTH))[..., None]
        smooth = cv2.GaussianBlur(displacement, (0, 0), _WIDTH, borderType=cv2.BORDER_REPLICATE)
        displacement = displacement + weight * (smooth - displacement)
    return displacement
