"""The chin of a wide open mouth: below its lips, where the mesh of the face may not have it.

The mesh of the whole face opens a mouth less far than the close look at its lips does. In a shout
the lower lip of the one lies on the chin of the other, and a picture that follows both is folded.
"""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.topology import MESH_468, Topology
from facecycle_cli.portrait.features import smoothstep

__all__ = ["chin_below_lips"]

# fmt: off
_CHIN = [
    18, 32, 83, 106, 136, 140, 148, 149, 150, 152, 169, 170, 171, 175, 176, 182, 194, 199, 200, 201,
    202, 204, 208, 210, 211, 262, 313, 335, 369, 377, 378, 379, 394, 395, 396, 400, 406, 418, 421,
    422, 424, 428, 430, 431,
]
# fmt: on
"""Landmarks below the lower lip, the uppermost of them in the middle first."""

_GAP, _SOFT = 0.03, 0.02
"""The least from the lower lip down to the first landmark below it, in distances between the eyes:
what wide open mouths have that the mesh sees as well; and how softly that limit begins."""

_ASIDE = 0.3, 0.7
"""Distances from the middle of the chin, in those between the eyes, up to which it moves with the
lip, and from which on it does not."""


def chin_below_lips(points: np.ndarray, topology: Topology) -> np.ndarray:
    """The points of a face (n, 2), its landmarks first, with the chin below the lower lip."""
    if topology != MESH_468:
        return points
    left, right = (points[list(eye)].mean(0) for eye in (topology.left_eye, topology.right_eye))
    unit = max(1e-6, float(np.linalg.norm(right - left)))
    down = points[topology.chin] - points[topology.lower[0]]
    down = down / max(1e-6, float(np.linalg.norm(down)))
    below = points[_CHIN] - points[topology.outer_lips[1]]
    missing = _GAP - float(below[0] @ down) / unit
    if missing <= -_SOFT:
        return points
    far = missing if missing >= _SOFT else (missing + _SOFT) ** 2 / (4 * _SOFT)
    aside = np.abs(below @ np.array([-down[1], down[0]])) / unit
    moved = points.copy()
    moved[_CHIN] += (1 - smoothstep(aside, *_ASIDE))[:, None] * (far * unit) * down
    return np.asarray(moved)
