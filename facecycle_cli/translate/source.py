"""The source's face: followed through the frames, and cut out of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.errors import NoFaceError
from facecycle_cli.faces import TEMPLATE, Alignment, Face, FaceBackend
from facecycle_cli.faces.similarity import fit_similarity
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.translate.appearance import Appearance, appearance_of
from facecycle_cli.translate.settings import check_face_choice
from facecycle_cli.translate.smoothing import Signal, smoothed
from facecycle_cli.types import RGBImage

__all__ = ["FaceFollower", "Sighting", "SourceFace", "crop_sightings", "crop_still", "skull_points"]

_PATIENCE = 5
"""Frames for which the followed face may be occluded before another face replaces it."""

_MIN_FACE = 32
"""Height in pixels of the smallest face that is followed."""

_POINT_TOLERANCE = 0.03
"""Distances between the eyes. Landmarks of a still face tremble by about a third of it."""


@dataclass(frozen=True)
class Sighting:
    """The followed face in a frame of the source.

    Attributes:
        image: the frame, (H, W, 3) uint8.
        face: the face as it was found in it.
        track: the same number as long as it is the same face in the same shot.
        points: (5, 2) float32, pixels: see :func:`skull_points`; smoothed later.
    """

    image: RGBImage
    face: Face
    track: int
    points: np.ndarray

    def signals(self) -> Sequence[Signal]:
        """The points."""
        left, right = self.points[:2].astype(float)
        eye_distance = max(1.0, float(np.linalg.norm(right - left)))
        return (Signal(self.points, _POINT_TOLERANCE * eye_distance),)

    def with_signals(self, values: Sequence[np.ndarray]) -> Sighting:
        """The same with other points."""
        (points,) = values
        return replace(self, points=points)


@dataclass(frozen=True)
class SourceFace:
    """What the networks get of a frame of the source.

    Attributes:
        face: the face as it was found in the frame.
        track: the same number as long as it is the same face in the same shot.
        alignment: from the frame to ``crop``.
        crop: (S, S, 3) uint8.
        look: what the frame shows of the face.
    """

    face: Face
    track: int
    alignment: Alignment
    crop: RGBImage
    look: Appearance

    @classmethod
    def cut(cls, image: RGBImage, face: Face, track: int, alignment: Alignment) -> SourceFace:
        """The face in a frame (H, W, 3) uint8, cut out by an alignment."""
        crop = alignment.crop(image)
        look = appearance_of(image, face, alignment, crop)
        return cls(face, track, alignment, crop, look)


class FaceFollower:
    """Follows one face through a video.

    Args:
        backend: finds the faces.
        choice: which face where there are several, chosen again in every shot: ``largest``;
            ``left`` or ``right`` in the picture; ``2`` for the second largest, and so on.

    Attributes:
        most_besides: the largest number of faces besides the followed one in any frame so far.

    Raises:
        SettingsError: ``choice`` is none of these.
    """

    def __init__(self, backend: FaceBackend, choice: str = "largest") -> None:
        self.most_besides = 0
        self._choice = check_face_choice(choice)
        self._tracker = FaceTracker(backend, everyone=True, min_face=_MIN_FACE, patience=_PATIENCE)

    def follow(self, frames: Iterable[RGBImage]) -> Iterator[Sighting | None]:
        """The face in each frame, None where it is not seen.

        Args:
            frames: (H, W, 3) uint8 RGB, all of one size.
        """
        track: int | None = None
        shot, missing = 0, 0
        for image, found in self._tracker.track(frames):
            if track not in found.faces and (
                track is None or found.shot != shot or missing >= _PATIENCE
            ):
                track = _choose(found.faces, self._choice)
            shot = found.shot
            if track is None or track not in found.faces:
                missing += 1
                self.most_besides = max(self.most_besides, len(found.faces))
                yield None
            else:
                missing = 0
                self.most_besides = max(self.most_besides, len(found.faces) - 1)
                face = found.faces[track]
                yield Sighting(image, face, track, skull_points(face))


def _choose(faces: Mapping[int, Face], choice: str) -> int | None:
    """The track of the chosen face, None if there is no such face."""
    if choice in ("left", "right"):
        tracks = sorted(faces, key=lambda n: float(faces[n].oval[:, 0].mean()))
        return None if not tracks else tracks[0 if choice == "left" else -1]
    tracks = sorted(faces, key=lambda n: -faces[n].area)
    rank = 0 if choice == "largest" else int(choice) - 1
    return tracks[rank] if rank < len(tracks) else None


def skull_points(face: Face) -> np.ndarray:
    """Points that no expression moves much: (5, 2) float32, pixels.

    They are both eyes, and tip, root and base of the nose. An alignment by the face's five points
    contains the mouth: with every word the head would seem to nod.
    """
    topology = face.topology
    nose = face.landmarks[[topology.upper[-1], topology.lower[0]], :2]
    return np.concatenate([face.five_points[:3], nose])


def _skull_template(face: Face, side: int) -> np.ndarray:
    """Where the skull points of this person lie in a crop when the head is frontal, (5, 2).

    The height of eyes and nose does not depend on the head's yaw, so it is this person's. Their
    horizontal distances depend on it, so they are those of the common template.
    """
    template = Alignment.from_face(face, side).apply(skull_points(face))
    template[:2, 1] = template[:2, 1].mean()
    template[:3, 0] = TEMPLATE[:3, 0] * side - 0.5
    template[3:, 0] = template[2, 0]
    return template


def crop_sightings(
    sightings: Iterable[Sighting | None], side: int, *, width: float
) -> Iterator[SourceFace | None]:
    """Cut the followed face out of each frame, upright and of one size.

    All crops of a track have the skull at the height where :meth:`.Alignment.from_face` has it in
    the first of them.

    Args:
        sightings: what :meth:`FaceFollower.follow` yields.
        side: of the crops, in pixels.
        width: of the smoothing of the face's position, in frames; 0 for none.
    """
    track: int | None = None
    template = np.empty((5, 2))
    for seen in smoothed(sightings, [width]):
        if seen is None:
            yield None
            continue
        if seen.track != track:
            track = seen.track
            template = _skull_template(seen.face, side)
        alignment = Alignment(fit_similarity(seen.points, template), side)
        yield SourceFace.cut(seen.image, seen.face, seen.track, alignment)


def crop_still(image: RGBImage, faces: Sequence[Face], choice: str, side: int) -> SourceFace:
    """Cut the chosen face out of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: those in it, in any order.
        choice: as for :class:`FaceFollower`.
        side: of the crop, in pixels.

    Raises:
        NoFaceError: there is no such face.
        SettingsError: there is no such choice.
    """
    chosen = _choose(dict(enumerate(faces)), check_face_choice(choice))
    if chosen is None:
        raise NoFaceError("no face found")
    alignment = Alignment.from_face(faces[chosen], side)
    return SourceFace.cut(image, faces[chosen], 0, alignment)
