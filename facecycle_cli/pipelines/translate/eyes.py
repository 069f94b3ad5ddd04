"""The target's eyelids, closed over its eyes as they are in the photograph.

A blink takes a tenth of a second, and the networks' flow, which is smooth in space and in time,
does not know it. So the upper lid comes down as far as the landmarks of the source say: its skin is
stretched, and the eye under it stays where it is.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces import Face

__all__ = ["Eyes", "closing"]

_LID = 0.75
"""How far above the eye its lid's skin gives, in half widths of the eye."""

_LASHES = 0.3
"""How far above its edge a lid is stiff, in the same unit."""

_MEETS = 1.12
"""How far a closed lid comes down, of the opening: its lashes lie on the lower one."""

_STEADY, _SHUT = 0.1, 0.3
"""How much smaller than usual an opening is without meaning anything, and of a shut eye: landmarks
of shut eyes stay that far apart (medians of blinks in talking faces)."""

_NARROWEST = 0.15
"""The smallest opening of eyes, over their width, that is taken for that of open ones."""


_FACING, _ASIDE = 15.0, 28.0
"""Degrees of yaw up to which openings are believed, and from which they are not: landmarks of the
eyes of a turned head come closer together than the eyes do."""


def closing(opening: float, usual: float, yaw: float) -> float:
    """How far eyes are closed, 0..1, from their opening and their usual one, and the head's yaw."""
    smaller = 1 - opening / max(usual, _NARROWEST)
    closed = min(1.0, max(0.0, (smaller - _STEADY) / (_SHUT - _STEADY)))
    return closed * min(1.0, max(0.0, (_ASIDE - abs(yaw)) / (_ASIDE - _FACING)))


class _Eye:
    """One eye; distances are in half widths, ``u`` along its corners and ``v`` downwards."""

    def __init__(self, upper: np.ndarray, lower: np.ndarray) -> None:
        left, right = upper[0], upper[-1]
        self._middle = (left + right) / 2
        self._half = max(1.0, float(np.linalg.norm(right - left)) / 2)
        along = (right - left) / (2 * self._half)
        self._axes = np.array([along, [-along[1], along[0]]])
        self._upper, self._lower = (
            ((points - self._middle) @ self._axes.T / self._half).T for points in (upper, lower)
        )

    def reach(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the picture: nothing else moves with the lid."""
        above, below = self._upper[1].min() - _LID, self._lower[1].max()
        corners = np.array([[u, v] for u in (-1.0, 1.0) for v in (above, below)])
        pixels = self._middle + self._half * corners @ self._axes
        (x0, y0), (x1, y1) = pixels.min(0), pixels.max(0)
        return float(x0), float(y0), float(x1), float(y1)

    def close(self, xs: np.ndarray, ys: np.ndarray, closed: float) -> tuple[np.ndarray, np.ndarray]:
        """Points of the picture with the lid down -> where their colour is in the photograph."""
        x, y = (xs - self._middle[0]) / self._half, (ys - self._middle[1]) / self._half
        u = x * self._axes[0, 0] + y * self._axes[0, 1]
        v = x * self._axes[1, 0] + y * self._axes[1, 1]
        upper, lower = (np.interp(u, *line) for line in (self._upper, self._lower))
        edge = upper + closed * _MEETS * np.maximum(0, lower - upper)
        top = upper - _LID
        skin = (v > top) & (v < edge) & (np.abs(u) < 1)
        # The lashes and what is next to them come down as they are, the skin above is stretched.
        part = np.clip((v - top) / (edge - _LASHES - top), 0, 1)
        moved = np.where(skin, part * (upper - edge), 0.0) * self._half
        return (
            (xs + moved * self._axes[1, 0]).astype(np.float32),
            (ys + moved * self._axes[1, 1]).astype(np.float32),
        )


class Eyes:
    """Where the eyes of a face are in its picture.

    Args:
        face: the face.
        to_picture: (2, 3), pixels of the photograph that ``face`` was found in -> pixels of the
            picture.
    """

    def __init__(self, face: Face, to_picture: np.ndarray) -> None:
        points = face.landmarks[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        lids = face.topology.left_lids, face.topology.right_lids
        self._eyes = [_Eye(points[list(upper)], points[list(lower)]) for upper, lower in lids]

    def reaches(self) -> list[tuple[float, float, float, float]]:
        """Of either eye, x0, y0, x1, y1 in pixels of the picture: nothing else moves with it."""
        return [eye.reach() for eye in self._eyes]

    def close(
        self, which: int, xs: np.ndarray, ys: np.ndarray, closed: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points of the picture with a lid down -> where their colour is in the photograph.

        Args:
            which: 0 for the image-left eye, 1 for the other.
            xs, ys: (h, w) float32, pixels of the picture.
            closed: 0..1.
        """
        return self._eyes[which].close(xs, ys, closed)
