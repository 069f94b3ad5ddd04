"""One face through a video: which one, and the points by which it is held steady."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces.alignment import TEMPLATE, Alignment
from facecycle_cli.faces.backend import FaceBackend
from facecycle_cli.faces.choice import FaceChoice, check_face_choice, choose_face
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.smoothing import Signal
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.types import RGBImage

__all__ = [
    "MIN_FACE",
    "FaceFollower",
    "Sighting",
    "skull_points",
    "skull_template",
    "video_tracker",
]

_PATIENCE = 5
"""Frames for which the followed face may be occluded before another face replaces it."""

MIN_FACE = 32
"""Height in pixels of the smallest face that is followed, unless a caller says another."""

_LEAST_SHARE = 0.5
"""Of the height of the smallest face: what is smaller is not searched for while faces are seen. It
would not be followed."""

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


def video_tracker(
    backend: FaceBackend,
    min_face: int = MIN_FACE,
    *,
    settle: bool = False,
    least_share: float = 0.0,
) -> FaceTracker:
    """Tracks all faces of a video; arguments as for :class:`.FaceTracker`."""
    return FaceTracker(
        backend,
        everyone=True,
        min_face=min_face,
        patience=_PATIENCE,
        settle=settle,
        least_share=least_share,
    )


class FaceFollower:
    """Follows one face through a video.

    Args:
        backend: finds the faces.
        choice: which face where there are several, chosen again in every shot, in the first of its
            frames that shows a face.
        min_face: height in pixels of the smallest face that is followed.
        settle: as for :class:`.FaceTracker`.

    Attributes:
        most_besides: the largest number of faces besides the followed one in any frame so far.

    Raises:
        SettingsError: ``choice`` is no choice of one face.
    """

    def __init__(
        self,
        backend: FaceBackend,
        choice: FaceChoice = "largest",
        *,
        min_face: int = MIN_FACE,
        settle: bool = False,
    ) -> None:
        self.most_besides = 0
        self._choice = check_face_choice(choice, single=True)
        self._tracker = video_tracker(backend, min_face, settle=settle, least_share=_LEAST_SHARE)

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
                track = self._choose(image, found.faces)
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

    def _choose(self, image: RGBImage, faces: Mapping[int, Face]) -> int | None:
        """The track of the chosen face, None if there is no such face."""
        tracks = sorted(faces, key=lambda track: -faces[track].area)
        chosen = choose_face(image, [faces[track] for track in tracks], self._choice)
        return next((track for track in tracks if faces[track] is chosen), None)


def skull_points(face: Face) -> np.ndarray:
    """Points that no expression moves much: (5, 2) float32, pixels.

    They are both eyes, and tip, root and base of the nose. An alignment by the face's five points
    contains the mouth: with every word the head would seem to nod.
    """
    topology = face.topology
    nose = face.landmarks[[topology.upper[-1], topology.lower[0]], :2]
    return np.concatenate([face.five_points[:3], nose])


def skull_template(face: Face, side: int) -> np.ndarray:
    """Where the skull points of this person lie in a crop when the head is frontal, (5, 2).

    The height of eyes and nose does not depend on the head's yaw, so it is this person's. Their
    horizontal distances depend on it, so they are those of the common template.
    """
    template = Alignment.from_face(face, side).apply(skull_points(face))
    template[:2, 1] = template[:2, 1].mean()
    template[:3, 0] = TEMPLATE[:3, 0] * side - 0.5
    template[3:, 0] = template[2, 0]
    return template
