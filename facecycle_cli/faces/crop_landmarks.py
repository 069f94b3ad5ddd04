"""The mesh's landmarks of an aligned crop: measured on it, or in the file beside it.

preprocess writes what it saw in the whole picture, in more detail than the crop has, beside every
crop: ``000012.landmarks.npy`` beside ``000012.jpg``, (468, 3) float16 in fractions of the crop's
side. In a tar shard it is a field of the crop's sample.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.faces.alignment import Alignment
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.mesh import FaceMesh, Region
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.types import RGBImage

__all__ = [
    "LANDMARKS_SUFFIX",
    "MAX_LANDMARKS_BYTES",
    "LandmarkReader",
    "decode_landmarks",
    "encode_landmarks",
    "landmarks_beside",
    "landmarks_in_crop",
    "read_landmarks_beside",
]

_Points: TypeAlias = NDArray[np.floating[Any]]

LANDMARKS_SUFFIX = ".landmarks.npy"
"""Takes the place of the suffix of a crop in the name of its landmarks."""

MAX_LANDMARKS_BYTES = 1 << 14
"""Of such a file; it has less than 3 kB."""

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


def landmarks_in_crop(face: Face, alignment: Alignment) -> _Points:
    """The landmarks of a face in the crop that an alignment cuts out of its picture.

    Returns:
        (N, 3) float64 in fractions of the crop's side; depth in the same unit.
    """
    matrix = np.asarray(alignment.matrix, np.float64)
    placed = np.empty(face.landmarks.shape, np.float64)
    placed[:, :2] = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2] + 0.5
    placed[:, 2] = face.landmarks[:, 2] * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    return placed / alignment.size


def landmarks_beside(crop: str) -> str:
    """The path of the file with the landmarks of the crop at a path."""
    return os.path.splitext(crop)[0] + LANDMARKS_SUFFIX


def read_landmarks_beside(crop: str) -> bytes | None:
    """The bytes of that file; None if there is none, or something else.

    Raises:
        OSError: it cannot be read.
    """
    path = landmarks_beside(crop)
    try:
        found = os.stat(path)  # before it is opened, which can take forever
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_LANDMARKS_BYTES:
        return None
    with open(path, "rb") as file:
        return file.read()


def encode_landmarks(landmarks: _Points) -> bytes:
    """Landmarks (468, 3), in fractions of the crop's side, as the file beside the crop holds them.

    Half precision moves them by less than 0.04 pixels of a crop of 128.
    """
    file = io.BytesIO()
    np.save(file, landmarks.astype(np.float16), allow_pickle=False)
    return file.getvalue()


def decode_landmarks(data: bytes) -> _Points | None:
    """What :func:`encode_landmarks` made: (468, 3) float32; None if this is something else."""
    try:
        landmarks = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, OverflowError):
        return None
    if not isinstance(landmarks, np.ndarray) or landmarks.shape != (MESH_468.count, 3):
        return None
    if landmarks.dtype != np.float16 or not np.isfinite(landmarks).all():
        return None
    return landmarks.astype(np.float32)
