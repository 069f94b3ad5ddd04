"""The source's frames as motions: measured, smoothed, and relative to a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze, usual_gaze
from facecycle_cli.faces.smoothing import smoothed
from facecycle_cli.portrait.head import Head, mean_head
from facecycle_cli.translate.lids import eyelid_closure, eyelid_closure_beyond_landmarks
from facecycle_cli.translate.measurement import Measurement
from facecycle_cli.translate.placement import HeadPlacement, mean_placement
from facecycle_cli.translate.rest import rest_shape

__all__ = [
    "Motion",
    "MotionTiming",
    "Reference",
    "motion_of_still",
    "motions",
    "with_references",
]

_FLOW_STEP, _MOST_FLOW_STEP = 1.75, 4
"""Standard deviations of the flow's smoothing, in frames, for each of which the networks leave out
one frame more, and the most of them that they see one of."""

_NOD_COUNTS = 2.0
"""How many degrees of a turn hide as much of the lids as one of a nod: of a head that rises, both
lids seem lower and closer together. Blinks of talking people come with up to 8 degrees of nod."""

_OPEN_SHARE = 0.6
"""The share of a track's first frames whose eyes are less open than usual."""

_NEUTRAL_SHARE = 4
"""The reference is the mean of the most neutral quarter of a track's first frames."""

_REST_DEGREES, _TURNED_DEGREES = 4.0, 14.0
"""Degrees of yaw, or of roll, up to which a head is at rest, and from which it is not.

At rest, its flow shows how the networks see that person's neutral face. A head that is turned
further even in its most neutral frames is turned on purpose, and turning back must not turn the
target to the other side: its motion is taken as it is, and in between in part.
"""

_CLOSED_MOUTH = 0.05
"""Distances between the eyes. A mouth that is never closed further is open, not at rest."""


@dataclass(frozen=True)
class MotionTiming:
    """How motions are smoothed and referred to, in frames.

    Attributes:
        flow_width: standard deviation of the flows' smoothing; 0 for none.
        pose_width: of the smoothing of the head's pose.
        lips_width: of the smoothing of mouth and eyelids.
        slow_width: of the smoothing of the pose that moves what is around the head.
        reference_frames: how many of a track's first frames its reference is chosen from, at
            least 1.
    """

    flow_width: float
    pose_width: float
    lips_width: float
    slow_width: float
    reference_frames: int

    @property
    def flow_step(self) -> int:
        """Of how many frames one is enough for the networks, as smooth as their flow becomes."""
        return min(_MOST_FLOW_STEP, max(1, round(self.flow_width / _FLOW_STEP)))


@dataclass(frozen=True)
class Reference:
    """The source at its most neutral.

    Attributes:
        placement: of the head in the picture.
        first_placement: the same in the first frame of the track.
        yaw: of the head, in degrees.
        backflow: (2, s, s) float32, grid units.
        mouth: opening of the mouth, in distances between the eyes.
        eyes: usual opening of the eyes, over their width.
        lids: how low the upper lids usually are.
        trust: how much this is the person at rest, 0..1.
        roll_trust: the same of the head's roll.
        head: pose of the head, and shape of a face whose mouth is as closed as it gets.
        first: of the first frame of the track, not smoothed.
        neutral: (n, 2), the shape of ``head`` at rest, as :func:`.rest_shape` has it.
        light: (n,), as :class:`.Appearance` has it.
        first_light: the same in the first frame of the track.
        gaze: where the eyes usually look.
        first_gaze: the same in the first frame of the track.
    """

    placement: HeadPlacement
    first_placement: HeadPlacement
    yaw: float
    backflow: np.ndarray
    mouth: float
    eyes: float
    lids: float
    trust: float
    roll_trust: float
    head: Head
    first: Head
    neutral: np.ndarray
    light: np.ndarray
    first_light: np.ndarray
    gaze: Gaze = UNKNOWN_GAZE
    first_gaze: Gaze = UNKNOWN_GAZE


@dataclass(frozen=True)
class Motion(Measurement):
    """A frame of the source as a motion.

    Attributes:
        reference: of the face's track.
    """

    reference: Reference

    @classmethod
    def of(cls, measured: Measurement, reference: Reference) -> Motion:
        """What was measured, relative to its reference."""
        return cls(**vars(measured), reference=reference)

    @property
    def eyes_closed(self) -> float:
        """How far the eyelids are down, 0 (open) to 1 (shut)."""
        return eyelid_closure(self.eyes, self.reference.eyes, self._turn)

    @property
    def lids_beyond_landmarks(self) -> float:
        """How much of the way between their landmarks the eyelids are closed as well, 0 to 1."""
        rest = self.reference
        lowered = self.lids - rest.lids
        nod = abs(float(self.head.angles[1] - rest.head.angles[1]))
        turn = max(self._turn, _NOD_COUNTS * nod)
        return eyelid_closure_beyond_landmarks(self.eyes, rest.eyes, lowered, turn)

    @property
    def _turn(self) -> float:
        """Degrees by which the head is turned further than the one whose eyes are usually open."""
        return min(abs(self.yaw), abs(self.yaw - self.reference.yaw))


def motion_of_still(measured: Measurement) -> Motion:
    """The motion of a single picture, which is its own reference."""
    return Motion.of(measured, _reference([measured]))


def motions(
    measured: Iterable[Measurement | None], timing: MotionTiming
) -> Iterator[Motion | None]:
    """The motion of every frame of the source, None where there is no face.

    Args:
        measured: in each frame, None where there is no face.
        timing: how motions are smoothed, and how far ahead their reference looks.
    """
    flow, pose, lips = timing.flow_width, timing.pose_width, timing.lips_width
    slow = timing.slow_width
    widths = flow, lips, lips, lips, pose, pose, lips, flow, lips, slow, slow
    return with_references(smoothed(measured, widths), timing.reference_frames)


def with_references(
    frames: Iterable[Measurement | None], reference_frames: int
) -> Iterator[Motion | None]:
    """Give every measurement the reference of its track.

    Args:
        frames: measurements, None where there is no face.
        reference_frames: how many frames are held back to choose a reference from them.

    Yields:
        one motion for each measurement, None for None.
    """
    track: int | None = None
    reference: Reference | None = None
    waiting: list[Measurement | None] = []
    for measured in frames:
        if measured is not None and measured.track != track:
            if waiting:
                yield from _refer(waiting, _reference(waiting))
            track, reference, waiting = measured.track, None, []
        if track is None:
            yield None
        elif reference is not None:
            yield None if measured is None else Motion.of(measured, reference)
        else:
            waiting.append(measured)
            if len(waiting) >= reference_frames:
                reference = _reference(waiting)
                yield from _refer(waiting, reference)
                waiting = []
    if waiting:
        yield from _refer(waiting, _reference(waiting))


def _refer(frames: Iterable[Measurement | None], reference: Reference) -> Iterator[Motion | None]:
    return (None if m is None else Motion.of(m, reference) for m in frames)


def _reference(frames: Iterable[Measurement | None]) -> Reference:
    """The most neutral state of one track; at least one of the frames has a face."""
    measured = [m for m in frames if m is not None]
    count = max(1, len(measured) // _NEUTRAL_SHARE)
    # The mouth of a speaker closes at other moments than those at which the head is frontal.
    mouths = sorted(m.mouth for m in measured)[:count]
    neutral = sorted(measured, key=_energy)[:count]
    yaw = float(np.mean([m.yaw for m in neutral]))
    placement = mean_placement([m.placement for m in neutral])
    roll_trust = _rest_trust(math.degrees(placement.roll))
    # Of the calmer half of the frames, those in which the mouth is closed furthest.
    calm = sorted(sorted(measured, key=_energy)[: 2 * count], key=lambda m: m.mouth)[:count]
    # Whether the head is at rest is said of the same frames as where it is.
    at_rest, closed = (mean_head([m.head for m in chosen]) for chosen in (neutral, calm))
    head = replace(at_rest, shape=closed.shape)
    return Reference(
        replace(placement, roll=placement.roll * roll_trust),
        measured[0].placement,
        yaw,
        np.mean([m.backflow for m in neutral], axis=0),
        min(_CLOSED_MOUTH, float(np.mean(mouths))),
        float(np.quantile([m.eyes for m in measured], _OPEN_SHARE)),
        float(np.quantile([m.lids for m in measured], 1 - _OPEN_SHARE)),
        _rest_trust(yaw),
        roll_trust,
        head,
        Head.of(measured[0].face),
        rest_shape(head),
        np.mean([m.look.light for m in calm], axis=0),
        measured[0].look.light,
        usual_gaze([m.look.gaze for m in measured]),
        measured[0].look.gaze,
    )


def _energy(measured: Measurement) -> float:
    """How far the networks see the face from its neutral one."""
    return float(np.square(measured.backflow).sum())


def _rest_trust(degrees: float) -> float:
    """1 for a head at rest, 0 for one that is turned or tilted by that much on purpose."""
    trust = (_TURNED_DEGREES - abs(degrees)) / (_TURNED_DEGREES - _REST_DEGREES)
    return min(1.0, max(0.0, trust))
