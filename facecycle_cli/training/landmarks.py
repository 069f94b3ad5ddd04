"""The landmarks of crops, measured once in all crops of a run, on all cores."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.faces.crop_landmarks import LandmarkReader, decode_landmarks
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.system import atomic_path, check_zip
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.data.index import IntArray
from facecycle_cli.types import RGBImage

Points: TypeAlias = NDArray[np.floating[Any]]
"""Landmarks or shapes, (468, 2) or (468, 3) each."""

LANDMARK_BYTES = MESH_468.count * 3 * 4
"""Of the landmarks of one crop."""

_OTHER_BYTES = 1_000_000, 8
"""Most bytes of the file besides landmarks: for the file itself, and for every crop."""

_BLOCK = 4096
"""Crops that are given to the threads at once."""


class LandmarkSource(Protocol):
    """Knows the landmarks of a run's crops."""

    def of_crop(self, crop: int, image: RGBImage | None = None) -> Points | None:
        """The landmarks (468, 3) of the crop with this number; None if it shows no face.

        Args:
            crop: its number.
            image: its pixels (C, C, 3), if they are at hand.
        """


class StoredLandmarks:
    """The landmarks of crops: those that preprocess wrote beside them, or measured here.

    Threads may share one.
    """

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._reader = LandmarkReader()

    def of_crop(self, crop: int, image: RGBImage | None = None) -> Points | None:
        """See :class:`LandmarkSource`."""
        index = self._store.index
        with suppress(OSError):
            data = index.read_landmarks(crop)
            stored = None if data is None else decode_landmarks(data)
            if stored is not None:
                return stored
        if image is None:
            image = self._store.frame(crop)
        return None if image is None else self._reader(image)


@dataclass(frozen=True)
class LandmarkTable:
    """Landmarks by the number of the crop.

    Attributes:
        rows: (N,) int64, the row of every crop; -1 if it cannot be read, or shows no face.
        landmarks: (F, 468, 3) float32, those of the crops with a face, in fractions of their side.
    """

    rows: IntArray
    landmarks: Points

    def of_crop(self, crop: int, image: RGBImage | None = None) -> Points | None:
        """See :class:`LandmarkSource`; the pixels are not needed."""
        row = int(self.rows[crop])
        if row < 0:
            return None
        found: Points = self.landmarks[row]
        return found

    @classmethod
    def measure(cls, store: FrameStore, workers: int) -> LandmarkTable:
        """Find the landmarks of all crops of ``store``, with this number of threads.

        Those that lie beside their crops are read, the others are measured.
        """
        read = StoredLandmarks(store).of_crop

        count = len(store.index)
        with ThreadPoolExecutor(workers, thread_name_prefix="landmarks") as pool:
            blocks = (range(i, min(i + _BLOCK, count)) for i in range(0, count, _BLOCK))
            return cls._of(faces for block in blocks for faces in pool.map(read, block))

    @classmethod
    def _of(cls, faces: Iterable[Points | None]) -> LandmarkTable:
        rows: list[int] = []
        found: list[Points] = []
        for landmarks in faces:
            rows.append(-1 if landmarks is None else len(found))
            if landmarks is not None:
                found.append(landmarks.astype(np.float32, copy=False))
        shape = len(found), MESH_468.count, 3
        stacked = np.stack(found) if found else np.zeros(shape, np.float32)
        return cls(np.array(rows, np.int64), stacked)

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path, crops: int) -> LandmarkTable:
        """Read what :meth:`save` wrote.

        Args:
            path: of the file.
            crops: number of crops of the run.

        Raises:
            DataError: it is damaged, or not of this number of crops.
        """
        fixed, each = _OTHER_BYTES
        try:
            check_zip(path, fixed + crops * (LANDMARK_BYTES + each))
            with np.load(path, allow_pickle=False) as file:
                table = cls(file["rows"], file["landmarks"])
            table._check(crops)
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged, remove it to measure it again ({error})") from None
        return table

    def _check(self, crops: int) -> None:
        """Raises ValueError: an array has another shape or type, or does not fit the other one."""
        rows, landmarks = self.rows, self.landmarks
        if rows.shape != (crops,) or rows.dtype != np.int64:
            raise ValueError(f"rows is {rows.dtype}{rows.shape}, not int64({crops},)")
        if landmarks.dtype != np.float32 or landmarks.shape[1:] != (MESH_468.count, 3):
            raise ValueError(f"landmarks is {landmarks.dtype}{landmarks.shape}")
        if not np.array_equal(rows[rows >= 0], np.arange(len(landmarks))) or rows.min() < -1:
            raise ValueError("rows does not fit landmarks")
        if not np.isfinite(landmarks).all():
            raise ValueError("landmarks holds values that are not finite")
