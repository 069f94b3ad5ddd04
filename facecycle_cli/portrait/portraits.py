"""What neutralize and frontalize share: faces out of a picture, moved, and back into it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import cv2
import numpy as np
import torch

from facecycle_cli.errors import NoFaceError
from facecycle_cli.faces import Alignment, Face, FaceBackend, paste_back
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.motions import Moved
from facecycle_cli.portrait.mouth import Mouth
from facecycle_cli.portrait.render import render

Motion = Callable[[FaceCycle, torch.Tensor], Moved]
Which = Literal["largest", "all"]

DEFAULT_SIZE = 256
"""Side of the crops that are moved and returned, in pixels."""

_TURNED = 12.0
"""Degrees of yaw from which more than the oval of the face is put back into a picture."""

_HEAD_CENTER, _HEAD_RADII = np.array((0.5, 0.53)), np.array((0.46, 0.5))
"""The ellipse of a frontal head with its hair, as fractions of the crop's side."""

_BATCH = 16
"""Pictures in which faces are looked for at once."""


class Options(TypedDict, total=False):
    """What neutralize and frontalize may be told besides the pictures; see there."""

    model: FaceCycle | None
    backend: FaceBackend | None
    size: int
    paste_back: bool


One = np.ndarray | list[np.ndarray]
"""What becomes of one picture: a picture, or with ``faces="all"`` the crops of its faces."""


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


def portray(
    pictures: np.ndarray | Sequence[np.ndarray],
    make: Callable[[np.ndarray, Sequence[Face]], list[Portrait]],
    backend: FaceBackend,
    *,
    faces: Which,
    paste_back: bool,
) -> One | list[One | None]:
    """Make portraits of one picture or of many: see :func:`.neutralize.neutralize`.

    Args:
        pictures: (H, W, 3) uint8 RGB, a stack (N, H, W, 3), or a sequence of pictures.
        make: the portraits of some faces of a picture.
        backend: finds the faces.
        faces: which of them.
        paste_back: put them back into their picture.

    Raises:
        NoFaceError: the one picture, or one of the stack, has no face.
        ValueError: not such pictures.
    """

    def one(image: np.ndarray, found: Sequence[Face]) -> One:
        portraits = make(image, found)
        if paste_back:
            return paste_portraits(image, portraits)
        crops = [portrait.result for portrait in portraits]
        return crops if faces == "all" else crops[0]

    if isinstance(pictures, np.ndarray) and pictures.ndim != 4:
        check_picture(pictures)
        (found,) = find_faces([pictures], backend, faces)
        return one(pictures, found)
    for number, picture in enumerate(pictures):
        check_picture(picture, f"picture {number}")
    results: list[One | None] = []
    waiting = iter(pictures)
    while batch := list(itertools.islice(waiting, _BATCH)):
        for image, found in zip(batch, backend.detect(batch), strict=True):
            chosen = found if faces == "all" else found[:1]
            results.append(one(image, chosen) if chosen else None)
    return _stacked(results) if isinstance(pictures, np.ndarray) else results


def _stacked(results: list[One | None]) -> np.ndarray:
    pictures = []
    for number, result in enumerate(results):
        if result is None:
            raise NoFaceError(f"picture {number}: no face found")
        if isinstance(result, list):
            raise ValueError("all faces of a stack make no stack: give a list of pictures")
        pictures.append(result)
    return np.stack(pictures) if pictures else np.empty((0, 0, 0, 3), np.uint8)


def check_picture(image: np.ndarray, name: str = "picture") -> None:
    """Raise `ValueError` if this is no (H, W, 3) uint8."""
    shape, dtype = np.shape(image), getattr(image, "dtype", type(image).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"{name} must be uint8 RGB (H, W, 3), not {dtype} {shape}")


@torch.inference_mode()
def move_crops(
    model: FaceCycle,
    crops: np.ndarray,
    motion: Motion,
    *,
    wide: np.ndarray | None = None,
    mouths: Sequence[Mouth] = (),
) -> tuple[np.ndarray, Moved]:
    """Give aligned crops a motion, at their own resolution.

    Args:
        model: the networks.
        crops: (N, H, H, 3) uint8 RGB, aligned as :class:`Alignment` does it.
        motion: one of :mod:`facecycle_cli.portrait.motions`.
        wide: the same with what lies around them, (N, H + 2 * M, H + 2 * M, 3) uint8; without it
            the borders of the crops are repeated.
        mouths: of the faces, in pixels of ``wide``; a motion to rest shuts them.

    Returns:
        the moved crops (N, H, H, 3) uint8, and the motion.
    """
    moved = motion(model, model.to_input(shrink(crops, model.config.image_size)))
    photo = to_photo(model, crops if wide is None else wide)
    margin = (photo.shape[-1] - crops.shape[1]) // 2
    result = render(
        photo,
        moved.flow,
        moved.generated,
        margin=margin,
        symmetric=moved.symmetric,
        shut=mouths if moved.at_rest else (),
    )
    return model.to_image(result).numpy(), moved


def to_photo(model: FaceCycle, crops: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, H, 3) of any size -> normalized (N, 3, H, H) on the model's device."""
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
    margin = size // 4
    widened = [alignment.widened(margin) for alignment in alignments]
    wide = np.stack([alignment.crop(image) for alignment in widened])
    crops = np.ascontiguousarray(wide[:, margin : margin + size, margin : margin + size])
    mouths = [
        Mouth(face, alignment.matrix, picture)
        for face, alignment, picture in zip(faces, widened, wide, strict=True)
    ]
    results, moved = move_crops(model, crops, motion, wide=wide, mouths=mouths)
    flows = moved.flow.cpu().numpy()
    return [Portrait(*each) for each in zip(faces, alignments, crops, results, flows, strict=True)]


def paste_portraits(image: np.ndarray, portraits: Sequence[Portrait]) -> np.ndarray:
    """The picture with every result in its face's place, smallest face first."""
    for portrait in reversed(portraits):
        image = paste_back(image, portrait.result, portrait.alignment, replaced(portrait))
    return image


def replaced(portrait: Portrait) -> np.ndarray:
    """What of the picture a result takes the place of, (K, 2) float32, a polygon.

    The face's oval; for a head that was turned aside all of the head, since a frontal face is
    wider than what was to be seen of it.
    """
    oval = portrait.face.oval
    if abs(portrait.face.pose.yaw) < _TURNED:
        return oval
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    head = (_HEAD_CENTER + _HEAD_RADII * circle) * portrait.alignment.size - 0.5
    points = np.concatenate((oval, portrait.alignment.apply_inverse(head)))
    return cv2.convexHull(points.astype(np.float32))[:, 0]
