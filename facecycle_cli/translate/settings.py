"""What a translation should be like."""

from __future__ import annotations

from dataclasses import dataclass

from facecycle_cli.errors import SettingsError
from facecycle_cli.faces.choice import FaceChoice
from facecycle_cli.types import MotionMode, MotionPart, MotionSource, MouthSource

__all__ = ["MOTION_SUFFIX", "TranslateSettings"]


MOTION_SUFFIX = ".npz"
"""Of a file with a motion, see :mod:`.template`."""


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
        face: which face of the source: ``largest``; ``left`` or ``right`` in the picture; a number
            from 1 (the largest) on; ``like:FILE``, the one most like the face in that picture; or
            a function, see :data:`.FaceChoice`.
        target_face: the same of the target; with ``paste_back`` also ``all``: every face performs.
        motion_from: ``landmarks``: the networks' flow moves the face, and landmarks correct it if
            the face backend is the mesh. ``networks``: the flow alone moves the face.
        strength: how much of the motion, 0..1.5: at 0 the target stays as it is.
        only: the ``pose`` of the head alone, the ``expression``, the ``mouth`` or the ``eyes``;
            None: everything. Only with ``motion_from="landmarks"``.
        shading: how much of the change of light on the source's face the target's face takes on, 0
            to 1; only with ``motion_from="landmarks"``.
    """

    motion: MotionMode = "relative"
    mouth: MouthSource = "landmarks"
    size: int = 256
    paste_back: bool = False
    side_by_side: bool = False
    smooth: float = 0.7
    face: FaceChoice = "largest"
    target_face: FaceChoice = "largest"
    motion_from: MotionSource = "landmarks"
    shading: float = 0.5
    strength: float = 1.0
    only: MotionPart | None = None

    def __post_init__(self) -> None:
        if self.only is not None and self.motion_from == "networks":
            raise SettingsError("the networks' flow has no parts: only= goes with landmarks")
