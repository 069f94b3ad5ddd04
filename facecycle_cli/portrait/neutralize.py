"""The de-expressed face: frontal and neutral; and on to the mean face, with no identity left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch

from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait import motions as motion
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.mouth import MouthMotion
from facecycle_cli.portrait.portraits import (
    DEFAULT_SIZE,
    One,
    Options,
    Portrait,
    Which,
    move_crops,
    move_faces,
    portray,
    shrink,
)
from facecycle_cli.portrait.render import resize

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def neutralize(
    image: np.ndarray,
    *,
    faces: Literal["largest"] = ...,
    mean: bool = ...,
    mouth: MouthMotion = ...,
    **options: Unpack[Options],
) -> np.ndarray: ...
@overload
def neutralize(
    image: np.ndarray,
    *,
    faces: Literal["all"],
    mean: bool = ...,
    mouth: MouthMotion = ...,
    **options: Unpack[Options],
) -> One: ...
@overload
def neutralize(
    image: Sequence[np.ndarray],
    *,
    faces: Literal["largest"] = ...,
    mean: bool = ...,
    mouth: MouthMotion = ...,
    **options: Unpack[Options],
) -> list[np.ndarray | None]: ...
@overload
def neutralize(
    image: Sequence[np.ndarray],
    *,
    faces: Literal["all"],
    mean: bool = ...,
    mouth: MouthMotion = ...,
    **options: Unpack[Options],
) -> list[One | None]: ...
def neutralize(
    image: np.ndarray | Sequence[np.ndarray],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    faces: Which = "largest",
    mean: bool = False,
    mouth: MouthMotion = "landmarks",
    paste_back: bool = False,
) -> One | list[Any]:
    """Make the faces of a picture frontal and neutral.

    Args:
        image: (H, W, 3) uint8 RGB; or many of them, as a stack (N, H, W, 3) or a sequence.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        size: side of the crops.
        faces: ``largest``, or ``all``.
        mean: go on to the mean face.
        mouth: ``landmarks``: the lips meet, wherever the face's landmarks say they are. ``flow``:
            the networks' flow closes the mouth as far as it can, and teeth may stay to be seen.
        paste_back: put the faces back into the picture.

    Returns:
        for one picture: with ``paste_back`` the whole picture; else a crop (size, size, 3), or with
        ``faces="all"`` a list of crops, largest face first. For a stack a stack; for a sequence a
        list with what each picture gives, None for one without a face.

    Raises:
        NoFaceError: the picture, or one of the stack, has no face.
        ValueError: not uint8 RGB; or all faces of a stack are asked for.
    """
    networks = model or default_model()

    def make(picture: np.ndarray, found: Sequence[Face]) -> list[Portrait]:
        return neutral_portraits(picture, found, networks, size=size, mean=mean, mouth=mouth)

    return portray(image, make, backend or default_backend(), faces=faces, paste_back=paste_back)


def neutralize_crops(model: FaceCycle, crops: np.ndarray) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8, made frontal and neutral at their own resolution."""
    return move_crops(model, crops, motion.neutral)[0]


def neutral_portraits(
    image: np.ndarray,
    faces: Sequence[Face],
    model: FaceCycle,
    *,
    size: int = DEFAULT_SIZE,
    mean: bool = False,
    mouth: MouthMotion = "landmarks",
) -> list[Portrait]:
    """Neutralize given faces of a picture (see :func:`neutralize`)."""
    move = motion.neutral if mouth == "landmarks" else motion.neutral_by_flow
    portraits = move_faces(image, faces, model, move, size=size)
    if not mean:
        return portraits
    crops = np.stack([portrait.crop for portrait in portraits])
    return [
        Portrait(p.face, p.alignment, p.crop, result, p.flow)
        for p, result in zip(portraits, mean_faces(model, crops), strict=True)
    ]


@torch.inference_mode()
def mean_faces(model: FaceCycle, crops: np.ndarray) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8 -> their mean faces (N, H, H, 3) uint8.

    The mean face holds nothing of the person, so it has no detail to take from the photograph: it
    is the network's picture, enlarged.
    """
    x = model.to_input(shrink(crops, model.config.image_size))
    code = model.encode_identity(x)
    mean = model.de_identify(motion.neutral(model, x).generated, code)
    return model.to_image(resize(mean, crops.shape[1])).numpy()
