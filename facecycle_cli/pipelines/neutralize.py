"""The de-expressed face: frontal and neutral; and on to the mean face, with no identity left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from facecycle_cli.faces import Face, FaceBackend, load_backend
from facecycle_cli.model import FaceCycle, load

from . import motion
from .portraits import (
    DEFAULT_SIZE,
    Portrait,
    Which,
    find_faces,
    move_crops,
    move_faces,
    paste_portraits,
    shrink,
)
from .render import resize


def neutralize(
    image: np.ndarray,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    faces: Which = "largest",
    mean: bool = False,
    paste_back: bool = False,
) -> np.ndarray | list[np.ndarray]:
    """Make the faces of a picture frontal and neutral.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        size: side of the crops.
        faces: ``largest``, or ``all``.
        mean: go on to the mean face.
        paste_back: put the faces back into the picture.

    Returns:
        the picture with ``paste_back``; else one crop (size, size, 3), or with ``faces="all"`` a
        list of crops, largest face first.

    Raises:
        NoFaceError: there is no face.
    """
    model, backend = model or load(), backend or load_backend()
    (found,) = find_faces([image], backend, faces)
    portraits = neutral_portraits(image, found, model, size=size, mean=mean)
    if paste_back:
        return paste_portraits(image, portraits)
    crops = [portrait.result for portrait in portraits]
    return crops if faces == "all" else crops[0]


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
) -> list[Portrait]:
    """Neutralise given faces of a picture (see :func:`neutralize`)."""
    portraits = move_faces(image, faces, model, motion.neutral, size=size)
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
