"""The target's eyelids, closed over its eyes as they are in the photograph.

A blink takes a tenth of a second, and the networks' flow, which is smooth in space and in time,
does not know it. So the upper lid comes down as far as the landmarks of the source say: its skin is
stretched, and the eye under it stays where it is.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces import Face
from facecycle_cli.portrait.feature import FeatureFrame

__all__ = ["Eye", "closing", "eyes_of"]

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


class Eye:
    """Where an eye is in its picture.

    Args:
        upper, lower: (K, 2), the edges of its lids from the image-left corner to the other one, in
            pixels of the picture.
    """

    def __init__(self, upper: np.ndarray, lower: np.ndarray) -> None:
        self._frame = FeatureFrame(upper[0], upper[-1])
        self._upper, self._lower = (self._frame.place(lid).T for lid in (upper, lower))

    def reach(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the picture: nothing else moves with the lid."""
        return self._frame.box(1.0, self._upper[1].min() - _LID, self._lower[1].max())

    def close(self, xs: np.ndarray, ys: np.ndarray, closed: float) -> tuple[np.ndarray, np.ndarray]:
        """Points of the picture with the lid down -> where their color is in the photograph.

        Args:
            xs, ys: (h, w) float32, pixels of the picture.
            closed: 0..1.
        """
        u, v = self._frame.coordinates(xs, ys)
        upper, lower = (np.interp(u, *line) for line in (self._upper, self._lower))
        edge = upper + closed * _MEETS * np.maximum(0, lower - upper)
        top = upper - _LID
        skin = (v > top) & (v < edge) & (np.abs(u) < 1)
        # The lashes and what is next to them come down as they are, the skin above is stretched.
        part = np.clip((v - top) / (edge - _LASHES - top), 0, 1)
        return self._frame.shifted(xs, ys, np.where(skin, part * (upper - edge), 0.0))


def eyes_of(face: Face, to_picture: np.ndarray) -> list[Eye]:
    """Both eyes of a face, the image-left one first.

    Args:
        face: the face.
        to_picture: (2, 3), pixels of the photograph that ``face`` was found in -> pixels of the
            picture.
    """
    points = face.landmarks[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
    lids = face.topology.left_lids, face.topology.right_lids
    return [Eye(points[list(upper)], points[list(lower)]) for upper, lower in lids]
