"""Landmarks that guide the flows: where a face's landmarks lie, and where on its neutral face.

Not in the paper, and only used if the weight ``guide`` is above 0. A face differs from its neutral,
frontal face mostly in geometry, which a face mesh measures. Two things are removed from a face's
468 landmarks: the turn of the head, in three dimensions, and the expression, statistically
(:class:`NeutralShape`). The flow of the face is asked to lead from the landmarks of the face to
those that remain.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecycle_cli.errors import DataError
from facecycle_cli.faces.canonical import frontal_shape, visibility
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.system import atomic_path, check_zip
from facecycle_cli.training.augment import Draw
from facecycle_cli.training.data.frames import FrameStore, Views
from facecycle_cli.training.landmarks import Points
from facecycle_cli.training.precision import exact
from facecycle_cli.training.transfer import upload
from facecycle_cli.types import RGBImage

_MIRRORED = np.array(MESH_468_MIRRORED)
"""Number of each landmark's mirror image."""

_COMPONENTS = 24
"""Principal components of frontal shapes; they hold 99.9 % of the variance."""

_MAX_BYTES = 10_000_000
"""Of a file with a neutral shape, which takes a fiftieth of it."""

_OCCLUDED = 0.1
"""Weight of a landmark that cannot be seen, beside 1 for one that is seen from the front."""

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

_PERSONS, _SINGLES, _EACH = 400, 1600, 8
"""The neutral shape is fitted on at most so many groups, single pictures, and pictures a group."""

_STREAM = 4
"""Keeps the random choice of these pictures different from other ones of the same seed."""


@dataclass(frozen=True)
class NeutralShape:
    """A linear estimate of a face's landmarks without its expression.

    A frontal, left-right symmetric shape is the person's neutral one plus an expression. If both
    are normally distributed, with covariances B (over persons) and W (over pictures of a person),
    the best estimate of the neutral shape is ``neutral + B (B + W)^-1 (shape - neutral)``, the
    Wiener filter. B is measured on faces that look neutral, W on different pictures of a person.

    Attributes:
        mean: (936,) of all shapes.
        basis: (K, 936), principal components.
        neutral: (K,) mean of the neutral shapes.
        shrink: (K, K), B (B + W)^-1.
    """

    mean: Points
    basis: Points
    neutral: Points
    shrink: Points

    @classmethod
    def fit(cls, groups: Sequence[Points]) -> NeutralShape:
        """Measure it on landmarks (n, 468, 3) of n pictures each of some persons.

        Raises:
            DataError: too few faces, none of them neutral, or never two of a person.
        """
        every = [np.stack([frontal_shape(face, MESH_468) for face in group]) for group in groups]
        shapes = np.concatenate(every)
        yaws = np.array([abs(head_pose(face, MESH_468).yaw) for group in groups for face in group])
        shapes = _symmetric(shapes)
        looks = _looks_neutral(shapes) & (yaws < _MAX_YAW)
        owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        pairs = np.flatnonzero(owners[1:] == owners[:-1])
        least = 4 * _COMPONENTS
        if looks.sum() < least or len(pairs) < least:
            raise DataError(
                f"needs {least} neutral faces and {least} pairs of pictures of one person, found "
                f"{looks.sum()} and {len(pairs)}"
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

    def __call__(self, landmarks: Points) -> Points:
        """Landmarks (468, 3) -> the neutral, frontal ones (468, 2), in fractions of the crop."""
        shape = _symmetric(frontal_shape(landmarks, MESH_468))
        code = (shape.ravel() - self.mean) @ self.basis.T
        code = self.neutral + self.shrink @ (code - self.neutral)
        neutral: Points = (self.mean + code @ self.basis).reshape(-1, 2)
        return neutral

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> NeutralShape:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: it is damaged, or not what :meth:`save` wrote.
        """
        try:
            check_zip(path, _MAX_BYTES)
            with np.load(path, allow_pickle=False) as file:
                shape = cls(**{f.name: file[f.name] for f in fields(cls)})
            shape._check()
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: damaged, remove it to measure it again ({error})") from None
        return shape

    def _check(self) -> None:
        """Raises ValueError: an array has another shape or type, or a number is not finite."""
        length = 2 * MESH_468.count
        count = self.basis.shape[0] if self.basis.ndim else 0
        shapes = (length,), (count, length), (count,), (count, count)
        for (name, array), wanted in zip(vars(self).items(), shapes, strict=True):
            if array.shape != wanted or not np.issubdtype(array.dtype, np.floating):
                raise ValueError(f"{name} is {array.dtype}{array.shape}, not numbers {wanted}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")


def _symmetric(shapes: Points) -> Points:
    """Shapes (..., 468, 2) averaged with their mirror images."""
    symmetric: Points = (shapes + shapes[..., _MIRRORED, :] * [-1, 1] + [1, 0]) / 2
    return symmetric


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


class Guide(NamedTuple):
    """What the flows of N faces are asked for, in grid units (-1 to 1 over a picture).

    Attributes:
        target: (N, 468, 2), where the landmarks of the neutral face lie.
        source: (N, 468, 2), where the same landmarks lie on the face itself.
        weight: (N, 468), from 0 (unknown) to 1.
    """

    target: Tensor
    source: Tensor
    weight: Tensor


@dataclass(frozen=True)
class CropLandmarks:
    """The landmarks of one crop and of its neutral face, before augmentation.

    Attributes:
        source: (468, 2) float32 in fractions of the crop's side.
        target: (468, 2) float32, those of the neutral face.
        weight: (468,) float32, 0 if nothing is known.
    """

    source: Points
    target: Points
    weight: Points

    @classmethod
    def unknown(cls) -> CropLandmarks:
        """For a crop without a face: landmarks that guide nothing."""
        center = np.full((MESH_468.count, 2), 0.5, np.float32)
        return cls(center, center, np.zeros(MESH_468.count, np.float32))

    @classmethod
    def of(cls, landmarks: Points, neutral: NeutralShape) -> CropLandmarks:
        """From landmarks (468, 3) in fractions of the crop's side."""
        return cls(
            np.ascontiguousarray(landmarks[:, :2], np.float32),
            neutral(landmarks).astype(np.float32),
            np.maximum(visibility(landmarks, MESH_468), _OCCLUDED).astype(np.float32),
        )


class LandmarkBatch(NamedTuple):
    """The :class:`CropLandmarks` of N crops, on any device.

    Attributes:
        source: (N, 468, 2) float32.
        target: (N, 468, 2) float32.
        weight: (N, 468) float32.
    """

    source: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def stack(cls, crops: Sequence[CropLandmarks]) -> LandmarkBatch:
        """Those of at least one crop, on the CPU."""
        source = torch.from_numpy(np.stack([crop.source for crop in crops]))
        target = torch.from_numpy(np.stack([crop.target for crop in crops]))
        weight = torch.from_numpy(np.stack([crop.weight for crop in crops]))
        return cls(source, target, weight)

    def to(self, device: torch.device) -> LandmarkBatch:
        """The same on the device."""
        return LandmarkBatch(*(upload(tensor, device) for tensor in self))


def augmented_guide(landmarks: LandmarkBatch, drawn: Draw, size: int) -> Guide:
    """The guide of augmented faces, on the device of the landmarks.

    The neutral face does not move with the augmentation: the networks learn where in the crop it
    lies.

    Args:
        landmarks: of 2P crops, first views and then second views.
        drawn: what :func:`.augment.apply` did to the crops; on the CPU.
        size: side of the networks' input in pixels.
    """
    source, target, weight = landmarks
    theta, device = drawn.theta.flatten(0, 1), source.device
    # theta leads from the output to the input, and landmarks go from the input to the output. It is
    # inverted on the CPU: a GPU would be waited for, to say whether it could be.
    inverse = upload(torch.linalg.inv(theta[..., :2]), device)
    offset = upload(theta[..., 2].unsqueeze(1), device)
    flipped = upload((torch.linalg.det(theta[..., :2]) < 0).view(-1, 1), device)
    centered = 2 * source - 1 - offset
    source = (exact(inverse) @ exact(centered).mT).mT.float()
    order = _mirrored_on(device)
    source = torch.where(flipped.unsqueeze(-1), source[:, order], source)
    weight = torch.where(flipped, weight[:, order], weight)
    inside = (source.abs() <= 1).all(dim=-1)
    # Augmentation has pixel edges at -1 and 1, flows have pixel centers there.
    stretch = size / (size - 1)
    return Guide((2 * target - 1) * stretch, source * stretch, weight * inside)


@cache
def _mirrored_on(device: torch.device) -> Tensor:
    """Number of each landmark's mirror image, (468,), copied to a device once."""
    return torch.from_numpy(_MIRRORED).to(device)


class Guides:
    """The landmarks of a run's crops, measured when first needed. Threads may share one.

    Args:
        neutral: gives the landmarks of the neutral faces.
        keep: whether measured landmarks stay in memory, 9 kB a crop.
        measured: gives the landmarks (468, 3) of the crop with a number, None without a face; by
            default they are measured here.
    """

    def __init__(
        self,
        neutral: NeutralShape,
        *,
        keep: bool,
        measured: Callable[[int], Points | None] | None = None,
    ) -> None:
        self.neutral = neutral
        self._keep = keep
        self._measured = measured
        self._read = LandmarkReader()
        self._known: dict[int, CropLandmarks] = {}

    def of_crop(self, crop: int, image: RGBImage) -> CropLandmarks:
        """The landmarks of the crop with this number, whose pixels are (C, C, 3)."""
        found = self._known.get(crop)
        if found is None:
            landmarks = self._read(image) if self._measured is None else self._measured(crop)
            found = (
                CropLandmarks.unknown()
                if landmarks is None
                else CropLandmarks.of(landmarks, self.neutral)
            )
            if self._keep:
                self._known[crop] = found
        return found

    def of_views(self, views: Views) -> tuple[CropLandmarks, CropLandmarks]:
        """The landmarks of both views of a pair."""
        first, second = views.crops
        return self.of_crop(first, views.first), self.of_crop(second, views.second)


def fit_neutral_shape(
    store: FrameStore, seed: int, measured: Callable[[int], Points | None] | None = None
) -> NeutralShape:
    """Measure the neutral shape on a sample of the crops, always the same for one seed.

    Args:
        store: reads the crops.
        seed: of the run.
        measured: gives the landmarks of a crop, as :class:`Guides` takes it.

    Raises:
        DataError: there are too few faces.
    """
    index, read = store.index, LandmarkReader()
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
            if measured is not None:
                landmarks = measured(crop)
            else:
                image = store.frame(crop)
                landmarks = None if image is None else read(image)
            if landmarks is not None:
                faces.append(landmarks)
        if faces:
            groups.append(np.stack(faces))
    if not groups:
        raise DataError("found no face in the pictures")
    return NeutralShape.fit(groups)
