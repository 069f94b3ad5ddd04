"""What neutralize and frontalize share: faces out of a picture, moved, and back into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch

from facecycle_cli.faces import Alignment, Face, FaceBackend, NoFaceError, paste_back
from facecycle_cli.model import FaceCycle

from .motion import Moved
from .render import render

Motion = Callable[[FaceCycle, torch.Tensor], Moved]
Which = Literal["largest", "all"]

DEFAULT_SIZE = 256
"""Side of the crops that are moved and returned, in pixels."""


@dataclass(frozen=True)
class Portrait:
    """One face of a picture, and what became of it.

    Attributes:
        face: as it was found, in the picture's pixels.
        alignment: from the picture to the crop.
        crop: the input's crop, (size, size, 3) uint8.
        result: the moved crop, (size, size, 3) uint8.
        flow: from the result to the crop, (2, h, w) float32 in grid units.
    """

    face: Face
    alignment: Alignment
    crop: np.ndarray
    result: np.ndarray
    flow: np.ndarray


def find_faces(
    images: Sequence[np.ndarray], backend: FaceBackend, which: Which = "largest"
) -> list[list[Face]]:
    """The faces of every picture, largest first.

    Raises:
        NoFaceError: a single picture was given and has no face.
    """
    found = backend.detect(images)
    if len(images) == 1 and not found[0]:
        raise NoFaceError("no face found")
    return [faces if which == "all" else faces[:1] for faces in found]


@torch.inference_mode()
def move_crops(model: FaceCycle, crops: np.ndarray, motion: Motion) -> tuple[np.ndarray, Moved]:
    """Give aligned crops a motion, at their own resolution.

    Args:
        model: the networks.
        crops: (N, H, H, 3) uint8 RGB, aligned as :class:`Alignment` does it.
        motion: one of :mod:`facecycle_cli.pipelines.motion`.

    Returns:
        the moved crops (N, H, H, 3) uint8, and the motion.
    """
    moved = motion(model, model.to_input(shrink(crops, model.config.image_size)))
    photo = to_photo(model, crops)
    return model.to_image(render(photo, moved.flow, moved.generated)).numpy(), moved


def to_photo(model: FaceCycle, crops: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, H, 3) of any size -> normalised (N, 3, H, H) on the model's device."""
    pixels = torch.from_numpy(crops).to(model.device).permute(0, 3, 1, 2).float() / 255
    return (pixels - model.input_mean) / model.input_std


def shrink(crops: np.ndarray, side: int) -> np.ndarray:
    """Crops (N, H, H, 3) at the networks' size, antialiased."""
    if crops.shape[1] == side:
        return crops
    method = cv2.INTER_AREA if crops.shape[1] > side else cv2.INTER_CUBIC
    return np.stack([cv2.resize(crop, (side, side), interpolation=method) for crop in crops])


def move_faces(
    image: np.ndarray,
    faces: Sequence[Face],
    model: FaceCycle,
    motion: Motion,
    *,
    size: int = DEFAULT_SIZE,
) -> list[Portrait]:
    """Move some faces of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: found in it.
        model: the networks.
        motion: what to do with them.
        size: side of the crops.
    """
    alignments = [Alignment.from_face(face, size) for face in faces]
    crops = np.stack([alignment.crop(image) for alignment in alignments])
    results, moved = move_crops(model, crops, motion)
    flows = moved.flow.cpu().numpy()
    return [Portrait(*each) for each in zip(faces, alignments, crops, results, flows, strict=True)]


def paste_portraits(image: np.ndarray, portraits: Sequence[Portrait]) -> np.ndarray:
    """The picture with every result in its face's place, smallest face first."""
    for portrait in reversed(portraits):
        image = paste_back(image, portrait.result, portrait.alignment, portrait.face.oval)
    return image
