"""From displacements at landmarks to a smooth displacement everywhere.

Interpolation by radial basis functions with the kernel -r (the thin plate in three dimensions). It
has no scale of its own, is exact at the points unless they are given some slack, and keeps calm
between and beyond them.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["interpolate"]


def interpolate(
    points: np.ndarray, values: np.ndarray, at: np.ndarray, slack: np.ndarray | float = 0.0
) -> np.ndarray:
    """Values at scattered points -> values anywhere.

    Args:
        points: (n, 2).
        values: (n, c), at the points.
        at: (h, w, 2), where values are wanted: a grid as ``np.meshgrid`` makes it. Its rows and
            columns share their distances, which takes a ninth of the time for many points.
        slack: (n,) or a number, at least 0, in the unit of the points: how far a value gives way to
            those around it.

    Returns:
        (h, w, c) float32.
    """
    n = len(points)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = -_distances(points)
    system[np.arange(n), np.arange(n)] = slack
    # A hair of slack keeps points that coincide from making the system singular.
    system[np.arange(n), np.arange(n)] += 1e-6
    system[:n, n] = system[n, :n] = 1
    right = np.zeros((n + 1, values.shape[1]))
    right[:n] = values
    weights = np.linalg.solve(system, right).astype(np.float32)
    near = _distances_on_grid(at, points).reshape(-1, n)
    # numpy's BLAS splits even so small a product among threads, which then spin for milliseconds.
    there = weights[n] - cv2.gemm(near, weights[:n], 1.0, None, 0.0)  # type: ignore[call-overload]
    return np.asarray(there.reshape(*at.shape[:2], -1))


def _distances(points: np.ndarray) -> np.ndarray:
    """(n, 2) -> (n, n) float64."""
    x, y = points.T
    squares = np.square(x[:, None] - x) + np.square(y[:, None] - y)
    return np.asarray(np.sqrt(squares, out=squares))


def _distances_on_grid(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(h, w, 2) and (n, 2) -> (h, w, n) float32."""
    x, y = points.T.astype(np.float32)
    across = np.square(grid[0, :, :1].astype(np.float32) - x)
    down = np.square(grid[:, 0, 1:].astype(np.float32) - y)
    squares = down[:, None] + across
    return np.asarray(np.sqrt(squares, out=squares))
