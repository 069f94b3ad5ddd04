"""How much of the source's motion the target takes on, and which part of it."""

from __future__ import annotations

import cmath
from dataclasses import dataclass

import numpy as np

from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.portrait.correction import near_mouth
from facecycle_cli.portrait.dials import check_strength, part_of_way
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.translate.placement import PlaneMotion
from facecycle_cli.types import MotionPart

__all__ = ["ALL_OF_IT", "MotionDials"]

_EYES_END = -0.35, 0.0
"""From where to where the part of the eyes ends, down the face: 0 is the base of the nose, 1 the
chin."""


@dataclass(frozen=True)
class MotionDials:
    """How much of the source's motion the target takes on, and which part of it.

    Attributes:
        strength: share of the way from the target's own face, 0..1.5: at 0 nothing moves.
        only: ``pose`` of the head, ``expression``, or of the expression only the ``mouth`` (with
            the jaw) or the ``eyes`` (with brows and lids); None: everything.

    Raises:
        SettingsError: the strength is out of its range.
    """

    strength: float = 1.0
    only: MotionPart | None = None

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @property
    def pose(self) -> float:
        """Share of the way for the head's pose."""
        return self.strength if self.only in (None, "pose") else 0.0

    @property
    def mouth(self) -> float:
        """The same for the mouth."""
        return self.strength if self.only in (None, "expression", "mouth") else 0.0

    @property
    def eyes(self) -> float:
        """The same for the eyes."""
        return self.strength if self.only in (None, "expression", "eyes") else 0.0

    @property
    def light(self) -> float:
        """The same for the light on the face."""
        return self.strength if self.only in (None, "expression") else 0.0

    def shape(self, face: np.ndarray, own: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """The part of the way between two shapes (n, 3), by the parts of a frontal face.

        Args:
            face: (n, 2), the landmarks of the face from the front.
            own: the target's shape.
            moved: with all of the source's expression.
        """
        if self.only in ("mouth", "eyes"):
            return np.asarray(own + self.strength * self._weights(face) * (moved - own))
        return part_of_way(own, moved, self.mouth)

    def plane(self, motion: PlaneMotion) -> PlaneMotion:
        """The part of the way of the head within the picture."""
        share = self.pose
        if share == 1:
            return motion
        size, phase = cmath.polar(motion.turn)
        return PlaneMotion(cmath.rect(size**share, phase * share), motion.shift * share)

    def _weights(self, face: np.ndarray) -> np.ndarray:
        """(n, 1): how much each landmark belongs to the part, 0..1."""
        topology = MESH_468
        if self.only == "mouth":
            return near_mouth(face, topology)[:, None].astype(np.float64)
        base, chin = face[topology.lower[0]], face[topology.chin]
        down = (chin - base) / max(1e-6, float(np.square(chin - base).sum()))
        return np.asarray(1 - smoothstep((face - base) @ down, *_EYES_END)[:, None])


ALL_OF_IT = MotionDials()
"""The source's motion as it is."""
