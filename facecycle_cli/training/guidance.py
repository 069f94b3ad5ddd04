"""Landmarks that show the flows the way: where a face's own landmarks go when it turns neutral.

Not in the paper, and only used where the weight ``guide`` is above 0. What separates a face from
its neutral, frontal self is a matter of geometry first, and a face mesh measures geometry. Two
things are taken from a face's 468 landmarks: the turn of the head, which is undone in three
dimensions, and the expression, which is taken out statistically (:class:`NeutralShape`). The flow
of the face is then asked to lead from the one to the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.errors import DataError
from facecycle_cli.faces.canonical import frontal_shape, visibility
from facecycle_cli.faces.mesh import FaceMesh, Region
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.training.augment import Draw
from facecycle_cli.training.data.frames import FrameStore

COUNT = MESH_468.count
_MIRRORED = np.array(MESH_468_MIRRORED)

_COMPONENTS = 24
"""Principal components of frontal shapes; they hold 99.9 % of the variance."""

_AGREE = 0.5
"""Presence below which the mesh does not see a face."""

_EXPECTED = Region((0.5, 0.53), 1.02, 0.0)
"""Where the face lies in an aligned crop, in fractions of its side."""

_HIDDEN = 0.1
"""What a landmark out of view counts."""

_CLOSED, _RELAXED, _OPEN, _FRONTAL = 0.03, (0.72, 0.86), (0.13, 0.19), 15.0
"""Gap of the lips, width of the mouth and opening of the eyes, over the distance of the eyes, and
degrees of yaw, of a face that looks neutral; medians of neutral photographs lie in the middle."""

_LIDS = ((159, 145), (386, 374))


class LandmarkReader:
    """Finds the mesh's landmarks on aligned crops. Threads may share one."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(threads=1)

    def __call__(self, crop: np.ndarray) -> np.ndarray | None:
        """Crop (C, C, 3) uint8 RGB -> (468, 3) float32 in fractions of its side, or None."""
        side = crop.shape[0]
        x, y = _EXPECTED.center
        region = Region((x * side, y * side), _EXPECTED.side * side, _EXPECTED.angle)
        landmarks, presence = self._mesh.locate([crop], [region])
        if presence[0] < _AGREE:
            return None
        landmarks, presence = self._mesh.locate([crop], [Region.from_landmarks(landmarks[0])])
        if presence[0] < _AGREE:
            return None
        found = landmarks[0] / side
        found[:, :2] += 0.5 / side  # pixels are counted from the first one's center
        return found


@dataclass(frozen=True)
class NeutralShape:
    """What a face's landmarks would be without its expression: a linear estimate.

    A frontal, left-right symmetric shape is the person's neutral one plus an expression. Where both
    are normally distributed, with covariances B (over persons) and W (over pictures of a person),
    the best estimate of the neutral shape is ``neutral + B (B + W)^-1 (shape - neutral)``, the
    Wiener filter. B is measured on faces that look neutral, W on different pictures of a person.

    Attributes:
        mean: (936,) of all shapes.
        basis: (K, 936), principal components.
        neutral: (K,) mean of the neutral shapes.
        shrink: (K, K), B (B + W)^-1.
    """

    mean: np.ndarray
    basis: np.ndarray
    neutral: np.ndarray
    shrink: np.ndarray

    @classmethod
    def fit(cls, groups: Sequence[np.ndarray]) -> NeutralShape:
        """From landmarks (n, 468, 3) of n pictures each of some persons.

        Raises:
            DataError: too few faces, none of them neutral, or never two of a person.
        """
        every = [np.stack([frontal_shape(face, MESH_468) for face in group]) for group in groups]
        shapes = np.concatenate(every)
        yaws = np.array([abs(head_pose(face, MESH_468).yaw) for group in groups for face in group])
        shapes = _symmetric(shapes)
        looks = _looks_neutral(shapes) & (yaws < _FRONTAL)
        owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        pairs = np.flatnonzero(owners[1:] == owners[:-1])
        least = 4 * _COMPONENTS
        if looks.sum() < least or len(pairs) < least:
            raise DataError(
                f"it takes {least} neutral faces and {least} pairs of pictures of one person; "
                f"found are {looks.sum()} and {len(pairs)}"
            )
        flat = shapes.reshape(len(shapes), -1)
        mean = flat.mean(0)
        _, _, basis = np.linalg.svd(flat - mean, full_matrices=False)
        basis = basis[:_COMPONENTS]
        codes = (flat - mean) @ basis.T
        difference = codes[pairs + 1] - codes[pairs]
        within = difference.T @ difference / (2 * len(pairs))
        between = np.cov(codes[looks].T)
        shrink = between @ np.linalg.inv(between + within)
        return cls(mean, basis, codes[looks].mean(0), shrink)

    def __call__(self, landmarks: np.ndarray) -> np.ndarray:
        """Landmarks (468, 3) -> the neutral, frontal ones (468, 2), in fractions of the crop."""
        shape = _symmetric(frontal_shape(landmarks, MESH_468))
        code = (shape.ravel() - self.mean) @ self.basis.T
        code = self.neutral + self.shrink @ (code - self.neutral)
        return (self.mean + code @ self.basis).reshape(-1, 2)

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""
        temporary = path.with_name(f".{path.name}.tmp")
        with open(temporary, "wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> NeutralShape:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{f.name: file[f.name] for f in fields(cls)})


def _symmetric(shapes: np.ndarray) -> np.ndarray:
    """Shapes (..., 468, 2) averaged with their mirror images."""
    return (shapes + shapes[..., _MIRRORED, :] * [-1, 1] + [1, 0]) / 2


def _looks_neutral(shapes: np.ndarray) -> np.ndarray:
    """Which of the frontal shapes (N, 468, 2) are those of neutral faces."""

    def length(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(shapes[:, a] - shapes[:, b], axis=-1)

    left, right = (shapes[:, list(eye)].mean(1) for eye in (MESH_468.left_eye, MESH_468.right_eye))
    unit = np.linalg.norm(left - right, axis=-1)
    gap, width = length(*MESH_468.inner_lips) / unit, length(*MESH_468.mouth) / unit
    opening = sum(length(*lids) for lids in _LIDS) / (2 * unit)
    return (
        (gap < _CLOSED)
        & (width > _RELAXED[0])
        & (width < _RELAXED[1])
        & (opening > _OPEN[0])
        & (opening < _OPEN[1])
    )


class Guide(NamedTuple):
    """What the flows of N faces are asked for.

    Attributes:
        target: (N, 468, 2), where the landmarks of the neutral face lie, in grid units.
        source: (N, 468, 2), where they lie on the face itself.
        weight: (N, 468), from 0 (unknown) to 1.
    """

    target: Tensor
    source: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Marks:
    """What is known about one crop's landmarks, before augmentation.

    Attributes:
        source: (468, 2) float32 in fractions of the crop's side.
        target: (468, 2) float32 of its neutral face.
        weight: (468,) float32, 0 where nothing is known.
    """

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, landmarks: np.ndarray | None, neutral: NeutralShape) -> Marks:
        """From landmarks (468, 3), or from none."""
        if landmarks is None:
            nowhere = np.full((COUNT, 2), 0.5, np.float32)
            return cls(nowhere, nowhere, np.zeros(COUNT, np.float32))
        weight = np.maximum(visibility(landmarks, MESH_468), _HIDDEN)
        return cls(
            np.ascontiguousarray(landmarks[:, :2], np.float32),
            neutral(landmarks).astype(np.float32),
            weight.astype(np.float32),
        )


def place(marks: Sequence[Marks], drawn: Draw, size: int) -> Guide:
    """The guides of augmented faces.

    The neutral face does not move with the augmentation: its place in the crop is part of what is
    learned.

    Args:
        marks: of 2P crops, first views and then second views.
        drawn: what :func:`.augment.apply` did to the crops.
        size: side of the networks' input in pixels.
    """
    theta = drawn.theta.flatten(0, 1)
    source = torch.from_numpy(np.stack([mark.source for mark in marks]))
    target = torch.from_numpy(np.stack([mark.target for mark in marks]))
    weight = torch.from_numpy(np.stack([mark.weight for mark in marks]))
    # From the output to the input is what theta says; landmarks go the other way.
    inverse = torch.linalg.inv(theta[..., :2])
    source = (inverse @ (2 * source - 1 - theta[..., 2].unsqueeze(1)).mT).mT
    flipped = (torch.linalg.det(theta[..., :2]) < 0).view(-1, 1)
    order = torch.from_numpy(_MIRRORED)
    source = torch.where(flipped.unsqueeze(-1), source[:, order], source)
    weight = torch.where(flipped, weight[:, order], weight)
    inside = (source.abs() <= 1).all(dim=-1)
    # Pixel edges at -1 and 1 become pixel centers at -1 and 1.
    stretch = size / (size - 1)
    return Guide((2 * target - 1) * stretch, source * stretch, weight * inside)


class Guides:
    """The landmarks of a run's crops, measured when first needed.

    Args:
        neutral: what becomes of them.
        keep: whether they stay in memory, 9 kB a crop.
    """

    def __init__(self, neutral: NeutralShape, *, keep: bool) -> None:
        self.neutral = neutral
        self._keep = keep
        self._read = LandmarkReader()
        self._known: dict[int, Marks] = {}

    def marks(self, crop: int, image: np.ndarray) -> Marks:
        """Of the crop with this number, whose pixels are (C, C, 3) uint8 RGB."""
        found = self._known.get(crop)
        if found is None:
            found = Marks.of(self._read(image), self.neutral)
            if self._keep:
                self._known[crop] = found
        return found


_PERSONS, _SINGLES, _EACH = 400, 1600, 8
"""Groups and pictures of each that the neutral shape is fitted on."""


def fit_neutral_shape(store: FrameStore, seed: int) -> NeutralShape:
    """Measure a sample of the crops, always the same for one seed.

    Raises:
        DataError: there is not enough to learn from.
    """
    index, read = store.index, LandmarkReader()
    rng = np.random.default_rng((seed, 4))
    persons, singles = (np.flatnonzero(large) for large in (index.sizes > 1, index.sizes == 1))
    chosen = [
        *rng.permutation(persons)[:_PERSONS].tolist(),
        *rng.permutation(singles)[:_SINGLES].tolist(),
    ]
    groups: list[np.ndarray] = []
    for group in chosen:
        start, stop = map(int, index.starts[group : group + 2])
        faces = []
        for crop in rng.permutation(np.arange(start, stop))[:_EACH].tolist():
            image = store.frame(crop)
            landmarks = None if image is None else read(image)
            if landmarks is not None:
                faces.append(landmarks)
        if faces:
            groups.append(np.stack(faces))
    if not groups:
        raise DataError("there is no face in the pictures")
    return NeutralShape.fit(groups)
