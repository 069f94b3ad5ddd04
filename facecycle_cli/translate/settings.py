"""What a translation should be like."""

from __future__ import annotations

import re
from dataclasses import dataclass

from facecycle_cli.errors import SettingsError
from facecycle_cli.types import MotionMode, MotionSource, MouthSource

__all__ = ["TranslateSettings", "check_face_choice"]

_FACE_CHOICE = re.compile(r"largest|left|right|[1-9]\d*")


@dataclass(frozen=True)
class TranslateSettings:
    """What a translation should be like.

    Attributes:
        motion: ``absolute``: the target takes the source's pose and expression as they are (the
            paper's translation). ``relative``: the target keeps its own pose and expression, and
            the source's change from its most neutral frames is added.
        mouth: ``landmarks``: the lips part, and the eyelids close, as far as the source's landmarks
            say. ``flow``: the networks' flow alone moves them (the paper's translation). It moves
            lips a little, parts none and does not blink.
        size: side of the output in pixels: the target's aligned crop.
        paste_back: the output is the target's whole picture instead.
        side_by_side: show the source to the left of the output.
        smooth: temporal smoothing, from 0 (off) to 1 (strongest).
        face: which face of the source: ``largest``; ``left`` or ``right`` in the picture; ``2`` for
            the second largest, and so on.
        motion_from: ``landmarks``: the networks' flow moves the face, and landmarks correct it if
            the face backend is the mesh. ``networks``: the flow alone moves the face.
        shading: how much of the change of light on the source's face the target's face takes on, 0
            to 1; only with ``motion_from="landmarks"``.
    """

    motion: MotionMode = "relative"
    mouth: MouthSource = "landmarks"
    size: int = 256
    paste_back: bool = False
    side_by_side: bool = False
    smooth: float = 0.7
    face: str = "largest"
    motion_from: MotionSource = "landmarks"
    shading: float = 0.5


def check_face_choice(choice: str) -> str:
    """``choice`` if it is ``largest``, ``left``, ``right`` or a number from 1.

    Raises:
        SettingsError: it is none of them.
    """
    if not _FACE_CHOICE.fullmatch(choice):
        raise SettingsError(f"{choice!r} is none of largest, left, right, 1, 2, ...")
    return choice
