"""Which faces of a picture are used: the choices of ``--face``, for commands and library alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeAlias, TypeVar

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces.face import Face
from facecycle_cli.types import RGBImage

__all__ = [
    "FaceChoice",
    "FaceChooser",
    "accepts_faces",
    "check_face_choice",
    "choose_face",
    "choose_faces",
    "reference_of",
]

FaceChooser: TypeAlias = Callable[[RGBImage, Sequence[Face]], Face]
"""Returns one of the faces of a picture, (H, W, 3) uint8: of at least one, the largest first."""

FaceChoice: TypeAlias = "str | int | FaceChooser"
"""``largest``; ``all``; ``left`` or ``right`` in the picture; a number, counted from the largest,
which is 1; ``like:FILE``, the one most like the face in that picture; or a function that chooses.
"""

_LIKE = "like:"
_CHOICE = re.compile(r"largest|all|left|right|[1-9]\d*|like:.+", re.DOTALL)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def check_face_choice(choice: FaceChoice, *, single: bool = False) -> FaceChoice:
    """``choice`` if it is one.

    Args:
        choice: what a user asked for.
        single: one face is wanted, so that ``all`` is no choice.

    Raises:
        SettingsError: it is none.
    """
    if callable(choice):
        return choice
    text = str(choice)
    if not _CHOICE.fullmatch(text) or (single and text == "all"):
        every = "" if single else "all, "
        raise SettingsError(
            f"{text!r} is none of largest, {every}left, right, 1, 2, ..., like:PICTURE"
        )
    return choice


def reference_of(choice: FaceChoice) -> str | None:
    """The name of the picture in ``like:FILE``; None for every other choice."""
    is_like = isinstance(choice, str) and choice.startswith(_LIKE)
    return str(choice)[len(_LIKE) :] if is_like else None


def choose_faces(image: RGBImage, faces: Sequence[Face], choice: FaceChoice) -> list[Face]:
    """The chosen faces of a picture; at least one.

    Args:
        image: (H, W, 3) uint8 RGB, the picture.
        faces: found in it, largest first.
        choice: which of them.

    Raises:
        NoFaceError: there is no such face.
        SettingsError: there is no such choice.
    """
    if choice == "all" and faces:
        return list(faces)
    face = choose_face(image, faces, check_face_choice(choice))
    if face is None:
        raise NoFaceError(f"no face {choice}; it shows {len(faces)}")
    return [face]


def choose_face(image: RGBImage, faces: Sequence[Face], choice: FaceChoice) -> Face | None:
    """The chosen face of a picture, None if there is no such face; arguments as above.

    Raises:
        SettingsError: ``like:FILE``, which only the networks can tell: see
            :func:`~facecycle_cli.portrait.likeness.open_choice`.
    """
    if not faces:
        return None
    if callable(choice):
        return choice(image, faces)
    if choice in ("left", "right"):
        across = sorted(faces, key=lambda face: float(face.oval[:, 0].mean()))
        return across[0 if choice == "left" else -1]
    if reference_of(choice) is not None:
        raise SettingsError(f"{choice}: the face of that picture has to be looked at first")
    rank = 1 if choice == "largest" else int(choice)
    return faces[rank - 1] if rank <= len(faces) else None


def accepts_faces(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a function with the argument ``face`` take ``faces`` as well, which was its name once."""

    @functools.wraps(function)
    def renamed(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if "faces" in kwargs:
            if "face" in kwargs:
                raise TypeError("face and faces are one argument; give one of them")
            kwargs["face"] = kwargs.pop("faces")
        return function(*args, **kwargs)

    return renamed
