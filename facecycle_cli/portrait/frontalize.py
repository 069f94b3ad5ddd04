"""The head turned to the front, the expression kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait import motions as motion
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.portraits import (
    DEFAULT_SIZE,
    One,
    Options,
    Portrait,
    Which,
    move_crops,
    move_faces,
    portray,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

Expression = Literal["keep", "remove"]
_MOTIONS = {"keep": motion.frontal, "remove": motion.neutral}


@overload
def frontalize(
    image: np.ndarray,
    *,
    faces: Literal["largest"] = ...,
    expression: Expression = ...,
    **options: Unpack[Options],
) -> np.ndarray: ...
@overload
def frontalize(
    image: np.ndarray,
    *,
    faces: Literal["all"],
    expression: Expression = ...,
    **options: Unpack[Options],
) -> One: ...
@overload
def frontalize(
    image: Sequence[np.ndarray],
    *,
    faces: Literal["largest"] = ...,
    expression: Expression = ...,
    **options: Unpack[Options],
) -> list[np.ndarray | None]: ...
@overload
def frontalize(
    image: Sequence[np.ndarray],
    *,
    faces: Literal["all"],
    expression: Expression = ...,
    **options: Unpack[Options],
) -> list[One | None]: ...
def frontalize(
    image: np.ndarray | Sequence[np.ndarray],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    faces: Which = "largest",
    expression: Expression = "keep",
    paste_back: bool = False,
) -> One | list[Any]:
    """Turn the faces of a picture to the front.

    Args:
        image: (H, W, 3) uint8 RGB; or many of them, as a stack (N, H, W, 3) or a sequence.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        size: side of the crops.
        faces: ``largest``, or ``all``.
        expression: ``keep`` it, or ``remove`` it as :func:`.neutralize.neutralize` does.
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
        return frontal_portraits(picture, found, networks, size=size, expression=expression)

    return portray(image, make, backend or default_backend(), faces=faces, paste_back=paste_back)


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
    """Frontalize given faces of a picture (see :func:`frontalize`)."""
    return move_faces(image, faces, model, _MOTIONS[expression], size=size)
