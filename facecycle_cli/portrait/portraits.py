"""The one way through a photograph: find the faces, move them, put them back.

Commands, library functions and evaluations all call :func:`portraits` or
:func:`portraits_of_many`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from facecycle_cli.errors import FaceError, MediaError, NoFaceError
from facecycle_cli.faces import Alignment, Face, FaceBackend, paste_back, search_photos
from facecycle_cli.faces.choice import FaceChoice, accepts_faces, choose_faces
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.portrait.defaults import DEFAULT_SIZE, default_backend, default_model
from facecycle_cli.portrait.dials import scaled_flows
from facecycle_cli.portrait.features import Mouth
from facecycle_cli.portrait.landmarks import FaceLandmarks, correct_flows, landmarks_of
from facecycle_cli.portrait.likeness import open_choice
from facecycle_cli.portrait.motions import PortraitMotion, require_finite
from facecycle_cli.portrait.render import Openings, render, resize
from facecycle_cli.types import RGBImage

__all__ = [
    "Portrait",
    "check_picture",
    "find_faces",
    "head_outline",
    "move_aligned",
    "move_crops",
    "move_faces",
    "paste_portraits",
    "portraits",
    "portraits_of_many",
    "replaced_region",
    "wide_crop",
]

_MARGIN = 4
"""One part in this many of a crop's side is taken from the photograph around it on each side: the
flow reaches beyond the crop."""

_TURNED = 12.0
"""Degrees of yaw from which more than the oval of the face is put back into a picture."""

_HEAD_CENTER, _HEAD_RADII = np.array((0.5, 0.53)), np.array((0.46, 0.5))
"""The ellipse of a frontal head with its hair, as fractions of the crop's side."""

_PIXELS_AT_ONCE = 1 << 22
"""Of the results of faces that are moved together: 64 faces at 256, one at 2048 pixels."""

_BATCH = 16
"""Pictures in which faces are searched for at once."""


@dataclass(frozen=True)
class Portrait:
    """One face of a picture, before and after its motion.

    Attributes:
        face: as it was found, in pixels of the picture.
        alignment: from the picture to the crop.
        crop: the input's crop, (size, size, 3) uint8.
        result: the moved crop, (size, size, 3) uint8.
        flow: from the result to the crop, (2, h, w) float32 in grid units.
        turned: whether the dials of its motion leave the head at an angle.
    """

    face: Face
    alignment: Alignment
    crop: RGBImage
    result: RGBImage
    flow: np.ndarray
    turned: bool = False


@accepts_faces
def portraits(
    image: RGBImage,
    motion: PortraitMotion,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    face: FaceChoice = "largest",
    size: int = DEFAULT_SIZE,
) -> list[Portrait]:
    """Move the faces of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        motion: a constant of :mod:`facecycle_cli.portrait.motions`.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        face: which of the faces: ``largest``, ``all``, ``left``, ``right``, a number from 1 (the
            largest) on, ``like:FILE``, or a function: see :data:`.FaceChoice`.
        size: side of the crops in pixels.

    Returns:
        One portrait per face, the largest face first; at least one.

    Raises:
        MediaError: this is no picture.
        NoFaceError: it has no face, or no such face.
        SettingsError: there is no such choice.
    """
    model, backend = model or default_model(), backend or default_backend()
    face = open_choice(face, model, backend)
    return move_faces(image, find_faces(image, backend, face), model, motion, size=size)


@accepts_faces
def portraits_of_many(
    images: Iterable[RGBImage],
    motion: PortraitMotion,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    face: FaceChoice = "largest",
    size: int = DEFAULT_SIZE,
) -> Iterator[list[Portrait]]:
    """:func:`portraits` of every picture, in order; an empty list for one without such a face.

    Pictures are taken and faces are searched for in batches of 16. No more than that is in memory.

    Raises:
        MediaError: one of them is no picture.
        SettingsError: there is no such choice.
    """
    model, backend = model or default_model(), backend or default_backend()
    face = open_choice(face, model, backend)
    numbered = enumerate(images)
    while batch := list(itertools.islice(numbered, _BATCH)):
        for number, image in batch:
            check_picture(image, f"picture {number}")
        pictures = [image for _, image in batch]
        for image, found in zip(pictures, search_photos(pictures, backend), strict=True):
            try:
                chosen = choose_faces(image, found.faces, face)
            except NoFaceError:
                yield []
            else:
                yield move_faces(image, chosen, model, motion, size=size)


def find_faces(image: RGBImage, backend: FaceBackend, face: FaceChoice = "largest") -> list[Face]:
    """The chosen faces of a picture, largest first; at least one.

    Raises:
        MediaError: this is no picture.
        CutFaceError: its border cuts off all its faces.
        NoFaceError: it has no face, or no such face.
    """
    check_picture(image)
    (found,) = search_photos([image], backend)
    return choose_faces(image, found.require(), face)


def check_picture(image: np.ndarray, name: str = "picture") -> None:
    """Check that this is an RGB picture.

    Raises:
        MediaError: it is not (H, W, 3) uint8, or it is empty.
    """
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise MediaError(f"{name} must be uint8 RGB (H, W, 3), not {array.dtype} {array.shape}")


def move_faces(
    image: RGBImage,
    faces: Sequence[Face],
    model: FaceCycle,
    motion: PortraitMotion,
    *,
    size: int = DEFAULT_SIZE,
) -> list[Portrait]:
    """Move faces that were found in a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: found in it; at least one.
        model: the networks.
        motion: what to do with them.
        size: side of the crops in pixels.

    Raises:
        FaceError: a face cannot be aligned.
    """
    alignments = [Alignment.from_face(face, size) for face in faces]
    at_once = max(1, _PIXELS_AT_ONCE // size**2)
    made: list[Portrait] = []
    for start in range(0, len(faces), at_once):
        part = slice(start, start + at_once)
        wide = np.stack([wide_crop(image, alignment) for alignment in alignments[part]])
        made += move_aligned(faces[part], alignments[part], wide, model, motion)
    return made


def wide_crop(image: RGBImage, alignment: Alignment) -> RGBImage:
    """The crop of a picture with a quarter of its side around it, where the flow reaches."""
    return alignment.widened(alignment.size // _MARGIN).crop(image)


def move_aligned(
    faces: Sequence[Face],
    alignments: Sequence[Alignment],
    wide: np.ndarray,
    model: FaceCycle,
    motion: PortraitMotion,
) -> list[Portrait]:
    """Move N faces that are cut out already.

    Args:
        faces: as they were found in their pictures.
        alignments: from each one's picture to its crop; of one size.
        wide: the crops as :func:`wide_crop` makes them.
        model: the networks.
        motion: what to do with them.
    """
    size = alignments[0].size
    margin = (wide.shape[1] - size) // 2
    widened = [alignment.widened(margin) for alignment in alignments]
    crops = np.ascontiguousarray(wide[:, margin : margin + size, margin : margin + size])
    mouths = [
        Mouth(face, alignment.matrix, picture)
        for face, alignment, picture in zip(faces, widened, wide, strict=True)
    ]
    landmarks = []
    if motion.shape is not None:
        mouth = motion.closes_mouth or motion.shape == "own"
        landmarks = landmarks_of(faces, alignments, motion.shape, mouth=mouth, dials=motion.dials)
    if not landmarks and motion.dials.pitch is not None:
        raise FaceError("these landmarks turn no head to a pitch: those of the mesh do")
    results, flows = move_crops(
        model,
        crops,
        motion,
        wide=wide,
        mouths=mouths,
        landmarks=landmarks,
        yaws=[face.pose.yaw for face in faces],
    )
    turned = motion.dials.has_angle
    parts = zip(faces, alignments, crops, results, flows, strict=True)
    return [Portrait(*part, turned=turned) for part in parts]


@torch.inference_mode()
def move_crops(
    model: FaceCycle,
    crops: np.ndarray,
    motion: PortraitMotion,
    *,
    wide: np.ndarray | None = None,
    mouths: Sequence[Mouth] = (),
    landmarks: Sequence[FaceLandmarks] = (),
    yaws: Sequence[float] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Move aligned crops, at their own resolution.

    Args:
        model: the networks.
        crops: (N, H, H, 3) uint8 RGB, aligned as :class:`~facecycle_cli.faces.Alignment` does it.
        motion: what to do with them.
        wide: the crops with the photograph around them, (N, H + 2 * M, H + 2 * M, 3) uint8; None:
            the borders of the crops are repeated.
        mouths: N, of the faces, in pixels of ``wide``, for a motion that closes them; or none.
        landmarks: N, of the faces, which correct the flow, and lips and lids; or none: the
            networks move the faces alone.
        yaws: N, of the heads in degrees, which the dials of a motion may need without landmarks.

    Returns:
        The moved crops (N, H, H, 3) uint8, and the flows (N, 2, h, w) float32 from them to
        ``crops``, in grid units.

    Raises:
        CommandError: the networks make numbers that are not finite.
    """
    margin = 0 if wide is None else (wide.shape[1] - crops.shape[1]) // 2
    openings: list[Openings] = []

    def correct(flow: torch.Tensor) -> torch.Tensor:
        require_finite(flow)
        if not landmarks:
            return scaled_flows(flow, yaws or [0.0] * len(flow), motion.dials)
        corrected, found = correct_flows(flow, landmarks, crops.shape[1], margin)
        openings.extend(found)
        return corrected

    x = model.to_input(resize_crops(crops, model.config.image_size))
    corrects = landmarks or not motion.dials.are_neutral
    moved = motion.move(model, x, correct) if corrects else motion.move(model, x)
    require_finite(*moved)
    if motion.warps_photo:
        photo = _normalized(model, crops if wide is None else wide)
        result = render(
            photo,
            moved.flow,
            moved.generated,
            margin=margin,
            frontal=motion.faces_camera,
            close=mouths if motion.closes_mouth and not openings else (),
            openings=openings,
            change=motion.dials.change,
        )
    else:
        result = resize(moved.generated, crops.shape[1])
    return model.to_image(result).numpy(), moved.flow.cpu().numpy()


def _normalized(model: FaceCycle, crops: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, H, 3) of any size -> normalized (N, 3, H, H) on the model's device."""
    pixels = torch.from_numpy(crops).to(model.device).permute(0, 3, 1, 2).float() / 255
    return (pixels - model.input_mean) / model.input_std


def paste_portraits(image: RGBImage, portraits: Sequence[Portrait]) -> RGBImage:
    """The picture with every result in its face's position, smallest face first.

    Args:
        image: (H, W, 3) uint8 RGB, the picture that the portraits are of.
        portraits: largest face first. One that is its own crop changes nothing.
    """
    for portrait in reversed(portraits):
        if np.array_equal(portrait.result, portrait.crop):
            continue  # nothing moved: the pixels of the picture are better than those of its crop
        region = replaced_region(portrait)
        image = paste_back(image, portrait.result, portrait.alignment, region)
    return image


def replaced_region(portrait: Portrait) -> np.ndarray:
    """The polygon of the picture that a result replaces, (K, 2) float32.

    It is the face's oval. For a head that was turned it is the whole head, since a frontal face is
    wider than what was visible of it.
    """
    oval = portrait.face.oval
    if abs(portrait.face.pose.yaw) < _TURNED and not portrait.turned:
        return oval
    points = np.concatenate((oval, head_outline(portrait)))
    return cv2.convexHull(points.astype(np.float32))[:, 0]


def head_outline(portrait: Portrait) -> np.ndarray:
    """The outline of the whole frontal head, in pixels of the picture, (K, 2)."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    head = (_HEAD_CENTER + _HEAD_RADII * circle) * portrait.alignment.size - 0.5
    return portrait.alignment.apply_inverse(head)
