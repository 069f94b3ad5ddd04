"""Faces of photographs: found however these are turned, left out where the border cuts them.

Every command that reads a photograph goes through :func:`search_photos`, so that all of them find
the same faces and refuse the same ones. Frames of videos are followed instead
(:mod:`facecycle_cli.faces.tracking`) and are not searched in turned copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facecycle_cli.errors import CutFaceError, NoFaceError
from facecycle_cli.faces.backend import FaceBackend
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.mesh import Region
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.types import RGBImage

__all__ = [
    "SMALL_PICTURE",
    "PhotoFaces",
    "enlarged_twice",
    "is_inside",
    "search_photos",
    "search_turned",
    "sort_out",
]

SMALL_PICTURE = 100
"""Pictures up to this side in pixels (FER-2013's have 48) show more faces when they are enlarged
twice: the detector finds 91 % of FER-2013's that way, 87 % without."""

_BROW_BEYOND = 0.1
"""How far the root of the nose, between the brows, may lie beyond the border, in distances between
the eyes: a forehead may be cut as far as the brows. Measured on 72 photographs of which 5 to 60 %
of the face were cut: where more is missing, the mesh moves the eyes down onto the cheeks."""

_BOX_AGREEMENT = 0.55
"""Least overlap (intersection over union) of the detector's box and the one that belongs to the
landmarks, for a face at the border. It is 0.6 or more for 99.9 % of upright, whole faces."""

_FOREHEAD = 0.75
"""How near to the border the root of the nose lies, in distances between the eyes, where a face is
measured a second time."""

_STAYS = 0.15
"""Most that such a face moves then, in distances between the eyes. Sharp faces that are cut but
whole enough move by at most 0.1, blurred ones by 0.15."""

_PAD = 4.0
"""Gray around the picture for that, in distances between the eyes."""

_AT_BORDER = 0.02
"""A box counts as at the border from this distance on, in heights of the box."""

_TURNED_SCORE = 0.85
"""Least score of a face that is found only in a turned copy."""

_TURNED_ROLL = 60.0
"""Most degrees by which a head is tilted in the turned copy that it is found in: one that is tilted
more is upright in the next copy."""


@dataclass(frozen=True)
class PhotoFaces:
    """What a search of one photograph found.

    Attributes:
        faces: those that can be used, largest first, in pixels of the photograph.
        cut: how many more there are that the photograph's border cuts off.
    """

    faces: list[Face]
    cut: int = 0

    def require(self) -> list[Face]:
        """The faces; at least one.

        Raises:
            CutFaceError: the border cuts off all faces.
            NoFaceError: there is no face.
        """
        if not self.faces:
            raise CutFaceError() if self.cut else NoFaceError("no face found")
        return self.faces


def search_photos(
    images: Sequence[RGBImage], backend: FaceBackend, *, min_face: int = 24, refine: bool = True
) -> list[PhotoFaces]:
    """The faces of photographs.

    A photograph without any face is searched again: turned by quarters, as a scanner or a phone may
    have left it; one of at most :data:`SMALL_PICTURE` pixels is enlarged instead. A photograph with
    a face is searched once.

    Args:
        images: (H, W, 3) uint8 RGB each; their sizes may differ.
        backend: finds the faces.
        min_face, refine: as :meth:`.FaceBackend.detect` has them.

    Raises:
        FaceError: the networks cannot be opened.
    """
    detected = backend.detect(images, min_face=min_face, refine=refine)
    pairs = zip(images, detected, strict=True)
    found = [sort_out(faces, image, backend) for image, faces in pairs]
    for i, image in enumerate(images):
        if not detected[i]:
            found[i] = _search_again(image, backend, min_face=min_face, refine=refine)
    return found


def _search_again(
    image: RGBImage, backend: FaceBackend, *, min_face: int, refine: bool
) -> PhotoFaces:
    """The faces of a photograph (H, W, 3) uint8 in which a plain search found none."""
    if max(image.shape[:2]) > SMALL_PICTURE:
        return search_turned(image, backend, min_face=min_face, refine=refine)
    larger = enlarged_twice(image)
    (faces,) = backend.detect([larger], min_face=min_face, refine=refine)
    found = sort_out(faces, larger, backend)
    return PhotoFaces([_halved(face) for face in found.faces], found.cut)


def search_turned(
    image: RGBImage, backend: FaceBackend, *, min_face: int, refine: bool
) -> PhotoFaces:
    """The faces of a photograph (H, W, 3) uint8 that are upright when it is turned by quarters."""
    best: list[Face] = []
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(image, quarters))
        (faces,) = backend.detect([turned], min_face=min_face, refine=refine)
        upright = [
            face
            for face in faces
            if face.score >= _TURNED_SCORE and abs(face.pose.roll) < _TURNED_ROLL
        ]
        if max((f.score for f in upright), default=0) > max((f.score for f in best), default=0):
            best = [_turned_back(face, quarters, image.shape) for face in upright]
    return sort_out(best, image, backend)


def sort_out(faces: Iterable[Face], image: RGBImage, backend: FaceBackend) -> PhotoFaces:
    """Leave out the faces that cannot be used.

    Args:
        faces: found in one picture, largest first.
        image: the picture, (H, W, 3) uint8 RGB.
        backend: what found them.

    Raises:
        FaceError: the networks cannot be opened.
    """
    measured = [face for face in faces if np.isfinite(face.landmarks).all()]
    inside = [
        face
        for face in measured
        if is_inside(face, image.shape) and _has_its_eyes(face, image, backend)
    ]
    return PhotoFaces(inside, len(measured) - len(inside))


def _has_its_eyes(face: Face, image: RGBImage, backend: FaceBackend) -> bool:
    """Whether a face at the border is measured the same where gray goes on beyond the border.

    Where the eyes are cut off, the mesh sees some in the picture's border, which is repeated beyond
    it; it does not see the same ones in gray.
    """
    eyes = face.five_points[:2]
    distance = float(np.linalg.norm(eyes[1] - eyes[0]))
    root = face.landmarks[face.topology.upper[-1], :2]
    to_border = min(root.min(), (np.array([image.shape[1], image.shape[0]]) - 1 - root).min())
    if to_border >= _FOREHEAD * distance:
        return True
    pad = round(_PAD * distance)
    padded = cv2.copyMakeBorder(
        image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(128, 128, 128)
    )
    moved = face.landmarks + np.array([pad, pad, 0], np.float32)
    (again,) = backend.follow(
        [np.asarray(padded, np.uint8)], [replace(face, box=face.box + pad, landmarks=moved)]
    )
    if again is None:
        return False
    change = np.linalg.norm(again.five_points - pad - face.five_points, axis=1).max()
    return bool(change < _STAYS * distance)


def is_inside(face: Face, shape: Sequence[int]) -> bool:
    """Whether the picture shows eyes, nose tip, mouth corners and at least the brows' lower edge.

    Forehead, chin and cheeks may be cut.

    Args:
        face: found in the picture.
        shape: (H, W, ...) of the picture.
    """
    points = face.five_points
    low, high = np.full(2, -0.5), np.array([shape[1], shape[0]]) - 0.5
    if not ((points >= low).all() and (points <= high).all()):
        return False
    beyond = _BROW_BEYOND * float(np.linalg.norm(points[1] - points[0]))
    brows = face.landmarks[face.topology.upper[-1], :2]
    if not ((brows >= low - beyond).all() and (brows <= high + beyond).all()):
        return False
    return _agrees(face, low, high)


def _agrees(face: Face, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether the landmarks of a face at the border lie where the detector saw it.

    Where half of a face is missing, the mesh squeezes a whole face into what is left.
    """
    near = _AT_BORDER * float(face.box[3] - face.box[1])
    is_at_border = (face.box[:2] < low + near).any() or (face.box[2:] > high - near).any()
    if face.topology is not MESH_468 or not is_at_border:
        return True
    box = Region.from_landmarks(face.landmarks).box
    shared = np.minimum(face.box[2:], box[2:]) - np.maximum(face.box[:2], box[:2])
    overlap = float(np.prod(np.clip(shared, 0, None)))
    return overlap >= _BOX_AGREEMENT * (face.area + float(np.prod(box[2:] - box[:2])) - overlap)


def enlarged_twice(image: RGBImage) -> RGBImage:
    """(H, W, 3) uint8 -> (2 H, 2 W, 3) uint8."""
    size = (2 * image.shape[1], 2 * image.shape[0])
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _halved(face: Face) -> Face:
    """A face of :func:`enlarged_twice`, in pixels of the picture itself."""
    # Pixel centers are at integers: own + 0.5 = (enlarged + 0.5) / 2.
    landmarks = face.landmarks / 2
    landmarks[:, :2] -= 0.25
    return replace(face, box=face.box / 2 - 0.25, landmarks=landmarks)


def _turned_back(face: Face, quarters: int, shape: Sequence[int]) -> Face:
    """A face of ``np.rot90(image, quarters)``, in pixels of the image of that shape (H, W, ...)."""
    height, width = shape[:2]
    corners = _unturned(face.box.reshape(2, 2), quarters, height, width)
    box = np.concatenate([corners.min(0), corners.max(0)])
    landmarks = face.landmarks.copy()
    landmarks[:, :2] = _unturned(landmarks[:, :2], quarters, height, width)
    return replace(face, box=box.astype(np.float32), landmarks=landmarks)


def _unturned(points: np.ndarray, quarters: int, height: int, width: int) -> np.ndarray:
    """(N, 2) points of the turned picture -> of the picture."""
    x, y = points.T
    by_quarters = {
        1: (width - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, height - 1 - x),
    }
    return np.column_stack(by_quarters[quarters])
