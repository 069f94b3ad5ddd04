"""Landmarks that guide the flows: where a face's landmarks lie, and where on its neutral face.

Not in the paper, and only used if the weight ``guide`` is above 0. A face differs from its neutral,
frontal face mostly in geometry, which a face mesh measures. Two things are removed from a face's
468 landmarks: the turn of the head, in three dimensions, and the expression, statistically
(:mod:`.neutral_shape`). The flow of the face is asked to lead from the landmarks of the face to
those that remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.faces.canonical import frontal_and_visible
from facecycle_cli.faces.neutral_estimate import symmetric
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.training.augment import Draw
from facecycle_cli.training.data.frames import Views
from facecycle_cli.training.landmarks import LandmarkSource, Points
from facecycle_cli.training.neutral_shape import NeutralEstimate
from facecycle_cli.training.precision import exact
from facecycle_cli.training.shapes import MIRRORED
from facecycle_cli.training.transfer import upload
from facecycle_cli.types import RGBImage

_FEATURES = {
    *chain(*MESH_468.left_lids, *MESH_468.right_lids),
    *MESH_468.left_brow,
    *MESH_468.right_brow,
    *MESH_468.upper_lip,
    *MESH_468.lower_lip,
    *MESH_468.mouth,
    *MESH_468.outer_lips,
}
"""The landmarks of eyebrows, lids and lips."""

_FEATURE_WEIGHT = 4.0
"""What the setting ``features`` adds to the weight of such a landmark at most."""

_OCCLUDED = 0.1
"""Weight of a landmark that cannot be seen, beside 1 for one that is seen from the front."""


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
    def of(cls, landmarks: Points, neutral: NeutralEstimate) -> CropLandmarks:
        """From landmarks (468, 3) in fractions of the crop's side."""
        front, in_view = frontal_and_visible(landmarks, MESH_468)
        return cls(
            np.ascontiguousarray(landmarks[:, :2], np.float32),
            neutral.of_shape(symmetric(front)).astype(np.float32),
            np.maximum(in_view, _OCCLUDED).astype(np.float32),
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


def augmented_guide(
    landmarks: LandmarkBatch, drawn: Draw, size: int, features: float = 0.0
) -> Guide:
    """The guide of augmented faces, on the device of the landmarks.

    The neutral face does not move with the augmentation: the networks learn where in the crop it
    lies.

    Args:
        landmarks: of 2P crops, first views and then second views.
        drawn: what :func:`.augment.apply` did to the crops; on the CPU.
        size: side of the networks' input in pixels.
        features: how much more eyebrows, lids and lips count, from 0 to 1 (five times as much).
    """
    source, target, weight = landmarks
    weight = weight * (1 + features * _features_on(weight.device))
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
def _features_on(device: torch.device) -> Tensor:
    """:data:`_FEATURE_WEIGHT` at the landmarks of eyebrows, lids and lips, 0 at others, (468,)."""
    weights = torch.zeros(MESH_468.count)
    weights[list(_FEATURES)] = _FEATURE_WEIGHT
    return weights.to(device)


@cache
def _mirrored_on(device: torch.device) -> Tensor:
    """Number of each landmark's mirror image, (468,), copied to a device once."""
    return torch.from_numpy(MIRRORED).to(device)


class Guides:
    """The landmarks of a run's crops, found when first needed. Threads may share one.

    Args:
        neutral: gives the landmarks of the neutral faces.
        landmarks: gives those of the faces.
        keep: whether they stay in memory, 9 kB a crop.
    """

    def __init__(self, neutral: NeutralEstimate, landmarks: LandmarkSource, *, keep: bool) -> None:
        self.neutral = neutral
        self._landmarks = landmarks
        self._keep = keep
        self._known: dict[int, CropLandmarks] = {}

    def of_crop(self, crop: int, image: RGBImage) -> CropLandmarks:
        """The landmarks of the crop with this number, whose pixels are (C, C, 3)."""
        found = self._known.get(crop)
        if found is None:
            landmarks = self._landmarks.of_crop(crop, image)
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
