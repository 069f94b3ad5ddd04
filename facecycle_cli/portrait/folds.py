"""A displacement without folds: it tears no picture and stretches no point over half a face.

What moves a picture must map it one to one. Where the networks' flow folds or stretches too much,
:func:`unfolded` smooths it, and nowhere else.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["stretch", "unfolded"]

_MIN_STRETCH = 0.45
"""The smallest :func:`stretch` that stays as it is: one pixel of the photograph becomes little more
than two."""

_FOLD = 0.1
"""The stretch from which on down the smoothing has its full strength: a fold, or close to one."""

_MAX_ROUNDS = 24
"""Rounds of smoothing at most: each spreads a fold a little further."""

_SIGMA = 1.5
"""Standard deviation of one round's Gaussian, in cells."""


def stretch(displacement: np.ndarray, cell: float) -> np.ndarray:
    """The smallest distance that the neighbors of each point had before the motion.

    Its unit is their distance after the motion: 1 means that nothing happens, 1/3 that the picture
    is stretched threefold; at 0 and below it folds.

    Args:
        displacement: (h, w, 2) float32, from each point to where its color is taken from.
        cell: distance of neighboring points in the same unit.

    Returns:
        (h, w) float32, the smaller singular value of the Jacobian, with the sign of its
        determinant.
    """
    across, down = (
        cv2.Sobel(
            displacement, -1, *axis, ksize=1, scale=0.5 / cell, borderType=cv2.BORDER_REPLICATE
        )
        for axis in ((1, 0), (0, 1))
    )
    # On a border it has seen half of the change.
    across[:, [0, -1]] *= 2
    down[[0, -1]] *= 2
    (a, c), (b, d) = cv2.split(across), cv2.split(down)
    # Sum and difference of a 2x2 matrix's singular values (the latter signed).
    both = cv2.magnitude(a + d + 2, b - c)
    apart = cv2.magnitude(a - d, b + c)
    return np.asarray((both - apart) / 2)


def unfolded(displacement: np.ndarray, cell: float) -> np.ndarray:
    """The displacement, smoothed where it folds or stretches too much.

    The result changes steadily with the input, so that a video does not jump where a fold begins.

    Args:
        displacement: (h, w, 2) float32, as for :func:`stretch`.
        cell: distance of neighboring points in the same unit.

    Returns:
        (h, w, 2) float32.
    """
    for _ in range(_MAX_ROUNDS):
        least = stretch(displacement, cell)
        if float(least.min()) >= _MIN_STRETCH:
            break
        weight = np.clip((_MIN_STRETCH - least) / (_MIN_STRETCH - _FOLD), 0, 1)
        weight = np.minimum(1, 2 * cv2.GaussianBlur(weight, (0, 0), _SIGMA))[..., None]
        smooth = cv2.GaussianBlur(displacement, (0, 0), _SIGMA, borderType=cv2.BORDER_REPLICATE)
        displacement = displacement + weight * (smooth - displacement)
    return displacement
