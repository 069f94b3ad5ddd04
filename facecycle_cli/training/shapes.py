"""Frontal, left-right symmetric shapes of faces, and the files of what is fitted to them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.faces.canonical import frontal_shape
from facecycle_cli.faces.neutral_estimate import symmetric
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.system import atomic_path, check_zip
from facecycle_cli.training.landmarks import Points

MIRRORED = np.array(MESH_468_MIRRORED)
"""Number of each landmark's mirror image."""

_MAX_BYTES = 10_000_000
"""Of a file with a neutral shape, which takes a fiftieth of it."""

_MAX_LIP_GAP = 0.03
_MOUTH_WIDTH = 0.72, 0.86
_EYE_OPENING = 0.13, 0.19
"""A face looks neutral within these limits, in units of the distance between the eyes. Medians of
neutral photographs lie in their middle.
"""
_MAX_YAW = 15.0
"""Largest turn of a face that looks neutral, in degrees."""

_LIDS = ((159, 145), (386, 374))
"""Upper and lower lid of each eye."""


@dataclass(frozen=True)
class FrontalShapes:
    """The frontal shapes of pictures in groups, each group of one person.

    Attributes:
        shapes: (N, 936) symmetric, in fractions of the crop's side.
        yaws: (N,) how far each head is turned to either side, degrees.
        owners: (N,) number of each picture's group.
    """

    shapes: Points
    yaws: Points
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, groups: Sequence[Points]) -> FrontalShapes:
        """From the landmarks (n, 468, 3) of the n pictures of each group; at least one group."""
        faces = [face for group in groups for face in group]
        shapes = symmetric(np.stack([frontal_shape(face, MESH_468) for face in faces]))
        yaws = np.array([abs(head_pose(face, MESH_468).yaw) for face in faces])
        owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        return cls(shapes.reshape(len(shapes), -1), yaws, owners)

    @property
    def neutral(self) -> NDArray[np.bool_]:
        """(N,) which of them are those of frontal faces that look neutral."""
        looks: NDArray[np.bool_] = _looks_neutral(self.shapes.reshape(-1, MESH_468.count, 2))
        return looks & (self.yaws < _MAX_YAW)


def save_arrays(path: Path, arrays: Mapping[str, Points]) -> None:
    """Write an ``.npz`` file to ``path``, which appears complete or not at all."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        stored: dict[str, Any] = dict(arrays)
        np.savez(file, **stored)


def load_arrays(path: Path) -> dict[str, Points]:
    """Read what :func:`save_arrays` wrote.

    Raises:
        DataError: it is damaged, or holds anything but finite floating point numbers.
    """
    try:
        check_zip(path, _MAX_BYTES)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name, array in arrays.items():
            if not np.issubdtype(array.dtype, np.floating):
                raise ValueError(f"{name} is {array.dtype}, not numbers")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, error) from None
    return arrays


def check_shapes(arrays: Mapping[str, Points], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Check that exactly these arrays are there, with these shapes.

    Raises:
        ValueError: they are not.
    """
    if set(arrays) != set(wanted):
        raise ValueError(f"holds {', '.join(sorted(arrays))}, not {', '.join(sorted(wanted))}")
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].shape}, not {shape}")


def damaged(path: Path, reason: object) -> DataError:
    """What to raise for a file of a neutral shape that cannot be used."""
    return DataError(f"{path}: damaged, remove it to measure it again ({reason})")


def _looks_neutral(shapes: Points) -> NDArray[np.bool_]:
    """Which of the frontal shapes (N, 468, 2) are those of neutral faces."""

    def length(a: int, b: int) -> Points:
        return np.asarray(np.linalg.norm(shapes[:, a] - shapes[:, b], axis=-1))

    left, right = (shapes[:, list(eye)].mean(1) for eye in (MESH_468.left_eye, MESH_468.right_eye))
    unit = np.linalg.norm(left - right, axis=-1)
    gap, width = length(*MESH_468.inner_lips) / unit, length(*MESH_468.mouth) / unit
    opening = sum(length(*lids) for lids in _LIDS) / (2 * unit)
    neutral: NDArray[np.bool_] = (
        (gap < _MAX_LIP_GAP)
        & (width > _MOUTH_WIDTH[0])
        & (width < _MOUTH_WIDTH[1])
        & (opening > _EYE_OPENING[0])
        & (opening < _EYE_OPENING[1])
    )
    return neutral
