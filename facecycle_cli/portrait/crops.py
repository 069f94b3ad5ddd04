"""Many pictures to aligned face crops: in batches, on all cores, in constant memory.

For the commands that measure pictures and make none. A picture that cannot be used does not stop
the rest: a :class:`FailedCrop` with the reason takes its place.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from facecycle_cli.errors import FaceError, MediaError
from facecycle_cli.faces import Alignment, Face, FaceBackend, PhotoFaces, search_photos
from facecycle_cli.faces.choice import FaceChoice, check_face_choice, choose_faces
from facecycle_cli.faces.photos import SMALL_PICTURE, enlarged_twice, search_turned, sort_out
from facecycle_cli.media import read_image
from facecycle_cli.system import usable_cores
from facecycle_cli.types import RGBImage

__all__ = [
    "CropResult",
    "CropSettings",
    "FaceCrop",
    "FailedCrop",
    "Picture",
    "crop_faces",
    "face_crop",
    "prominent",
    "resize_crops",
    "whole_crop",
]

_BATCH = 16
"""Pictures that one thread reads, searches and crops at once."""

_AHEAD = 4
"""Batches per thread that are made before they are asked for."""

_LARGE = 0.4
"""Height of the faces that are searched for first, over the picture's shorter side."""

_REPORTED = 0.8
"""A search for faces of some height reports those that measure at least this share of it."""


@dataclass(frozen=True)
class Picture:
    """A picture that is to be cropped.

    Attributes:
        name: for messages.
        source: a file, a file's bytes, or pixels: uint8 (H, W, 3) RGB or (H, W) gray.
    """

    name: str
    source: str | os.PathLike[str] | bytes | np.ndarray

    @classmethod
    def file(cls, path: str | os.PathLike[str]) -> Picture:
        """A file under its own name."""
        return cls(os.fspath(path), path)


@dataclass(frozen=True)
class FaceCrop:
    """The crop of one picture.

    Attributes:
        name: the picture's.
        crop: (size, size, 3) uint8 RGB.
        whole: no face was found, and the whole picture is the crop.
    """

    name: str
    crop: RGBImage
    whole: bool = False


@dataclass(frozen=True)
class FailedCrop:
    """A picture without a crop.

    Attributes:
        name: the picture's.
        problem: why there is no crop.
    """

    name: str
    problem: Exception


CropResult: TypeAlias = FaceCrop | FailedCrop
"""What :func:`crop_faces` gives for one picture."""


@dataclass(frozen=True)
class CropSettings:
    """How pictures become crops.

    Attributes:
        size: side of the crops in pixels.
        aligned: the pictures are crops already (as ``facecycle preprocess`` writes them): no face
            is searched for.
        whole_if_no_face: where no face is found, the whole picture is the crop.
        min_face: height in pixels of the smallest face to find.
        face: which face; None: the most prominent one.
    """

    size: int
    aligned: bool = False
    whole_if_no_face: bool = False
    min_face: int = 24
    face: FaceChoice | None = None

    def __post_init__(self) -> None:
        if self.face is not None:
            check_face_choice(self.face, single=True)


def crop_faces(
    pictures: Iterable[Picture],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    workers: int | None = None,
) -> Iterator[CropResult]:
    """The crop of every picture's most prominent face, in order.

    Threads read, detect and crop a few batches ahead of what is taken; only those are in memory.

    Args:
        pictures: read one after the other as needed.
        settings: how to crop them.
        backend: finds the faces; one call should use one thread.
        workers: threads; None: one per core.
    """
    workers = workers or usable_cores()
    waiting: deque[Future[list[CropResult]]] = deque()
    source = iter(pictures)
    pool = ThreadPoolExecutor(workers)
    try:
        while batch := list(itertools.islice(source, _BATCH)):
            waiting.append(pool.submit(_crop_batch, batch, settings, backend))
            if len(waiting) > _AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def face_crop(image: RGBImage, settings: CropSettings, backend: FaceBackend) -> RGBImage:
    """The crop of one picture (H, W, 3) uint8: (size, size, 3) uint8.

    Raises:
        FaceError: there is no face.
    """
    (result,) = _crop_batch([Picture("", image)], settings, backend)
    if isinstance(result, FailedCrop):
        raise result.problem
    return result.crop


def prominent(faces: Sequence[Face], shape: Sequence[int]) -> Face:
    """The face that a picture shows: large, and near its center.

    The pictures of the verification sets are centered on their person, and now and then a passer-by
    at the border is larger. The score is the area less twice the squared distance between the
    centers of face and picture, so that the largest face wins unless it is far from the center.

    Args:
        faces: at least one.
        shape: (H, W, ...) of the picture.
    """
    return max(faces, key=lambda face: _prominence(face, shape))


def resize_crops(crops: RGBImage, side: int) -> RGBImage:
    """Crops uint8 (N, H, H, 3) at another side: averaged down, bicubic up."""
    if crops.shape[1] == side:
        return crops
    method = cv2.INTER_AREA if crops.shape[1] > side else cv2.INTER_CUBIC
    resized = [cv2.resize(crop, (side, side), interpolation=method) for crop in crops]
    return np.asarray(np.stack(resized), np.uint8)


def _prominence(face: Face, shape: Sequence[int]) -> float:
    center = np.array([shape[1] - 1, shape[0] - 1]) / 2
    offset = (face.box[:2] + face.box[2:]) / 2 - center
    return face.area - 2 * float(offset @ offset)


def _crop_batch(
    pictures: Sequence[Picture], settings: CropSettings, backend: FaceBackend
) -> list[CropResult]:
    results: dict[int, CropResult] = {}
    images: dict[int, RGBImage] = {}
    for i, picture in enumerate(pictures):
        try:
            images[i] = _load(picture)
        except (MediaError, OSError) as error:
            results[i] = FailedCrop(picture.name, error)
    if settings.aligned:
        for i, image in images.items():
            results[i] = FaceCrop(pictures[i].name, whole_crop(image, settings.size))
    else:
        for i, (image, faces) in zip(images, _search(images, settings, backend), strict=True):
            results[i] = _crop(pictures[i].name, image, faces, settings)
    return [results[i] for i in range(len(pictures))]


def _load(picture: Picture) -> RGBImage:
    source = picture.source
    if isinstance(source, np.ndarray):
        return np.repeat(source[..., None], 3, axis=2) if source.ndim == 2 else source
    return read_image(source)


def _search(
    images: Mapping[int, RGBImage], settings: CropSettings, backend: FaceBackend
) -> list[tuple[RGBImage, PhotoFaces]]:
    """The faces that the wanted one is among, and the picture that they lie in."""
    pictures = list(images.values())
    if settings.face is None:
        return _find(pictures, settings.min_face, backend)
    # A number counts all faces, as it does for every other command.
    found = search_photos(pictures, backend, min_face=settings.min_face)
    return list(zip(pictures, found, strict=True))


def _find(
    images: Sequence[RGBImage], min_face: int, backend: FaceBackend
) -> list[tuple[RGBImage, PhotoFaces]]:
    """The faces that the most prominent one is among, and the picture that they lie in: ``images``,
    the small ones of which may be enlarged.

    Most pictures here show one large face in the middle. A search for large faces takes a quarter
    of the time of one for small faces, too, and it is enough where it finds a face that no smaller
    one can outdo.
    """
    shown = [enlarged_twice(i) if max(i.shape[:2]) <= SMALL_PICTURE else i for i in images]
    large = [max(min_face, round(_LARGE * min(image.shape[:2]))) for image in shown]
    found = [PhotoFaces([])] * len(images)
    for size in sorted(set(large)):
        members = [i for i, own in enumerate(large) if own == size]
        seen = backend.detect([shown[i] for i in members], min_face=size, refine=False)
        for i, faces in zip(members, seen, strict=True):
            found[i] = sort_out(faces, shown[i], backend)
    unsure = [i for i, each in enumerate(found) if not _is_decided(each.faces, shown[i], large[i])]
    again = backend.detect([shown[i] for i in unsure], min_face=min_face, refine=False)
    for i, faces in zip(unsure, again, strict=True):
        found[i] = sort_out(faces, shown[i], backend)
    for i in unsure:
        if shown[i] is images[i] and not found[i].faces and not found[i].cut:
            found[i] = search_turned(shown[i], backend, min_face=min_face, refine=False)
    return list(zip(shown, found, strict=True))


def _is_decided(faces: Sequence[Face], image: RGBImage, searched: int) -> bool:
    """Whether a search for faces of ``searched`` pixels found the most prominent face: no face that
    is too small for that search reaches its prominence.
    """
    if not faces:
        return False
    best = _prominence(prominent(faces, image.shape), image.shape)
    return best > (_REPORTED * searched) ** 2


def _crop(name: str, image: RGBImage, found: PhotoFaces, settings: CropSettings) -> CropResult:
    try:
        faces = found.require()
        if settings.face is None:
            face = prominent(faces, image.shape)
        else:
            (face,) = choose_faces(image, faces, settings.face)
        return FaceCrop(name, Alignment.from_face(face, settings.size).crop(image))
    except FaceError as error:
        if settings.whole_if_no_face:
            return FaceCrop(name, whole_crop(image, settings.size), whole=True)
        return FailedCrop(name, error)


def whole_crop(image: RGBImage, size: int) -> RGBImage:
    """The picture's middle square as a crop."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    square: RGBImage = resize_crops(image[None, top : top + side, left : left + side], size)[0]
    return square
