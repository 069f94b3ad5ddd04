"""The source's face: followed through the frames, and cut out of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.attention_mesh import with_close_look, with_close_looks
from facecycle_cli.faces.choice import FaceChoice, check_face_choice, choose_faces
from facecycle_cli.faces.following import Sighting, skull_template
from facecycle_cli.faces.iris import UNKNOWN_GAZE, EyePatches, Gaze, cut_eyes, find_irises, gaze_of
from facecycle_cli.faces.similarity import fit_similarity
from facecycle_cli.faces.smoothing import smoothed
from facecycle_cli.media.pipeline import batches
from facecycle_cli.translate.appearance import Appearance, appearance_of
from facecycle_cli.types import RGBImage

__all__ = ["SourceFace", "crop_sightings", "crop_still", "with_gazes"]

_GAZE_STEP = 2
"""Irises are searched for in every second frame: their network is as slow as that of the landmarks,
and where the eyes jump, half the way is between two frames."""


@dataclass(frozen=True)
class SourceFace:
    """What the networks get of a frame of the source.

    Attributes:
        face: the face as it was found in the frame, lips and lids looked at closely.
        track: the same number as long as it is the same face in the same shot.
        alignment: from the frame to ``crop``.
        crop: (S, S, 3) uint8.
        look: what the frame shows of the face.
        eyes: cut out of the frame; None: its gaze is that of its neighbors.
    """

    face: Face
    track: int
    alignment: Alignment
    crop: RGBImage
    look: Appearance
    eyes: EyePatches | None = None

    @classmethod
    def cut(cls, image: RGBImage, face: Face, track: int, alignment: Alignment) -> SourceFace:
        """The face in a frame (H, W, 3) uint8, cut out by an alignment."""
        crop = alignment.crop(image)
        look = appearance_of(image, face, alignment, crop)
        return cls(face, track, alignment, crop, look)

    def with_eyes(self, image: RGBImage, found: Face) -> SourceFace:
        """The same with the eyes cut out of its frame.

        Args:
            image: (H, W, 3) uint8, the frame.
            found: the face before it was looked at closely: corners of eyes that are seen closely
                move with the lids, and gaze is measured from the corners.
        """
        return replace(self, eyes=cut_eyes(image, found))

    def looking(self, gaze: Gaze) -> SourceFace:
        """The same with another gaze."""
        return replace(self, look=replace(self.look, gaze=gaze))


def crop_sightings(
    sightings: Iterable[Sighting | None], side: int, *, width: float, eyes: bool = False
) -> Iterator[SourceFace | None]:
    """Cut the followed face out of each frame, upright and of one size.

    All crops of a track have the skull at the height where :meth:`.Alignment.from_face` has it in
    the first of them.

    Args:
        sightings: what :meth:`.FaceFollower.follow` yields.
        side: of the crops, in pixels.
        width: of the smoothing of the face's position, in frames; 0 for none.
        eyes: cut out the eyes, too, in every second frame.
    """
    track: int | None = None
    template = np.empty((5, 2))
    for number, pair in enumerate(_seen_closely(smoothed(sightings, [width]))):
        if pair is None:
            yield None
            continue
        seen, close = pair
        if seen.track != track:
            track = seen.track
            template = skull_template(seen.face, side)
        alignment = Alignment(fit_similarity(seen.points, template), side)
        face = SourceFace.cut(seen.image, close, seen.track, alignment)
        yield face.with_eyes(seen.image, seen.face) if eyes and number % _GAZE_STEP == 0 else face


def _seen_closely(
    sightings: Iterable[Sighting | None],
) -> Iterator[tuple[Sighting, Face] | None]:
    """Each with its face, lips and lids looked at closely; None for None."""
    for batch in batches(sightings):
        seen = [each for each in batch if each is not None]
        close = iter(with_close_looks([s.image for s in seen], [s.face for s in seen]))
        yield from (None if each is None else (each, next(close)) for each in batch)


def with_gazes(batch: Sequence[SourceFace | None]) -> list[SourceFace | None]:
    """The faces of frames in a row, with the gaze of each whose eyes, or whose neighbor's, were cut
    out.
    """
    cut = {
        k: seen.eyes
        for k, seen in enumerate(batch)
        if seen is not None and seen.eyes is not None and seen.eyes.seen > 0
    }
    irises = find_irises(list(cut.values()))
    gazes = {k: gaze_of(eyes, both) for (k, eyes), both in zip(cut.items(), irises, strict=True)}
    return [
        None
        if seen is None
        else replace(seen, look=replace(seen.look, gaze=_gaze(batch, gazes, k)))
        for k, seen in enumerate(batch)
    ]


def _gaze(batch: Sequence[SourceFace | None], gazes: Mapping[int, Gaze], number: int) -> Gaze:
    """Of a frame of the batch: its own, or what lies between those of its neighbors."""
    if number in gazes:
        return gazes[number]
    seen = batch[number]
    near = [
        gazes[k]
        for k in (number - 1, number + 1)
        if k in gazes and (other := batch[k]) and seen and other.track == seen.track
    ]
    if not near or (seen and seen.eyes):
        return UNKNOWN_GAZE
    return Gaze(np.mean([g.place for g in near], axis=0), min(g.trust for g in near))


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
    seen = SourceFace.cut(image, with_close_look(image, face), 0, alignment)
    (found,) = with_gazes([seen.with_eyes(image, face)])
    return found or seen
