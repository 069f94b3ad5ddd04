"""The frame of a mouth or an eye: distances along it, and across."""

from __future__ import annotations

import numpy as np

__all__ = ["FeatureFrame"]


class FeatureFrame:
    """Coordinates around a feature with two corners, in half widths of it.

    ``u`` goes from the middle to the right corner, ``v`` at right angles to that, downwards on an
    upright face.

    Args:
        left, right: (2,), the image-left and the image-right corner in pixels of the picture.

    Attributes:
        middle: (2,), between them.
        half: half their distance in pixels, at least 1.
    """

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self.middle = (left + right) / 2
        self.half = max(1.0, float(np.linalg.norm(right - left)) / 2)
        along = (right - left) / (2 * self.half)
        # Rows: the axes u and v in pixels of the picture.
        self._axes = np.array([along, [-along[1], along[0]]])

    def place(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of the picture -> (N, 2) u, v."""
        return (points - self.middle) @ self._axes.T / self.half

    def coordinates(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of pixels (h, w): u and v, each (h, w)."""
        x, y = (xs - self.middle[0]) / self.half, (ys - self.middle[1]) / self.half
        u = x * self._axes[0, 0] + y * self._axes[0, 1]
        v = x * self._axes[1, 0] + y * self._axes[1, 1]
        return u, v

    def shifted(
        self, xs: np.ndarray, ys: np.ndarray, down: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w) moved along v by ``down`` (h, w), in half widths; float32."""
        moved = self.half * down
        return (
            (xs + moved * self._axes[1, 0]).astype(np.float32),
            (ys + moved * self._axes[1, 1]).astype(np.float32),
        )

    def box(self, u: float, above: float, below: float) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels around what lies from -u to u, and from above to below."""
        corners = np.array([[x, y] for x in (-u, u) for y in (above, below)])
        pixels = self.middle + self.half * corners @ self._axes
        (x0, y0), (x1, y1) = pixels.min(0), pixels.max(0)
        return float(x0), float(y0), float(x1), float(y1)
