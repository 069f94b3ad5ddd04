"""The shape of a face at rest, from which an absolute motion is measured."""

from __future__ import annotations

import numpy as np

from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.neutral import neutral_shape

__all__ = ["rest_shape"]


def rest_shape(head: Head) -> np.ndarray:
    """(n, 2) float64: :func:`.neutral_shape` of a head, with its lips closed.

    Whose lips are parted in a picture is seen, whatever the estimate says: measured from closed
    lips, the whole opening is part of the motion. Other landmarks than those of the mesh stay.
    """
    rest = neutral_shape(head)
    if len(rest) != MESH_468.count:
        return rest
    rest = rest.copy()
    upper, lower = (list(lip)[1:-1] for lip in (MESH_468.upper_lip, MESH_468.lower_lip))
    rest[upper] = rest[lower] = (rest[upper] + rest[lower]) / 2
    return rest
