"""How far eyelids are closed, which their landmarks say almost.

The landmarks of a shut eye keep a quarter or a third of their distance. A smile and narrowed eyes
take half of it, but from below.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.gaze import rises
from facecycle_cli.faces.topology import Topology

__all__ = ["eyelid_closure", "eyelid_closure_beyond_landmarks", "upper_lids"]

_LID_NOISE, _SHUT = 0.15, 0.58
"""By which share an opening is smaller than usual because landmarks tremble or the face smiles, and
when the eye is shut (medians of blinks in talking faces)."""

_ALMOST_SHUT, _FROM_ABOVE = (0.42, 0.58), (0.15, 0.3)
"""The same where lids already follow the landmarks: by which share an eye is narrower when they may
meet, and when they do; and by which share its upper lid is lower. The blinks of nine filmed faces
reach the second ones; smiles and narrowed eyes (up to 0.42 and 0.34) do not get beyond the first.
"""

_NARROWEST_EYE = 0.15
"""The smallest opening of open eyes, over their width."""

_LIDS_TRUSTED, _LIDS_UNKNOWN = 15.0, 28.0
"""Degrees of yaw up to which openings of eyes are trusted, and from which they are not: on a turned
head the landmarks of the lids come closer together than the lids do."""


def upper_lids(shape: np.ndarray, topology: Topology) -> float:
    """How low the upper lids are: the mean of both, below the corners, over the width of the eye.

    Args:
        shape: (n, 3), the landmarks from the front, y down, as :class:`.Head` has them.
        topology: their kind.

    Returns:
        about -0.15 where eyes are open; it rises as they close.
    """
    lows = []
    for edge, _ in (topology.left_lids, topology.right_lids):
        lid = shape[list(edge)]
        low = lid[1:-1, 1].mean() - (lid[0, 1] + lid[-1, 1]) / 2
        lows.append(low / max(1e-6, float(np.linalg.norm(lid[-1] - lid[0]))))
    return float(np.mean(lows))


def eyelid_closure(opening: float, usual: float, yaw: float) -> float:
    """How far eyes are closed, 0 (open) to 1 (shut).

    Args:
        opening: between the lids, over the width of the eye.
        usual: the same when this person's eyes are open.
        yaw: of the head, in degrees.
    """
    return _closure(_narrower(opening, usual), yaw, (_LID_NOISE, _SHUT))


def eyelid_closure_beyond_landmarks(
    opening: float, usual: float, lowered: float, yaw: float
) -> float:
    """How much of the way between their landmarks the lids are closed as well, 0 to 1.

    Args:
        opening, usual, yaw: as for :func:`eyelid_closure`.
        lowered: by how much the upper lids are lower than usual, over the width of the eye.
    """
    from_above = rises(lowered / max(usual, _NARROWEST_EYE), _FROM_ABOVE)
    return from_above * _closure(_narrower(opening, usual), yaw, _ALMOST_SHUT)


def _narrower(opening: float, usual: float) -> float:
    return 1 - opening / max(usual, _NARROWEST_EYE)


def _closure(smaller: float, yaw: float, shares: tuple[float, float]) -> float:
    return rises(smaller, shares) * (1 - rises(abs(yaw), (_LIDS_TRUSTED, _LIDS_UNKNOWN)))
