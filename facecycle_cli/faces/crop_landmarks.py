"""The mesh's landmarks of an aligned crop, whose photograph is not at hand."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.faces.mesh import FaceMesh, Region
from facecycle_cli.types import RGBImage

__all__ = ["LandmarkReader"]

_Points: TypeAlias = NDArray[np.floating[Any]]

_MIN_PRESENCE = 0.5
"""The mesh's probability that it sees a face, below which its landmarks are not used."""

_EXPECTED = Region((0.5, 0.53), 1.02, 0.0)
"""Region of the face in an aligned crop, in fractions of the crop's side."""


class LandmarkReader:
    """Finds the mesh's landmarks on aligned crops. Threads may share one."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(threads=1)

    def __call__(self, crop: RGBImage) -> _Points | None:
        """Find the landmarks of one crop.

        Returns:
            (468, 3) float32 in fractions of the crop's side; None if the mesh sees no face.
        """
        side = crop.shape[0]
        x, y = _EXPECTED.center
        region = Region((x * side, y * side), _EXPECTED.side * side, _EXPECTED.angle)
        landmarks, presence = self._mesh.locate([crop], [region])
        if presence[0] < _MIN_PRESENCE:
            return None
        landmarks, presence = self._mesh.locate([crop], [Region.from_landmarks(landmarks[0])])
        if presence[0] < _MIN_PRESENCE:
            return None
        found: _Points = landmarks[0] / side
        found[:, :2] += 0.5 / side  # the mesh counts pixels from the center of the first one
        return found
