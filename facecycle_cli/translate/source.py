"""The face that is imitated: found, followed and cut out of every frame of the source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from facecycle_cli.faces import TEMPLATE, Alignment, Face, FaceBackend
from facecycle_cli.faces.similarity import fit_similarity
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.translate.smoothing import smoothed

__all__ = ["Observation", "Sighting", "check_choice", "follow", "observe", "observe_still"]

_PATIENCE = 5
"""Frames for which the followed face may be hidden before another one takes its place."""

_MIN_FACE = 32
_TOLERANCE = 0.03
"""Of the distance between the eyes: landmarks of a still face tremble by about a third of it."""


@dataclass(frozen=True)
class Sighting:
    """A frame of the source, and the followed face in it.

    Attributes:
        image: (H, W, 3) uint8.
        face: None where the face is not seen.
        track: the same number as long as it is the same face in the same shot.
        points: (5, 2), of the skull (see :func:`skull`), without their trembling.
        others: how many more faces the frame shows.
    """

    image: np.ndarray
    face: Face | None = None
    track: int | None = None
    points: np.ndarray = field(default_factory=lambda: np.zeros((5, 2), np.float32))
    others: int = 0


@dataclass(frozen=True)
class Observation:
    """What is needed of a frame of the source.

    Attributes:
        image: the frame, if the output shows it too; else None.
        face, track, others: as in :class:`Sighting`.
        alignment: from the frame to ``crop``; None where there is no face.
        crop: (S, S, 3) uint8 for the networks; None where there is no face.
    """

    image: np.ndarray | None
    face: Face | None
    track: int | None
    others: int
    alignment: Alignment | None = None
    crop: np.ndarray | None = None


def check_choice(choice: str) -> str:
    """``choice`` if it is ``largest``, ``left``, ``right`` or a number from 1.

    Raises:
        ValueError: it is none of them.
    """
    if not re.fullmatch(r"largest|left|right|[1-9]\d*", choice):
        raise ValueError(f"{choice!r} is none of largest, left, right, 1, 2, ...")
    return choice


def follow(
    frames: Iterable[np.ndarray], backend: FaceBackend, choice: str = "largest"
) -> Iterator[Sighting]:
    """Each frame with one face, the same one as long as it is to be seen.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        backend: finds the faces.
        choice: which face where there are several, decided anew in every shot: ``largest``;
            ``left`` or ``right`` in the picture; ``2`` for the second largest, and so on.
    """
    check_choice(choice)
    tracker = FaceTracker(backend, everyone=True, min_face=_MIN_FACE, patience=_PATIENCE)
    track: int | None = None
    shot, missing = 0, 0
    for image, found in tracker.track(frames):
        if track not in found.faces and (
            track is None or found.shot != shot or missing >= _PATIENCE
        ):
            track = _choose(found.faces, choice)
        shot = found.shot
        face = None if track is None else found.faces.get(track)
        if face is None:
            missing += 1
            yield Sighting(image, others=len(found.faces))
        else:
            missing = 0
            yield Sighting(image, face, track, skull(face), len(found.faces) - 1)


def _choose(faces: dict[int, Face], choice: str) -> int | None:
    """Number of the track to follow, None if the chosen one is not there."""
    if choice in ("left", "right"):
        tracks = sorted(faces, key=lambda n: float(faces[n].oval[:, 0].mean()))
        return None if not tracks else tracks[0 if choice == "left" else -1]
    tracks = sorted(faces, key=lambda n: -faces[n].area)
    rank = 0 if choice == "largest" else int(choice) - 1
    return tracks[rank] if rank < len(tracks) else None


def skull(face: Face) -> np.ndarray:
    """(5, 2) float32: the eyes, the nose's tip, root and base, which no expression moves much.

    An alignment by the five points of a face has the mouth in it: with every word the head would
    seem to nod.
    """
    topology = face.topology
    nose = face.landmarks[[topology.upper[-1], topology.lower[0]], :2]
    return np.concatenate([face.five_points[:3], nose])


def _template(face: Face, side: int) -> np.ndarray:
    """(5, 2): where the skull of this person, looking ahead, lies in a crop.

    How high eyes and nose are does not depend on where the head is turned to; how far apart they
    are does, so that is everybody's.
    """
    template = Alignment.from_face(face, side).apply(skull(face))
    template[:2, 1] = template[:2, 1].mean()
    template[:3, 0] = TEMPLATE[:3, 0] * side - 0.5
    template[3:, 0] = template[2, 0]
    return template


def observe(
    sightings: Iterable[Sighting], side: int, *, width: float, keep_images: bool = False
) -> Iterator[Observation]:
    """Cut the followed face out of each frame, upright and of one size.

    The crops of a track keep the skull at the height where :meth:`Alignment.from_face` has it in
    the first one.

    Args:
        sightings: of :func:`follow`.
        side: of the crops.
        width: of the smoothing of the face's place, in frames; 0 for none.
        keep_images: the frames are needed later on.
    """
    track: int | None = None
    template = np.empty((5, 2))
    for seen in smoothed(
        sightings,
        width=width,
        tolerance=lambda seen: _TOLERANCE * _eye_distance(seen),
        group=lambda seen: seen.track,
        get=lambda seen: seen.points,
        put=lambda seen, points: replace(seen, points=points),
    ):
        image = seen.image if keep_images else None
        if seen.face is None:
            yield Observation(image, None, None, seen.others)
            continue
        if seen.track != track:
            track = seen.track
            template = _template(seen.face, side)
        alignment = Alignment(fit_similarity(seen.points, template), side)
        crop = alignment.crop(seen.image)
        yield Observation(image, seen.face, seen.track, seen.others, alignment, crop)


def _eye_distance(seen: Sighting) -> float:
    left, right = seen.points[:2].astype(float)
    return max(1.0, float(np.linalg.norm(right - left)))


def observe_still(image: np.ndarray, faces: Sequence[Face], choice: str, side: int) -> Observation:
    """The chosen face of a picture, cut out; without a face if there is no such face."""
    chosen = _choose(dict(enumerate(faces)), check_choice(choice))
    if chosen is None:
        return Observation(image, None, None, len(faces))
    alignment = Alignment.from_face(faces[chosen], side)
    crop = alignment.crop(image)
    return Observation(image, faces[chosen], 0, len(faces) - 1, alignment, crop)
