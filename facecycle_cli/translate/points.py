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
from facecycle_cli.faces.attention_mesh import ABOVE_BROWS, BROWS, LIPS, UPPER_BROWS
from facecycle_cli.faces.canonical import visibility
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.head import Head, shape_distance
from facecycle_cli.translate.dials import ALL_OF_IT, MotionDials
from facecycle_cli.translate.motion import Motion
from facecycle_cli.translate.placement import (
    HeadPlacement,
    Limits,
    PlaneMotion,
    limited_shift,
    plane_motion,
)
from facecycle_cli.translate.rest import rest_shape

__all__ = ["TargetMotion", "TargetPoints", "WantedPoints"]

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

_YAW, _NOD = 1.06, 1.28
"""How far the head turns and nods, over what the source's landmarks say: a turn shows in depth,
which a warped picture does not have, and landmarks see nine tenths of a turn and four fifths of a
nod (slopes of yaw and pitch in ``facecycle evaluate translate``)."""

_EXPRESSION = 1.07
"""How far the face moves, over what the source's landmarks say: smoothing in time, and landmarks
that see less of a motion than was drawn, take that away (slopes in the same evaluation)."""

_LIPS_AND_BROWS = 1.15
"""How far lips go to their sides and brows rise, over that: the mesh of the whole face sees
eight to nine tenths of it in what is drawn."""

_ROOM_ABOVE_BROWS = 0.6
"""The least that is left of the photograph's distance from brows to the landmarks above them."""

_TURN = 25.0, 30.0
"""Degrees from the photograph's own yaw or pitch up to which a head turns as it should, and beyond
which it never turns: the far cheek would be squeezed to a line, and the near one stretched."""

_HALF_HIDDEN, _HELD = (26.0, 44.0), 0.8
"""Degrees of yaw in the photograph up to which the far half of the face is seen, and from which it
is not: its landmarks are guessed, and what is drawn at them swells as they turn. The share of a
nod, or of a turn to the front, that such a photograph does not make."""

_LAGS = 0.06, 0.15
"""Sizes of the head by which it has gone from where the slow one is, up to which what is around it
stays behind, and from which everything moves with it: that is no tremble, nor a word's nod."""

_HAIR, _STILL = 1.3, 2.5
"""Distances from the middle of the face, in distances of its outline: of the hair's points, and of
those around the head that do not turn with it."""

_SKULL = 1.4, 2.1, 0.85
"""Half the width, the height and the depth of the front of the head with its hair, in sizes of the
head, above the middle of the face: the hairline turns with the forehead, the outline hardly."""


class WantedPoints(NamedTuple):
    """Where points of the target belong.

    Attributes:
        points: (n, 2) float64, in grid units of the target's crop: the landmarks, then the hair.
        in_view: (n,), from 0 (behind the edge of the head) to 1.
    """

    points: np.ndarray
    in_view: np.ndarray


class TargetMotion(NamedTuple):
    """What a motion of the source makes of the target's head.

    Attributes:
        wanted: where the points belong.
        plane: the motion of the face within the plane of the picture.
        head: the same of the whole head, which is round: a face that turns to the side moves, its
            head does not.
        lag: (2, 3): how far what is around the head is behind it, the slow head's place in the
            photograph from that of the head: from points of the picture in grid units of the crop
            to what is to be added to where their color is taken from.
        begins_alike: 1 if the source begins with the target's own face, expression included, else
            0.
    """

    wanted: WantedPoints
    plane: PlaneMotion
    head: PlaneMotion
    lag: np.ndarray
    begins_alike: float


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
        own = self._head.shape[:, :2]
        hidden = float(smoothstep(np.array(abs(self._head.angles[0])), *_HALF_HIDDEN))
        self._reach = 1 - _HELD * hidden
        self._neutral = rest_shape(self._head)
        self._neutral += hidden * (own - self._neutral)
        self._gains = np.full_like(self._head.shape, _EXPRESSION)
        self._gains[LIPS, 0] *= _LIPS_AND_BROWS
        self._gains[BROWS, 1] *= _LIPS_AND_BROWS
        self._hair, self._before = self._hair_around()
        self.own = self._placed(self._head.shape, self._head).points

    def moved(self, motion: Motion) -> TargetMotion:
        """What a motion makes of the face and of its head."""
        own = self._head.shape
        shape = self._dials.shape(own[:, :2], own, self._shape(motion))
        middle = self._motion_of_middle(motion, motion.head)
        pose = self._pose(motion, motion.head, middle)
        slow = self._pose(motion, motion.slow, self._motion_of_middle(motion, motion.slow))
        now, slowly = self._posed(pose), self._posed(slow)
        plane = PlaneMotion(middle.turn, complex(*(pose.center - self._head.center)))
        return TargetMotion(
            self._placed(shape, now),
            self._dials.plane(plane),
            self._outline_motion(now),
            self._lag(now, slowly),
            self._same_face(motion.reference.first.shape),
        )

    def _outline_motion(self, pose: _Turned) -> PlaneMotion:
        own, now = (self._turn_of_hair(each) for each in (self._head, pose))
        turn = now[1] / own[1]
        return PlaneMotion(turn, now[0] - turn * own[0])

    def _lag(self, pose: _Turned, slow_pose: _Turned) -> np.ndarray:
        own, now, slow = (self._turn_of_hair(each) for each in (self._head, pose, slow_pose))
        back, slowly = own[1] / now[1], own[1] / slow[1]
        turn, shift = slowly - back, now[0] * back - slow[0] * slowly
        far = (abs(turn * now[0] + shift) + abs(turn) * self._head.size) / self._head.size
        share = 1 - float(smoothstep(np.array(far), *_LAGS))
        lag = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
        return share * np.array(lag)

    def _posed(self, pose: _Turned) -> _Turned:
        """A pose of the head, as far as the dials let it move."""
        share, own = self._dials.pose, self._head
        if share == 1:
            return pose
        return _Turned(
            own.center + share * (pose.center - own.center),
            own.size * (pose.size / own.size) ** share,
            own.angles + share * (pose.angles - own.angles),
        )

    def _motion_of_middle(self, motion: Motion, now: Head) -> PlaneMotion:
        """Of the middle of the head, not of the face: a head that turns stays on its neck, even if
        the source's begins in profile.
        """
        if self._absolute:
            return self._plane_motion(now, motion.reference.first, self._level)
        rest = motion.reference.head
        roll = rest.angles[2] * motion.reference.roll_trust
        rest = replace(rest, angles=np.array([*rest.angles[:2], roll]))
        return self._plane_motion(now, rest, None)

    def _plane_motion(self, now: Head, rest: Head, level: float | None) -> PlaneMotion:
        own = self._head.size
        places = _placement(now, own), _placement(rest, own)
        return plane_motion(*places, level=level, limits=self._limits._replace(shift=math.inf))

    def _pose(self, motion: Motion, now: Head, moved: PlaneMotion) -> _Turned:
        """The pose that the target's head takes on.

        Args:
            motion: of the source.
            now: its head, whose pose is taken.
            moved: as :meth:`_motion_of_middle` has it.
        """
        own, reference = self._head, motion.reference
        yaw, pitch, roll = own.angles
        rest, trust = reference.head.angles, reference.trust
        angles = now.angles[:2]
        if self._absolute:
            roll = 0.0
            angles = angles + self._same_pose(reference.first)
        else:
            angles = angles + trust * (np.array([yaw, pitch]) - rest[:2])
        roll = roll + math.degrees(cmath.phase(moved.turn))
        size = own.size * abs(moved.turn)
        by = angles - own.angles[:2]
        # What a turn is given beyond the source's own does not move the face as a whole.
        turned = np.array([*self._turned(by * (_YAW, _NOD)), roll])
        plain = np.array([*self._turned(by), roll])
        turn = _middle_of_head(own) - size * _DEPTH * _behind(plain) - own.center
        shift = limited_shift(moved.shift + complex(*turn), self._limits)
        center = own.center + np.array([shift.real, shift.imag])
        return _Turned(center, size, turned)

    def _turned(self, by: np.ndarray) -> tuple[float, float]:
        """Yaw and pitch that far from the photograph's own, or as far as it can be turned."""
        yaw, pitch, _ = self._head.angles
        reach = self._reach if by[0] * yaw < 0 else 1.0
        return yaw + _bounded(by[0], reach), pitch + _bounded(by[1], self._reach)

    def _shape(self, motion: Motion) -> np.ndarray:
        """The shape of the target's face with the source's expression, (468, 3)."""
        own, reference = self._head.shape, motion.reference
        first, rest = reference.first.shape, reference.head.shape
        begin = first if self._absolute else rest
        turned = abs(float(motion.head.angles[0]))
        seen = 1 - float(smoothstep(np.array(turned), *_PROFILE))
        now = begin + seen * self._gains * (motion.head.shape - begin)
        moved = own + now - rest
        if not self._absolute:
            moved[:, :2] += self._lasting(rest[:, :2] - reference.neutral)
            return self._with_forehead(moved)
        moved[:, :2] = self._neutral + now[:, :2] - reference.neutral
        return self._with_forehead(moved + self._same_face(first) * (own + now - first - moved))

    def _with_forehead(self, shape: np.ndarray) -> np.ndarray:
        """A shape whose forehead makes room for raised brows.

        The mesh of the face, which has the forehead, raises brows less far than the close look does
        that has them: skin between the two would be squeezed to nothing, and folded.
        """
        heights, own = shape[:, 1], self._head.shape[:, 1]
        room = _ROOM_ABOVE_BROWS * (own[UPPER_BROWS] - own[ABOVE_BROWS]).clip(0)
        heights[ABOVE_BROWS] = np.minimum(heights[ABOVE_BROWS], heights[UPPER_BROWS] - room)
        return shape

    def _same_face(self, first: np.ndarray) -> float:
        """1 if a shape is the target's own face, expression included, else 0."""
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
        hair = np.column_stack([hair.real, hair.imag]) + _forward(pose, self._before)
        space = head.in_space
        seen = np.concatenate([visibility(space, self._face.topology), np.ones(len(hair))])
        return WantedPoints(np.concatenate([space[:, :2], hair]), seen)

    @staticmethod
    def _turn_of_hair(pose: Head | _Turned) -> tuple[complex, complex]:
        """The middle of a head, and how an upright one of size 1 is turned and scaled to it."""
        turn = cmath.rect(pose.size, math.radians(pose.angles[2]))
        return complex(*_middle_of_head(pose)), turn

    def _hair_around(self) -> tuple[np.ndarray, np.ndarray]:
        """Points around the face: on the hair, and further out, where nothing turns.

        A head is round: its outline turns with the roll only, and goes where its middle goes. The
        hairline lies before the middle, and turns with the face.

        Returns:
            (k,) complex, from the middle of an upright head of size 1 that faces the camera, and
            (k,), how far they lie before it, in sizes of the head.
        """
        head, oval = self._head, list(self._face.topology.oval)
        still = _spread(head.points[oval], _STILL)[::3]
        points = np.concatenate([_spread(head.points[oval], _HAIR), still])
        before = np.zeros(len(points))
        before[: len(oval)] = _before_middle(_spread(head.shape[oval, :2], _HAIR))
        points = points - _forward(head, before)
        middle, turn = self._turn_of_hair(head)
        return (points[:, 0] + 1j * points[:, 1] - middle) / turn, before


def _spread(outline: np.ndarray, factor: float) -> np.ndarray:
    """An outline (n, 2), scaled about the mean of its points."""
    middle = outline.mean(0)
    return np.asarray(middle + factor * (outline - middle))


def _before_middle(points: np.ndarray) -> np.ndarray:
    """(n,): how far a head is before its middle at points (n, 2) of a :class:`.Head`'s shape.

    Ears and neck are not: they count as in the plane of the middle.
    """
    width, height, depth = _SKULL
    x, y = points.T
    left = 1 - np.square(x / width) - np.square(y / height)
    return np.asarray(depth * np.sqrt(np.where(y < 0, left, 0).clip(0)))


def _forward(pose: Head | _Turned, before: np.ndarray) -> np.ndarray:
    """(n, 2): where points lie that are that far (n,) before the middle, from those that are not.

    Args:
        pose: of the head.
        before: in sizes of the head.
    """
    return np.asarray(-pose.size * before[:, None] * _behind(pose.angles))


def _bounded(angle: float, reach: float) -> float:
    """An angle in degrees, no larger than a share of what a photograph can be turned."""
    exact, most = reach * np.array(_TURN)
    beyond = abs(angle) - exact
    if beyond <= 0:
        return angle
    return math.copysign(exact + (most - exact) * math.tanh(beyond / (most - exact)), angle)


def _behind(angles: np.ndarray) -> np.ndarray:
    """(2,): which way the back of a head lies in the picture, 1 long if in its plane."""
    return HeadPose(*angles).backwards[:2]


def _middle_of_head(head: Head | _Turned) -> np.ndarray:
    """(2,), about which it turns, where ``center`` is."""
    return np.asarray(head.center + head.size * _DEPTH * _behind(head.angles))


def _placement(head: Head, unit: float) -> HeadPlacement:
    """The placement of a head, as large as a head whose ``size`` would be ``unit`` in the crop."""
    x, y = _middle_of_head(head)
    return HeadPlacement(
        complex(x, y), math.log(2 * head.size / unit), math.radians(head.angles[2])
    )
