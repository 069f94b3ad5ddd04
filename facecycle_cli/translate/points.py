"""Where the landmarks of the target belong for a motion of the source.

The head of the target is taken apart into pose and shape (:mod:`.head`), and so is that of the
source. The target's shape takes on the source's expression, and its pose the source's motion; both
in three dimensions.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from facecycle_cli.faces import Alignment, Face, HeadPose
from facecycle_cli.faces.canonical import visibility
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.head import Head, shape_distance
from facecycle_cli.translate.dials import ALL_OF_IT, MotionDials
from facecycle_cli.translate.motion import Motion
from facecycle_cli.translate.placement import HeadPlacement, Limits, PlaneMotion, plane_motion
from facecycle_cli.translate.rest import rest_shape

__all__ = ["TargetPoints", "WantedPoints"]

_SAME_FACE = 0.012, 0.03
"""Root mean square difference of two shapes, in sizes of the head, up to which the source begins
with the target's own face, and from which it does not."""

_SAME_POSE = 1.5, 4.0
"""Degrees between the directions of two heads with the same face, up to which they are one pose,
measured in two files (compression alone makes up to 1.2), and from which they are two."""

_DEPTH = 0.8
"""How far behind the rigid landmarks the middle of the head lies, in sizes of the head."""

_PROFILE = 32.0, 55.0
"""Degrees of yaw up to which landmarks show the source's expression, and from which they do not:
half of a profile's landmarks are guessed."""

_NOD = 1.28
"""How far the head nods, over what the source's landmarks say: a nod shows in depth, which a warped
picture does not have, and landmarks see about four fifths of it (slopes of pitch in
``facecycle evaluate translate``)."""

_EXPRESSION = 1.07
"""How far the face moves, over what the source's landmarks say: smoothing in time, and landmarks
that see less of a motion than was drawn, take that away (slopes in the same evaluation)."""

_TURN = 25.0, 30.0
"""Degrees from the photograph's own yaw or pitch up to which a head turns as it should, and beyond
which it never turns: the far cheek would be squeezed to a line, and the near one stretched."""

_LAGS = 0.06, 0.15
"""Sizes of the head by which it has gone from where the slow one is, up to which what is around it
stays behind, and from which everything moves with it: that is no tremble, nor a word's nod."""

_HAIR = 1.3
"""Distance of the hair's points from the middle of the face, in distances of its outline."""


class WantedPoints(NamedTuple):
    """Where points of the target belong.

    Attributes:
        points: (n, 2) float64, in grid units of the target's crop: the landmarks, then the hair.
        in_view: (n,), from 0 (behind the edge of the head) to 1.
    """

    points: np.ndarray
    in_view: np.ndarray


@dataclass(frozen=True)
class _Turned:
    """A pose of the target's head: center, size, angles."""

    center: np.ndarray
    size: float
    angles: np.ndarray


class TargetPoints:
    """The landmarks of the target, and points of its hair.

    Args:
        face: of the target, with the 468 points of the mesh.
        alignment: from its picture to the networks' crop.
        absolute: the motion is taken as it is, not relative to the source's reference.
        limits: of the head's motion within the plane of the picture.
        dials: how much of the motion, and which part.

    Attributes:
        own: (n, 2) float64: where the points are in the photograph, in grid units of the crop.
    """

    def __init__(
        self,
        face: Face,
        alignment: Alignment,
        *,
        absolute: bool,
        limits: Limits,
        dials: MotionDials = ALL_OF_IT,
    ) -> None:
        self._face = face
        self._dials = dials
        self._absolute = absolute
        self._limits = limits
        self._level = HeadPlacement.of(alignment).roll
        self._head = Head.in_crop(face, alignment)
        self._neutral = rest_shape(self._head)
        self._hair = self._hair_offsets()
        self.own = self._placed(self._head.shape, self._head).points

    def wanted(self, motion: Motion) -> WantedPoints:
        """Where the points belong for a motion."""
        own = self._head.shape
        shape = self._dials.shape(own[:, :2], own, self._shape(motion))
        return self._placed(shape, self._part_of(self._pose(motion)))

    def plane_motion(self, motion: Motion) -> PlaneMotion:
        """The motion of the head within the plane of the picture."""
        return self._dials.plane(self._whole_plane_motion(motion))

    def lag(self, motion: Motion) -> np.ndarray:
        """How far what is around the head is behind it: the slow head's place in the photograph
        from that of the head.

        Returns:
            (2, 3): from points of the picture in grid units of the crop to what is to be added to
            where their color is taken from.
        """
        own, now, slow = (
            self._turn_of_hair(pose)
            for pose in (
                self._head,
                self._part_of(self._pose(motion)),
                self._part_of(self._pose(replace(motion, head=motion.slow))),
            )
        )
        back, slowly = own[1] / now[1], own[1] / slow[1]
        turn, shift = slowly - back, now[0] * back - slow[0] * slowly
        far = (abs(turn * now[0] + shift) + abs(turn) * self._head.size) / self._head.size
        share = 1 - float(smoothstep(np.array(far), *_LAGS))
        lag = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
        return share * np.array(lag)

    def _part_of(self, pose: _Turned) -> Head | _Turned:
        share, own = self._dials.pose, self._head
        if share == 1:
            return pose
        return _Turned(
            own.center + share * (pose.center - own.center),
            own.size * (pose.size / own.size) ** share,
            own.angles + share * (pose.angles - own.angles),
        )

    def _whole_plane_motion(self, motion: Motion) -> PlaneMotion:
        if self._absolute:
            return self._plane_motion(motion.head, motion.reference.first, self._level)
        rest = motion.reference.head
        roll = rest.angles[2] * motion.reference.roll_trust
        rest = replace(rest, angles=np.array([*rest.angles[:2], roll]))
        return self._plane_motion(motion.head, rest, None)

    def _plane_motion(self, now: Head, rest: Head, level: float | None) -> PlaneMotion:
        own = self._head.size
        places = _placement(now, own), _placement(rest, own)
        return plane_motion(*places, level=level, limits=self._limits)

    def _pose(self, motion: Motion) -> _Turned:
        moved = self._whole_plane_motion(motion)
        yaw, pitch, roll = self._head.angles
        now, rest, trust = motion.head.angles, motion.reference.head.angles, motion.reference.trust
        angles = now[:2]
        if self._absolute:
            roll = 0.0
            angles = angles + self._same_pose(motion.reference.first)
        else:
            angles = angles + trust * (np.array([yaw, pitch]) - rest[:2])
        roll = roll + math.degrees(cmath.phase(moved.turn))
        center = self._head.center + np.array([moved.shift.real, moved.shift.imag])
        size = self._head.size * abs(moved.turn)
        nod = pitch + _NOD * (angles[1] - pitch)
        turned = [_bounded(yaw, angles[0]), _bounded(pitch, nod), roll]
        return _Turned(center, size, np.array(turned))

    def _shape(self, motion: Motion) -> np.ndarray:
        """The shape of the target's face with the source's expression, (468, 3)."""
        own, reference = self._head.shape, motion.reference
        first, rest = reference.first.shape, reference.head.shape
        begin = first if self._absolute else rest
        turned = abs(float(motion.head.angles[0]))
        seen = 1 - float(smoothstep(np.array(turned), *_PROFILE))
        now = begin + _EXPRESSION * seen * (motion.head.shape - begin)
        moved = own + now - rest
        if not self._absolute:
            moved[:, :2] += self._lasting(rest[:, :2] - reference.neutral)
            return np.asarray(moved)
        moved[:, :2] = self._neutral + now[:, :2] - reference.neutral
        return np.asarray(moved + self._same_face(first) * (own + now - first - moved))

    def begins_alike(self, motion: Motion) -> float:
        """1 if the source begins with the target's own face, expression included, else 0."""
        return self._same_face(motion.reference.first.shape)

    def _same_face(self, first: np.ndarray) -> float:
        apart = shape_distance(first, self._head.shape)
        return 1 - float(smoothstep(np.array(apart), *_SAME_FACE))

    def _same_pose(self, first: Head) -> np.ndarray:
        """(2,): what is to be added to the source's yaw and pitch if both begin in one pose."""
        apart = self._head.angles[:2] - first.angles[:2]
        same = 1 - smoothstep(np.array(np.linalg.norm(apart)), *_SAME_POSE)
        return np.asarray(self._same_face(first.shape) * same * apart)

    def _lasting(self, expression: np.ndarray) -> np.ndarray:
        """What the target takes on of the expression that the source has at its most neutral.

        A source that smiles in all of its first frames is not at rest in them. What the target
        shows of the same expression already is not added to it once more.

        Args:
            expression: (n, 2), from the source's shape at rest to that of its reference.
        """
        own = self._head.shape[:, :2] - self._neutral
        shown = (own * expression).sum() / max(1e-9, float(np.square(expression).sum()))
        return np.asarray((1 - np.clip(shown, 0, 1)) * expression)

    def _placed(self, shape: np.ndarray, pose: Head | _Turned) -> WantedPoints:
        head = Head(pose.center, pose.size, pose.angles, shape)
        middle, turn = self._turn_of_hair(pose)
        hair = middle + self._hair * turn
        hair = np.column_stack([hair.real, hair.imag])
        space = head.in_space
        seen = np.concatenate([visibility(space, self._face.topology), np.ones(len(hair))])
        return WantedPoints(np.concatenate([space[:, :2], hair]), seen)

    @staticmethod
    def _turn_of_hair(pose: Head | _Turned) -> tuple[complex, complex]:
        """The middle of a head, and how an upright one of size 1 is turned and scaled to it."""
        turn = cmath.rect(pose.size, math.radians(pose.angles[2]))
        return complex(*_middle_of_head(pose)), turn

    def _hair_offsets(self) -> np.ndarray:
        """(k,) complex: points around the face, from the middle of an upright head of size 1.

        A head is round: its outline turns with the roll only, and goes where its middle goes.
        """
        head = self._head
        outline = head.points[list(self._face.topology.oval)]
        points = outline.mean(0) + _HAIR * (outline - outline.mean(0))
        middle, turn = self._turn_of_hair(head)
        return np.asarray((points[:, 0] + 1j * points[:, 1] - middle) / turn)


def _bounded(own: float, angle: float) -> float:
    """An angle in degrees, no further from ``own`` than a photograph can be turned."""
    exact, most = _TURN
    beyond = abs(angle - own) - exact
    if beyond <= 0:
        return angle
    bounded = exact + (most - exact) * math.tanh(beyond / (most - exact))
    return own + math.copysign(bounded, angle - own)


def _middle_of_head(head: Head | _Turned) -> np.ndarray:
    """(2,), about which it turns, where ``center`` is."""
    behind = HeadPose(*head.angles).rotation[:2, 2]
    return np.asarray(head.center + head.size * _DEPTH * behind)


def _placement(head: Head, unit: float) -> HeadPlacement:
    """The placement of a head, as large as a head whose ``size`` would be ``unit`` in the crop."""
    x, y = head.center
    return HeadPlacement(
        complex(x, y), math.log(2 * head.size / unit), math.radians(head.angles[2])
    )
