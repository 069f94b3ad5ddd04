"""Faces for the GPU benchmark: the portraits of ``examples/``, cropped with random similarities.

A few people are enough to measure speed, and to see whether losses fall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facecycle_cli.faces.alignment import Alignment
from facecycle_cli.faces.mesh_backend import MeshBackend
from facecycle_cli.training.data.batches import Batch
from facecycle_cli.training.guidance import CropLandmarks, LandmarkBatch
from facecycle_cli.types import RGBImage

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "faces"
"""``personN_neutral.jpg`` and ``personN_smiling.jpg``."""

MARGIN = 1.25
"""Side of a crop over that of the networks' input, as ``train`` keeps crops."""

_DIFFERENT = 48
"""Crops that the faces of a batch are taken from."""

_GROUPS, _EACH = 48, 8
"""Folders of the training data, and crops in each: half of them smile. The neutral shape, which
guides the flows, needs so many neutral faces.
"""

_DEGREES, _SCALE, _SHIFT = 8.0, 0.08, 0.03
"""Largest rotation, change of scale, and shift in sides of the crop."""


@dataclass(frozen=True)
class Portrait:
    """One of the examples' photographs.

    Attributes:
        person: the beginning of its name.
        image: (H, W, 3) uint8 RGB.
        landmarks: (468, 2), in pixels of the photograph.
        alignment: of the face, without a random similarity.
    """

    person: str
    image: RGBImage
    landmarks: np.ndarray
    alignment: Alignment

    def crop(self, rng: np.random.Generator) -> tuple[RGBImage, np.ndarray]:
        """The crop under a random similarity, and its landmarks in fractions of its side."""
        side = self.alignment.size
        angle = math.radians(rng.uniform(-_DEGREES, _DEGREES))
        scale = rng.uniform(1 - _SCALE, 1 + _SCALE)
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        middle = np.full(2, (side - 1) / 2)
        shift = middle - turn @ middle + side * rng.uniform(-_SHIFT, _SHIFT, 2)
        matrix = turn @ self.alignment.matrix
        matrix[:, 2] += shift
        moved = Alignment(matrix, side)
        return moved.crop(self.image), (moved.apply(self.landmarks) + 0.5) / side


@cache
def read_portraits(size: int) -> tuple[Portrait, ...]:
    """All portraits of :data:`FOLDER`, for networks that take faces of this size in pixels."""
    backend = MeshBackend()
    found = []
    for file in sorted(FOLDER.glob("*.jpg")):
        with Image.open(file) as picture:
            image = np.asarray(picture.convert("RGB"))
        face = backend.detect([image])[0][0]
        alignment = Alignment.from_face(face, round(size * MARGIN))
        person = file.stem.partition("_")[0]
        found.append(Portrait(person, image, face.landmarks[:, :2], alignment))
    return tuple(found)


def make_batch(
    portraits: tuple[Portrait, ...], faces: int, device: torch.device, *, guided: bool
) -> Batch:
    """A batch of ``faces`` crops on the device, with landmarks if it is ``guided``."""
    rng = np.random.default_rng(0)
    crops, marks = zip(
        *(portraits[i % len(portraits)].crop(rng) for i in range(min(faces, _DIFFERENT))),
        strict=True,
    )
    chosen = np.arange(faces) % len(crops)
    neutral = np.mean(marks, axis=0).astype(np.float32)
    known = [
        CropLandmarks(mark.astype(np.float32), neutral, np.ones(len(mark), np.float32))
        for mark in marks
    ]
    pixels = torch.from_numpy(np.stack(crops)[chosen]).to(device)
    return Batch(
        step=0,
        views=pixels.unflatten(0, (2, -1)),
        mirrored=torch.arange(faces // 2) % 2 == 0,
        persons=torch.arange(faces // 2),
        landmarks=LandmarkBatch.stack([known[i] for i in chosen]).to(device) if guided else None,
    )


def write_crops(portraits: tuple[Portrait, ...], folder: Path) -> None:
    """Write training data: folders of crops of one person, neutral and smiling."""
    rng = np.random.default_rng(1)
    persons = sorted({portrait.person for portrait in portraits})
    for group in range(_GROUPS):
        own = [p for p in portraits if p.person == persons[group % len(persons)]]
        target = folder / f"group{group:02d}"
        target.mkdir(parents=True)
        for number in range(_EACH):
            crop, _ = own[number % len(own)].crop(rng)
            Image.fromarray(crop).save(target / f"{number}.jpg", quality=95)
