"""The source's frames as motions, and what these are relative to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from facecycle_cli.model import FaceCycle
from facecycle_cli.translate.placement import HeadPlace, mean_place
from facecycle_cli.translate.smoothing import smoothed
from facecycle_cli.translate.source import Observation

__all__ = ["Performance", "Reference", "batches", "performances", "still_performance"]

T = TypeVar("T")

BATCH = 8
"""Frames that go through the networks together."""

_TOLERANCE = 0.02
"""Grid units. Flows of a still face differ from frame to frame by about a quarter of it."""

_MOUTH_TOLERANCE = 0.03
"""Distances between the eyes. The opening of a still mouth trembles by about a third of it."""

_EYE_TOLERANCE = 0.04
"""Widths of an eye, of the opening between its lids."""

_OPEN_SHARE = 0.6
"""The share of a track's first frames whose eyes are less open than usual."""

_NEUTRAL_SHARE = 4
"""The reference is the mean of the most neutral quarter of a track's first frames."""

_FACING, _TURNED = 4.0, 14.0
"""Degrees of yaw. A head turned by less looks ahead, and its flow shows how the networks see that
person at rest. If it is turned further even at its most neutral, it is not at rest, and turning
back must not turn the target aside: in between, motion is ever more taken as it is. The same holds
for a head that is tilted."""

_CLOSED = 0.05
"""Distances between the eyes. A mouth that is never closed further is open, not at rest."""


@dataclass(frozen=True)
class Reference:
    """The source at its most neutral.

    Attributes:
        backflow: (2, s, s) float32.
        place: of the head in the picture.
        yaw: degrees.
        mouth: opening of the mouth in distances between the eyes.
        eyes: usual opening of the eyes over their width.
        trust: 0..1, how much it is the person at rest.
    """

    backflow: np.ndarray
    place: HeadPlace
    yaw: float
    mouth: float
    eyes: float = 0.0
    trust: float = 1.0


@dataclass(frozen=True)
class Performance:
    """A frame of the source as a motion; frames without a face have none.

    Attributes:
        seen: the frame.
        backflow: (2, s, s) float32, from a neutral face to the source's.
        mouth: opening of the source's mouth in distances between the eyes.
        eyes: opening of the source's eyes over their width.
        reference: of the source's track.
    """

    seen: Observation
    backflow: np.ndarray | None = None
    mouth: float | None = None
    eyes: float | None = None
    reference: Reference | None = None

    @property
    def track(self) -> int | None:
        """Of the source's face; None without a face."""
        return self.seen.track

    @property
    def place(self) -> HeadPlace:
        """Of the head in the picture."""
        assert self.seen.alignment is not None
        return HeadPlace.of(self.seen.alignment)

    @property
    def yaw(self) -> float:
        """Of the head, in degrees."""
        assert self.seen.face is not None
        return self.seen.face.pose.yaw


def batches(items: Iterable[T], count: int = BATCH) -> Iterator[list[T]]:
    """Lists of ``count`` items, the last one maybe shorter."""
    source = iter(items)
    while batch := list(itertools.islice(source, count)):
        yield batch


@torch.inference_mode()
def encode_backflow(model: FaceCycle, crops: Sequence[np.ndarray]) -> np.ndarray:
    """Crops (S, S, 3) uint8, N of them -> (N, 2, s, s) float32: E_exp and D_flow."""
    code = model.encode_expression(model.to_input(np.stack(crops)))
    return model.decode_flow(code).backflow.cpu().numpy()


def encode(model: FaceCycle, observed: Iterable[list[Observation]]) -> Iterator[Performance]:
    """Batches of frames -> their motions, one after the other."""
    for batch in observed:
        crops = [seen.crop for seen in batch if seen.crop is not None]
        backflows = iter(encode_backflow(model, crops) if crops else ())
        for seen in batch:
            if seen.crop is None or seen.face is None:
                yield Performance(seen)
            else:
                face = seen.face
                yield Performance(seen, next(backflows), face.mouth_opening, face.eye_opening)


def still_performance(model: FaceCycle, seen: Observation) -> Performance:
    """The motion of a single picture with a face; it is its own reference."""
    (motion,) = encode(model, [[seen]])
    return replace(motion, reference=_reference([motion]))


def performances(
    model: FaceCycle,
    observed: Iterable[list[Observation]],
    *,
    width: float,
    lips: float,
    settle: int,
) -> Iterator[Performance]:
    """Batches of frames -> their motions, smoothed, each with its reference.

    Args:
        model: the networks.
        observed: the source's frames.
        width: of the flows' smoothing, in frames; 0 for none.
        lips: of the mouth's, and of the eyelids'.
        settle: number of a track's first frames that its reference is chosen from.
    """
    motions = smoothed(
        encode(model, observed),
        width=width,
        tolerance=lambda _: _TOLERANCE,
        group=lambda motion: motion.track,
        get=_backflow,
        put=lambda motion, backflow: replace(motion, backflow=backflow),
    )
    motions = _smoothed_number(motions, "mouth", lips, _MOUTH_TOLERANCE)
    motions = _smoothed_number(motions, "eyes", lips, _EYE_TOLERANCE)
    return with_reference(motions, settle)


def _smoothed_number(
    motions: Iterable[Performance], name: str, width: float, tolerance: float
) -> Iterator[Performance]:
    """The motions with one of their numbers smoothed, ``mouth`` or ``eyes``."""

    def put(motion: Performance, value: np.ndarray) -> Performance:
        change: dict[str, Any] = {name: float(value)}
        return replace(motion, **change)

    return smoothed(
        motions,
        width=width,
        tolerance=lambda _: tolerance,
        group=lambda motion: motion.track,
        get=lambda motion: np.array(getattr(motion, name)),
        put=put,
    )


def with_reference(motions: Iterable[Performance], settle: int) -> Iterator[Performance]:
    """Give every motion its track's reference; at most ``settle`` of them are held back for it."""
    reference: Reference | None = None
    track: int | None = None
    waiting: list[Performance] = []
    for motion in motions:
        if motion.track is not None and motion.track != track:
            if waiting:
                yield from _refer(waiting, _reference(waiting))
            reference, track, waiting = None, motion.track, []
        if reference is not None or track is None:
            yield replace(motion, reference=reference)
            continue
        waiting.append(motion)
        if len(waiting) >= settle:
            reference = _reference(waiting)
            yield from _refer(waiting, reference)
            waiting = []
    if waiting:
        yield from _refer(waiting, _reference(waiting))


def _refer(motions: Sequence[Performance], reference: Reference | None) -> Iterator[Performance]:
    return (replace(motion, reference=reference) for motion in motions)


def _reference(motions: Sequence[Performance]) -> Reference:
    """Of motions of one track, at least one of which has a face."""
    known = [m for m in motions if m.backflow is not None]
    count = max(1, len(known) // _NEUTRAL_SHARE)
    # Who speaks closes the mouth at other moments than those at which the head is straight.
    mouths = sorted(m.mouth for m in known if m.mouth is not None)[:count]
    eyes = [m.eyes for m in known if m.eyes is not None]
    known.sort(key=lambda m: float(np.square(_backflow(m)).sum()))
    known = known[:count]
    yaw = float(np.mean([m.yaw for m in known]))
    at = mean_place([m.place for m in known])
    return Reference(
        np.mean([_backflow(m) for m in known], axis=0),
        replace(at, roll=at.roll * _trust(math.degrees(at.roll))),
        yaw,
        min(_CLOSED, float(np.mean(mouths))) if mouths else 0.0,
        float(np.quantile(eyes, _OPEN_SHARE)) if eyes else 0.0,
        _trust(yaw),
    )


def _trust(degrees: float) -> float:
    """1 for a head at rest, 0 for one that is turned or tilted by that much on purpose."""
    return min(1.0, max(0.0, (_TURNED - abs(degrees)) / (_TURNED - _FACING)))


def _backflow(motion: Performance) -> np.ndarray:
    assert motion.backflow is not None
    return motion.backflow
