"""The source's face: followed through the frames, and cut out of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.attention_mesh import CloseLook, look_closely, look_closely_at
from facecycle_cli.faces.choice import FaceChoice, check_face_choice, choose_faces
from facecycle_cli.faces.following import Sighting, skull_points, skull_template
from facecycle_cli.faces.similarity import fit_similarity
from facecycle_cli.faces.smoothing import smoothed
from facecycle_cli.media.pipeline import batches
from facecycle_cli.translate.appearance import Appearance, appearance_of
from facecycle_cli.types import RGBImage

__all__ = ["SourceFace", "crop_sightings", "crop_still"]


@dataclass(frozen=True)
class SourceFace:
    """What the networks get of a frame of the source.

    Attributes:
        face: the face as it was found in the frame, lips and lids looked at closely.
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
    def cut(cls, sighting: Sighting, close: CloseLook, alignment: Alignment) -> SourceFace:
        """The face in a frame, cut out by an alignment.

        Args:
            sighting: of the face.
            close: the same face, looked at closely.
            alignment: from the frame to the crop.
        """
        crop = alignment.crop(sighting.image)
        look = appearance_of(sighting.image, close.face, alignment, crop)
        look = replace(look, gaze=close.gaze)
        return cls(close.face, sighting.track, alignment, crop, look)


def crop_sightings(
    sightings: Iterable[Sighting | None], side: int, *, width: float
) -> Iterator[SourceFace | None]:
    """Cut the followed face out of each frame, upright and of one size.

    All crops of a track have the skull at the height where :meth:`.Alignment.from_face` has it in
    the first of them.

    Args:
        sightings: what :meth:`.FaceFollower.follow` yields.
        side: of the crops, in pixels.
        width: of the smoothing of the face's position, in frames; 0 for none.
    """
    track: int | None = None
    template = np.empty((5, 2))
    for pair in _seen_closely(smoothed(sightings, [width])):
        if pair is None:
            yield None
            continue
        seen, close = pair
        if seen.track != track:
            track = seen.track
            template = skull_template(seen.face, side)
        alignment = Alignment(fit_similarity(seen.points, template), side)
        yield SourceFace.cut(seen, close, alignment)


def _seen_closely(
    sightings: Iterable[Sighting | None],
) -> Iterator[tuple[Sighting, CloseLook] | None]:
    """Each with a close look at its face; None for None."""
    for batch in batches(sightings):
        seen = [each for each in batch if each is not None]
        close = iter(look_closely_at([s.image for s in seen], [s.face for s in seen]))
        yield from (None if each is None else (each, next(close)) for each in batch)


def crop_still(image: RGBImage, faces: Sequence[Face], choice: FaceChoice, side: int) -> SourceFace:
    """Cut the chosen face out of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: those in it, largest first.
        choice: which of them.
        side: of the crop, in pixels.

    Raises:
        NoFaceError: there is no such face.
        SettingsError: there is no such choice.
    """
    (face,) = choose_faces(image, faces, check_face_choice(choice, single=True))
    alignment = Alignment.from_face(face, side)
    seen = Sighting(image, face, 0, skull_points(face))
    return SourceFace.cut(seen, look_closely(image, face), alignment)
