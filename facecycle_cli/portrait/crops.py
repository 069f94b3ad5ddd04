"""Many pictures to aligned face crops: in batches, on all cores, in constant memory.

For the commands that measure rather than make pictures. A picture that cannot be used does not stop
the others: its place is taken by the reason.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.errors import FaceError, MediaError, NoFaceError
from facecycle_cli.faces import Alignment, Face, FaceBackend
from facecycle_cli.media import read_image
from facecycle_cli.portrait.portraits import shrink
from facecycle_cli.system import usable_cores

__all__ = [
    "CropSettings",
    "FaceCrop",
    "Picture",
    "crop_faces",
    "face_crop",
    "prominent",
]

_BATCH = 16
_LARGE = 0.4
"""Height of the faces that are looked for first, over the picture's shorter side."""
_REPORTED = 0.8
"""A search for faces of some height reports those that measure at least this share of it."""
_SMALL = 100
"""Pictures up to this side (FER-2013's have 48) are enlarged twice before faces are looked for: the
detector finds 91 % of FER-2013's faces so, 87 % without."""


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
    """What became of one picture.

    Attributes:
        name: the picture's.
        crop: (size, size, 3) uint8 RGB; None if there is none.
        problem: why there is none.
        whole: no face was found, and the whole picture is the crop.
    """

    name: str
    crop: np.ndarray | None
    problem: Exception | None = None
    whole: bool = False


@dataclass(frozen=True)
class CropSettings:
    """How pictures become crops.

    Attributes:
        size: side of the crops.
        aligned: the pictures are crops already (as ``facecycle preprocess`` writes them): no face
            is looked for.
        whole_if_no_face: where no face is found, the whole picture is taken for the crop.
        min_face: height in pixels of the smallest face to find.
    """

    size: int
    aligned: bool = False
    whole_if_no_face: bool = False
    min_face: int = 24


def prominent(faces: Sequence[Face], shape: Sequence[int]) -> Face:
    """The face that a picture is of: large, and near its middle.

    The pictures of the verification sets are centered on their person, and passers-by at the border
    are now and then larger. The score is the area less twice the squared distance between the
    middles of face and picture, which leaves the largest face the winner unless it is far out.

    Args:
        faces: at least one.
        shape: (H, W, ...) of the picture.
    """
    return max(faces, key=lambda face: _prominence(face, shape))


def _prominence(face: Face, shape: Sequence[int]) -> float:
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    offset = (face.box[:2] + face.box[2:]) / 2 - middle
    return face.area - 2 * float(offset @ offset)


def crop_faces(
    pictures: Iterable[Picture],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    workers: int | None = None,
) -> Iterator[FaceCrop]:
    """The crop of every picture's prominent face, in order.

    Reading, detecting and cropping run in threads, a few batches ahead of what is taken; only
    those are in memory.

    Args:
        pictures: read one after the other as needed.
        settings: how to crop them.
        backend: finds the faces; one call should use one thread.
        workers: threads; one per core by default.
    """
    workers = workers or usable_cores()
    waiting: deque[Future[list[FaceCrop]]] = deque()
    source = iter(pictures)
    pool = ThreadPoolExecutor(workers)
    try:
        while batch := list(itertools.islice(source, _BATCH)):
            waiting.append(pool.submit(_crop_batch, batch, settings, backend))
            if len(waiting) > 4 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def face_crop(image: np.ndarray, settings: CropSettings, backend: FaceBackend) -> np.ndarray:
    """The crop of one picture (H, W, 3) uint8: (size, size, 3) uint8.

    Raises:
        FaceError: there is no face.
    """
    (face,) = _crop_batch([Picture("", image)], settings, backend)
    if face.crop is None:
        assert face.problem is not None
        raise face.problem
    return face.crop


def _crop_batch(
    pictures: Sequence[Picture], settings: CropSettings, backend: FaceBackend
) -> list[FaceCrop]:
    loaded = [_load(picture) for picture in pictures]
    images = [image for image in loaded if isinstance(image, np.ndarray)]
    if settings.aligned:
        crops: Iterator[FaceCrop] = (FaceCrop("", _whole(i, settings.size)) for i in images)
    else:
        enlarged = [_enlarged(image) for image in images]
        found = _find(enlarged, settings.min_face, backend)
        crops = (_crop(i, f, settings) for i, f in zip(enlarged, found, strict=True))
    results = []
    for picture, image in zip(pictures, loaded, strict=True):
        if isinstance(image, np.ndarray):
            made = next(crops)
            results.append(FaceCrop(picture.name, made.crop, made.problem, made.whole))
        else:
            results.append(FaceCrop(picture.name, None, image))
    return results


def _find(images: Sequence[np.ndarray], min_face: int, backend: FaceBackend) -> list[list[Face]]:
    """The faces among which the prominent one is.

    Most pictures here are of one large face in the middle. A first look for large faces alone takes
    a quarter of the time that small ones take, and where it finds one that no smaller face could
    outdo, it was enough.
    """
    large = [max(min_face, round(_LARGE * min(image.shape[:2]))) for image in images]
    found: list[list[Face]] = [[] for _ in images]
    for size in sorted(set(large)):
        members = [i for i, own in enumerate(large) if own == size]
        seen = backend.detect([images[i] for i in members], min_face=size, settle=False)
        for i, faces in zip(members, seen, strict=True):
            found[i] = faces
    unsure = [i for i, faces in enumerate(found) if not _settled(faces, images[i], large[i])]
    again = backend.detect([images[i] for i in unsure], min_face=min_face, settle=False)
    for i, faces in zip(unsure, again, strict=True):
        found[i] = faces
    return found


def _settled(faces: Sequence[Face], image: np.ndarray, searched: int) -> bool:
    """Whether the prominent face is among these, found by a search for ``searched`` pixels: no face
    that is too small to be among them reaches its prominence.
    """
    if not faces:
        return False
    best = _prominence(prominent(faces, image.shape), image.shape)
    return best > (_REPORTED * searched) ** 2


def _load(picture: Picture) -> np.ndarray | Exception:
    source = picture.source
    if isinstance(source, np.ndarray):
        return np.repeat(source[..., None], 3, axis=2) if source.ndim == 2 else source
    try:
        return read_image(source)
    except (MediaError, OSError) as error:
        return error


def _enlarged(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if max(height, width) > _SMALL:
        return image
    return cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)


def _crop(image: np.ndarray, faces: Sequence[Face], settings: CropSettings) -> FaceCrop:
    try:
        if faces:
            face = prominent(faces, image.shape)
            return FaceCrop("", Alignment.from_face(face, settings.size).crop(image))
        problem: Exception = NoFaceError("no face found")
    except FaceError as error:
        problem = error
    if settings.whole_if_no_face:
        return FaceCrop("", _whole(image, settings.size), whole=True)
    return FaceCrop("", None, problem)


def _whole(image: np.ndarray, size: int) -> np.ndarray:
    """The picture's middle square as a crop."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return shrink(image[None, top : top + side, left : left + side], size)[0]
