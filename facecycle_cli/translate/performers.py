"""The faces of one picture that perform together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.faces.backend import settled
from facecycle_cli.faces.choice import check_face_choice
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.portraits import find_faces
from facecycle_cli.translate.motion import Motion
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.stage import Drawing
from facecycle_cli.translate.target import Target
from facecycle_cli.types import RGBImage

__all__ = ["Performers", "find_performers"]

_BORDER = 6.0
"""How sharp the border between two faces is: at a tenth of a face's radius beside the middle, one
of two equal faces has more than nine tenths of a pixel."""


class Performers:
    """One or several targets in one picture; all take on the same motions.

    Where the moving parts of two faces meet, each pixel follows the nearer face, and a soft border
    is between them.

    Args:
        targets: at least one, the largest face first; several only of the whole picture.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self.still: RGBImage = targets[0].stage.still
        self.size: tuple[int, int] = targets[0].stage.size
        parts = [target.stage.part for target in targets]
        faces = [target.face for target in targets]
        self._shares = [_shares(number, faces, parts) for number in range(len(targets))]

    def frames(self, motions: Sequence[Motion | None]) -> Iterator[RGBImage]:
        """The frame of each motion, (H, W, 3) uint8; those that are None have none."""
        seen = [motion for motion in motions if motion is not None]
        prepared = [target.prepare(seen) for target in self._targets]
        return map(self.draw, zip(*prepared, strict=True))

    def perform(self, motions: Sequence[Motion | None]) -> list[RGBImage]:
        """:meth:`frames`, all at once."""
        return list(self.frames(motions))

    def draw(self, drawings: tuple[Drawing, ...]) -> RGBImage:
        """The frame, (H, W, 3) uint8, of the drawing of each face."""
        if len(drawings) == 1:
            return self._targets[0].draw(drawings[0])
        frame = self.still.astype(np.float32)
        for target, drawing, shares in zip(self._targets, drawings, self._shares, strict=True):
            part = target.stage.part
            change = target.draw(drawing)[part].astype(np.float32) - self.still[part]
            frame[part] += change if shares is None else shares * change
        return np.clip(np.rint(frame), 0, 255).astype(np.uint8)

    def expected_yaw(self, motion: Motion) -> float:
        """The yaw that the largest face of the output should have, in degrees."""
        return self._targets[0].expected_yaw(motion)


def _shares(
    number: int, faces: Sequence[Face], parts: Sequence[tuple[slice, slice]]
) -> np.ndarray | None:
    """How much of each pixel in a face's part is this face's, (h, w, 1) float32; None: all."""
    rows, columns = parts[number]
    ys, xs = np.ogrid[rows, columns]
    weights = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    own = _nearness(faces[number], xs, ys)
    meets = False
    for other, part in enumerate(parts):
        if other != number and _overlap(parts[number], part):
            meets = True
            # The others' share of a pixel over one's own.
            distance = np.clip(_nearness(faces[other], xs, ys) - own, None, 80)
            weights += np.exp(distance).astype(np.float32)
    return (1 / (1 + weights))[..., None] if meets else None


def _nearness(face: Face, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Logarithm of a face's weight at pixels: it falls with the squared distance in radii."""
    center, radius = face.oval.mean(0), np.sqrt(face.area) / 2
    distance = ((xs - center[0]) ** 2 + (ys - center[1]) ** 2) / radius**2
    return np.asarray(-_BORDER * distance)


def _overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def find_performers(
    image: RGBImage, model: FaceCycle, backend: FaceBackend, settings: TranslateSettings
) -> Performers:
    """The faces of a picture that take on the motions, as ``settings.target_face`` says.

    Args:
        image: (H, W, 3) uint8 RGB.
        model: the networks.
        backend: finds the faces.
        settings: as for :class:`.Target`; ``target_face`` is no ``like:FILE`` any more.

    Raises:
        MediaError: this is no picture.
        NoFaceError: it has no face, or no such face.
        SettingsError: there is no such choice, or all faces are wanted in one crop.
    """
    choice = check_face_choice(settings.target_face)
    if choice == "all" and not settings.paste_back:
        raise SettingsError("all faces of the target need paste_back: a crop shows one face")
    try:
        faces = find_faces(image, backend, choice)
    except NoFaceError as error:
        is_plain = str(error) == "no face found"
        text = f"{error} in the target" if is_plain else f"in the target, {error}"
        raise NoFaceError(text) from None
    faces = settled(backend, [image] * len(faces), faces)
    return Performers([Target(image, face, model, settings) for face in faces])
