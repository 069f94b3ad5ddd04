"""Fitting the neutral shape to a run's data, and reading it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.media.posed import PosedPicture, find_posed
from facecycle_cli.training.data.frames import FrameStore, middle_square
from facecycle_cli.training.landmarks import LandmarkSource, Points, StoredLandmarks
from facecycle_cli.training.neutral_shape import NeutralEstimate, NeutralShape
from facecycle_cli.training.posed_shape import PosedFaces, PosedShape
from facecycle_cli.training.shapes import load_arrays

_PERSONS, _SINGLES, _EACH = 400, 1600, 8
"""The neutral shape is fitted on at most so many groups, single pictures, and pictures a group."""

_STREAM = 4
"""Keeps the random choice of these pictures different from other ones of the same seed."""


def fit_neutral_shape(
    store: FrameStore,
    seed: int,
    known: LandmarkSource | None = None,
    *,
    posed: Sequence[str] = (),
) -> NeutralEstimate:
    """Fit the neutral shape to a sample of the crops, always the same for one seed.

    Args:
        store: reads the crops.
        seed: of the run.
        known: the landmarks of the crops; None: those beside them, and the others are measured.
        posed: folders or shards with posed expressions, see :mod:`.media.posed`.

    Raises:
        DataError: there are too few faces.
        OSError: a picture with a posed expression cannot be read.
    """
    index = store.index
    known = StoredLandmarks(store) if known is None else known
    rng = np.random.default_rng((seed, _STREAM))
    persons, singles = (np.flatnonzero(large) for large in (index.sizes > 1, index.sizes == 1))
    chosen = [
        *rng.permutation(persons)[:_PERSONS].tolist(),
        *rng.permutation(singles)[:_SINGLES].tolist(),
    ]
    groups: list[Points] = []
    for group in chosen:
        start, stop = map(int, index.starts[group : group + 2])
        faces = []
        for crop in rng.permutation(np.arange(start, stop))[:_EACH].tolist():
            landmarks = known.of_crop(crop)
            if landmarks is not None:
                faces.append(landmarks)
        if faces:
            groups.append(np.stack(faces))
    if posed:
        pictures = [picture for path in posed for picture in find_posed(path)]
        return PosedShape.fit(_posed_faces(pictures, LandmarkReader(), store.side), groups, seed)
    if not groups:
        raise DataError("found no face in the pictures")
    return NeutralShape.fit(groups)


def load_neutral_shape(path: Path) -> NeutralEstimate:
    """Read what an estimate's ``save`` wrote, whichever it was.

    Raises:
        DataError: it is damaged.
    """
    return (NeutralShape if "shrink" in load_arrays(path) else PosedShape).load(path)


def _posed_faces(
    pictures: Sequence[PosedPicture], read: LandmarkReader, side: int
) -> list[PosedFaces]:
    """The landmarks of each person's pictures; those without a face are left out."""
    people: dict[str, tuple[list[Points], list[Points]]] = {}
    for picture in pictures:
        landmarks = read(middle_square(picture.read(), side))
        if landmarks is not None:
            neutral, others = people.setdefault(picture.person, ([], []))
            (neutral if picture.is_neutral else others).append(landmarks)
    return [
        PosedFaces(np.stack(neutral), np.stack(others))
        for neutral, others in people.values()
        if neutral and others
    ]
