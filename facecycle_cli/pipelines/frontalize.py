"""The head turned to the front, the expression kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

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
)

Expression = Literal["keep", "remove"]
_MOTIONS = {"keep": motion.frontal, "remove": motion.neutral}


def frontalize(
    image: np.ndarray,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    faces: Which = "largest",
    expression: Expression = "keep",
    paste_back: bool = False,
) -> np.ndarray | list[np.ndarray]:
    """Turn the faces of a picture to the front.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        size: side of the crops.
        faces: ``largest``, or ``all``.
        expression: ``keep`` it, or ``remove`` it as :func:`neutralize` does.
        paste_back: put the faces back into the picture.

    Returns:
        as :func:`facecycle_cli.pipelines.neutralize.neutralize`.

    Raises:
        NoFaceError: there is no face.
    """
    model, backend = model or load(), backend or load_backend()
    (found,) = find_faces([image], backend, faces)
    portraits = frontal_portraits(image, found, model, size=size, expression=expression)
    if paste_back:
        return paste_portraits(image, portraits)
    crops = [portrait.result for portrait in portraits]
    return crops if faces == "all" else crops[0]


def frontalize_crops(
    model: FaceCycle, crops: np.ndarray, expression: Expression = "keep"
) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8, turned to the front at their own resolution."""
    return move_crops(model, crops, _MOTIONS[expression])[0]


def frontal_portraits(
    image: np.ndarray,
    faces: Sequence[Face],
    model: FaceCycle,
    *,
    size: int = DEFAULT_SIZE,
    expression: Expression = "keep",
) -> list[Portrait]:
    """Frontalise given faces of a picture (see :func:`frontalize`)."""
    return move_faces(image, faces, model, _MOTIONS[expression], size=size)
