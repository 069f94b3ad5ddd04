"""From displacements at landmarks to a smooth displacement everywhere.

Interpolation by radial basis functions with the kernel -r (the thin plate in three dimensions). It
has no scale of its own, is exact at the points unless they are given some slack, and keeps calm
between and beyond them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import DTypeLike

__all__ = ["interpolate"]


def interpolate(
    points: np.ndarray, values: np.ndarray, at: np.ndarray, slack: np.ndarray | float = 0.0
) -> np.ndarray:
    """Values at scattered points -> values anywhere.

    Args:
        points: (n, 2).
        values: (n, c), at the points.
        at: (m, 2), where values are wanted.
        slack: (n,) or a number, at least 0, in the unit of the points: how far a value gives way to
            those around it.

    Returns:
        (m, c) float32.
    """
    n = len(points)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = -_distances(points, points, np.float64)
    system[np.arange(n), np.arange(n)] = slack
    # A hair of slack keeps points that coincide from making the system singular.
    system[np.arange(n), np.arange(n)] += 1e-6
    system[:n, n] = system[n, :n] = 1
    right = np.zeros((n + 1, values.shape[1]))
    right[:n] = values
    weights = np.linalg.solve(system, right).astype(np.float32)
    near = _distances(at, points, np.float32)
    # numpy's BLAS splits even so small a product among threads, which then spin for milliseconds.
    return np.asarray(weights[n] - cv2.gemm(near, weights[:n], 1.0, None, 0.0))  # type: ignore[call-overload]


def _distances(a: np.ndarray, b: np.ndarray, kind: DTypeLike) -> np.ndarray:
    """(n, 2) and (m, 2) -> (n, m)."""
    difference: np.ndarray = a[:, None, 0].astype(kind) - b[None, :, 0].astype(kind)
    down: np.ndarray = a[:, None, 1].astype(kind) - b[None, :, 1].astype(kind)
    np.square(difference, out=difference)
    np.square(down, out=down)
    difference += down
    return np.asarray(np.sqrt(difference, out=difference))
