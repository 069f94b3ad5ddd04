"""``neutralize`` and ``frontalize`` as functions of arrays: pictures, many pictures, crops.

What the two verbs do is in :mod:`~facecycle_cli.portrait.motions`, how in
:mod:`~facecycle_cli.portrait.portraits`; here is only which portraits become the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from facecycle_cli.errors import SettingsError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.faces.choice import FaceChoice, accepts_faces
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.defaults import DEFAULT_SIZE
from facecycle_cli.portrait.dials import Dials
from facecycle_cli.portrait.motions import NEUTRAL, choose_motion
from facecycle_cli.portrait.portraits import (
    Portrait,
    move_crops,
    paste_portraits,
    portraits,
    portraits_of_many,
)
from facecycle_cli.types import Expression, MotionSource, MouthSource, RGBImage

__all__ = [
    "frontalize",
    "frontalize_crops",
    "frontalize_many",
    "neutralize",
    "neutralize_crops",
    "neutralize_many",
]


@accepts_faces
def neutralize(
    image: RGBImage,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    face: FaceChoice = "largest",
    mean: bool = False,
    mouth: MouthSource = "landmarks",
    motion_from: MotionSource = "landmarks",
    strength: float = 1.0,
    paste_back: bool = False,
) -> RGBImage:
    """Make the face of a picture frontal and neutral.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        size: side of the crop in pixels.
        face: which of the faces: ``largest``; ``left`` or ``right``; a number from 1 (the largest)
            on; ``like:FILE``; a function (see :data:`.FaceChoice`); or ``all``, with
            ``paste_back``.
        mean: go on to the mean face, which holds nothing of the person.
        mouth: ``landmarks`` closes the lips where the face's landmarks find them. ``flow`` leaves
            the mouth to the networks' flow, and teeth may stay visible.
        motion_from: ``landmarks``: the networks' flow moves the face, and landmarks correct it if
            the face backend is the mesh. ``networks``: the flow alone moves the face.
        strength: how much of the expression and of the turn of the head is removed, 0..1.5: 0 gives
            the photograph back.
        paste_back: put the result back into the picture.

    Returns:
        The crop (size, size, 3) uint8; with ``paste_back`` the whole picture (H, W, 3).

    Raises:
        MediaError: this is no picture.
        NoFaceError: it has no face, or no such face.
        SettingsError: there is no such choice, an option is out of its range, or all faces are
            wanted, but not in one picture.
    """
    _check(face, paste_back)
    motion = choose_motion(
        "remove", mean=mean, mouth=mouth, motion_from=motion_from, dials=Dials(strength)
    )
    made = portraits(image, motion, model=model, backend=backend, face=face, size=size)
    return _result(image, made, paste_back)


@accepts_faces
def neutralize_many(
    images: Iterable[RGBImage],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    face: FaceChoice = "largest",
    mean: bool = False,
    mouth: MouthSource = "landmarks",
    motion_from: MotionSource = "landmarks",
    strength: float = 1.0,
    paste_back: bool = False,
) -> list[RGBImage | None]:
    """:func:`neutralize` of every picture, with its options; None for one without such a face."""
    _check(face, paste_back)
    motion = choose_motion(
        "remove", mean=mean, mouth=mouth, motion_from=motion_from, dials=Dials(strength)
    )
    pictures, searched = itertools.tee(images)
    made = portraits_of_many(searched, motion, model=model, backend=backend, face=face, size=size)
    return _results(pictures, made, paste_back)


def neutralize_crops(model: FaceCycle, crops: np.ndarray) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8, made frontal and neutral at their own resolution.

    Landmarks are not known here: the networks' flow moves the face alone, with the mouth.
    """
    return move_crops(model, crops, NEUTRAL)[0]


@accepts_faces
def frontalize(
    image: RGBImage,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    face: FaceChoice = "largest",
    expression: Expression = "keep",
    mouth: MouthSource = "landmarks",
    motion_from: MotionSource = "landmarks",
    strength: float = 1.0,
    yaw: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
    paste_back: bool = False,
) -> RGBImage:
    """Turn the face of a picture to the front.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        size: side of the crop in pixels.
        face: which of the faces: ``largest``; ``left`` or ``right``; a number from 1 (the largest)
            on; ``like:FILE``; a function (see :data:`.FaceChoice`); or ``all``, with
            ``paste_back``.
        expression: ``keep`` it, or ``remove`` it as :func:`neutralize` does.
        mouth: as :func:`neutralize` has it, where the expression is removed.
        motion_from: as :func:`neutralize` has it.
        strength: share of the turn, 0..1.5: 0 gives the photograph back.
        yaw: degrees to which the head is turned instead of the front, -25..25, > 0: towards the
            image's right; at most 25 degrees away from that of the photograph.
        pitch: degrees, -15..15, > 0: looking up; None: that of the photograph.
        roll: degrees, -45..45, > 0: clockwise.
        paste_back: put the result back into the picture.

    Returns:
        The crop (size, size, 3) uint8; with ``paste_back`` the whole picture (H, W, 3).

    Raises:
        MediaError: this is no picture.
        NoFaceError: it has no face, or no such face.
        SettingsError: there is no such choice, an option is out of its range, or all faces are
            wanted, but not in one picture.
    """
    _check(face, paste_back)
    dials = Dials(strength, yaw, pitch, roll)
    motion = choose_motion(expression, mouth=mouth, motion_from=motion_from, dials=dials)
    made = portraits(image, motion, model=model, backend=backend, face=face, size=size)
    return _result(image, made, paste_back)


@accepts_faces
def frontalize_many(
    images: Iterable[RGBImage],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    size: int = DEFAULT_SIZE,
    face: FaceChoice = "largest",
    expression: Expression = "keep",
    mouth: MouthSource = "landmarks",
    motion_from: MotionSource = "landmarks",
    strength: float = 1.0,
    yaw: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
    paste_back: bool = False,
) -> list[RGBImage | None]:
    """:func:`frontalize` of every picture, with its options; None for one without such a face."""
    _check(face, paste_back)
    dials = Dials(strength, yaw, pitch, roll)
    motion = choose_motion(expression, mouth=mouth, motion_from=motion_from, dials=dials)
    pictures, searched = itertools.tee(images)
    made = portraits_of_many(searched, motion, model=model, backend=backend, face=face, size=size)
    return _results(pictures, made, paste_back)


def frontalize_crops(
    model: FaceCycle, crops: np.ndarray, expression: Expression = "keep"
) -> np.ndarray:
    """Aligned crops (N, H, H, 3) uint8, turned to the front at their own resolution."""
    return move_crops(model, crops, choose_motion(expression))[0]


def _check(face: FaceChoice, paste_back: bool) -> None:
    if face == "all" and not paste_back:
        raise SettingsError(
            'face="all" gives one picture only with paste_back=True; '
            "for the crop of every face call `portraits`"
        )


def _result(image: RGBImage, made: list[Portrait], paste_back: bool) -> RGBImage:
    return paste_portraits(image, made) if paste_back else made[0].result


def _results(
    images: Iterable[RGBImage], made: Iterable[list[Portrait]], paste_back: bool
) -> list[RGBImage | None]:
    return [
        _result(image, each, paste_back) if each else None
        for image, each in zip(images, made, strict=True)
    ]
