"""From the names of inputs to measured faces: pictures, videos, and crops of preprocess.

Pictures are read and searched in batches, on all cores, some batches ahead of what is taken. A
video is read while its faces are taken. In memory are only these batches and some twenty frames.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.encode.crop_lists import NamedInput, crops_of
from facecycle_cli.encode.records import FaceRecord, Measurer
from facecycle_cli.errors import FaceError, MediaError, NoFaceError
from facecycle_cli.faces import Face, FaceBackend, is_inside, search_photos
from facecycle_cli.faces.choice import FaceChoice, choose_faces
from facecycle_cli.faces.crop_landmarks import decode_landmarks, read_landmarks_beside
from facecycle_cli.faces.following import FaceFollower
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.media import (
    Frame,
    Input,
    expand_inputs,
    probe,
    read_frames,
    read_image,
)
from facecycle_cli.media.clips import is_video
from facecycle_cli.media.files import LeftOut
from facecycle_cli.media.pipeline import batches, in_thread
from facecycle_cli.media.video import images_of
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.system import usable_cores
from facecycle_cli.types import RGBImage

__all__ = ["EncodeSettings", "FaceSource", "open_sources", "walk_inputs"]

_PICTURES = 8
"""Pictures that one thread reads and searches at once."""

_CROPS = 64
"""The same of aligned crops."""

_AHEAD = 3
"""Batches per thread that are made before they are asked for."""

_VIDEO_BATCH = 64
"""Faces of a video that are given on together."""

_MIN_FACE = 24
"""Height in pixels of the smallest face that is looked for."""


@dataclass(frozen=True)
class EncodeSettings:
    """How inputs become faces.

    Attributes:
        faces: which faces of each picture and moment.
        aligned: pictures are face crops already; of a folder of preprocess, with its index.
        fps: the most frames per second that are kept of a video; None: all.
    """

    faces: FaceChoice = "largest"
    aligned: bool = False
    fps: float | None = None


@dataclass
class FaceSource:
    """The faces of one file.

    Attributes:
        name: of the file.
        faces: those of a picture.
        video: gives those of a video, in batches; None: it is a picture.
        problem: why there are none.
        warnings: what was damaged, once all faces were taken.
    """

    name: str
    faces: Sequence[FaceRecord] = ()
    video: Callable[[], Generator[list[FaceRecord], None, None]] | None = None
    problem: Exception | None = None
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


# -- names ----------------------------------------------------------------------------------------


def walk_inputs(
    patterns: Sequence[str], settings: EncodeSettings, left_out: LeftOut
) -> Iterator[NamedInput]:
    """The files that ``patterns`` stand for, one at a time.

    Args:
        patterns: files, folders, globs, or ``-``; with ``settings.aligned`` also folders of
            preprocess.
        settings: which inputs count.
        left_out: counts what is left out.
    """
    for pattern in patterns:
        crops = crops_of(pattern) if settings.aligned else None
        if crops is not None:
            yield from crops
            continue
        kinds = {"image"} if settings.aligned else {"image", "video"}
        for item in expand_inputs([pattern], kinds, left_out=left_out):  # type: ignore[arg-type]
            yield _named(item)


def _named(item: Input) -> NamedInput:
    problem = None if item.problem is None else MediaError(item.problem)
    return NamedInput(item.path, item.path, problem=problem)


# -- faces ----------------------------------------------------------------------------------------


def open_sources(
    items: Iterable[NamedInput],
    settings: EncodeSettings,
    backend: FaceBackend,
    measurer: Measurer,
    *,
    workers: int | None = None,
) -> Generator[FaceSource, None, None]:
    """The faces of every input, in order. A video's are read when they are asked for.

    Args:
        items: as :func:`walk_inputs` gives them.
        settings: how they become faces.
        backend: finds the faces; one call should use one thread.
        measurer: measures them.
        workers: threads; None: one per core.
    """
    workers = workers or usable_cores()
    size = _CROPS if settings.aligned else _PICTURES
    waiting: deque[FaceSource | Future[list[FaceSource]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="facecycle-faces")

    def take() -> Iterator[FaceSource]:
        first = waiting.popleft()
        if isinstance(first, FaceSource):
            yield first
        else:
            yield from first.result()

    try:
        for is_video, group in itertools.groupby(items, lambda item: _is_video(item, settings)):
            for batch in batches(group, 1 if is_video else size):
                if is_video:
                    waiting.append(_video(batch[0], settings, backend, measurer))
                else:
                    waiting.append(pool.submit(_pictures, batch, settings, backend, measurer))
                while len(waiting) > _AHEAD * workers:
                    yield from take()
        while waiting:
            yield from take()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_video(item: NamedInput, settings: EncodeSettings) -> bool:
    if item.problem is not None or item.file == "-" or isinstance(item.file, bytes):
        return False
    return not settings.aligned and is_video(item.file)


def _pictures(
    items: Sequence[NamedInput],
    settings: EncodeSettings,
    backend: FaceBackend,
    measurer: Measurer,
) -> list[FaceSource]:
    sources = [FaceSource(item.name, problem=item.problem) for item in items]
    images: dict[int, RGBImage] = {}
    for i, item in enumerate(items):
        if item.problem is None:
            try:
                images[i] = read_image(sys.stdin.buffer if item.file == "-" else item.file)
            except (MediaError, OSError) as error:
                sources[i].problem = error
    if settings.aligned:
        for i, image in images.items():
            try:
                known = _landmarks_beside(items[i])
                sources[i].faces = [measurer.aligned(image, items[i].entry, known)]
            except ValueError as error:
                sources[i].problem = error
        return sources
    searched = search_photos(list(images.values()), backend, min_face=_MIN_FACE)
    for (i, image), found in zip(images.items(), searched, strict=True):
        try:
            faces = found.require()
            chosen = choose_faces(image, faces, settings.faces)
            sources[i].faces = [measurer.found(image, f, faces.index(f) + 1) for f in chosen]
        except FaceError as error:
            sources[i].problem = error
    return sources


def _landmarks_beside(item: NamedInput) -> NDArray[Any] | None:
    """What preprocess wrote beside a crop, (468, 3) in fractions of its side; None: nothing."""
    data = item.landmarks
    if item.has_file_beside:
        with suppress(OSError):
            data = read_landmarks_beside(str(item.file))
    return None if data is None else decode_landmarks(data)


def _video(
    item: NamedInput, settings: EncodeSettings, backend: FaceBackend, measurer: Measurer
) -> FaceSource:
    source = FaceSource(item.name)

    def produce() -> Generator[list[FaceRecord], None, None]:
        return batches(_tracked(str(item.file), settings, backend, measurer, source), _VIDEO_BATCH)

    source.video = lambda: in_thread(produce)
    return source


def _tracked(
    path: str,
    settings: EncodeSettings,
    backend: FaceBackend,
    measurer: Measurer,
    source: FaceSource,
) -> Iterator[FaceRecord]:
    """The faces of a video, frame by frame.

    Raises:
        MediaError: it cannot be decoded.
        NoFaceError: there is no face in it.
    """
    info = probe(path)
    size = decoded_size(path, info, backend, 0.0)
    enlarge = np.array([info.width / size[0], info.height / size[1]])
    smallest = max(1, round(_MIN_FACE / float(enlarge.max())))
    numbers: dict[int, int] = {}
    with read_frames(path, fps=settings.fps, size=size, info=info) as reader:
        places = deque[Frame]()
        images = images_of(reader, places)
        for image, faces in _followed(images, settings.faces, backend, smallest):
            place = places.popleft()
            for track, face in sorted(faces.items()):
                if is_inside(face, image.shape):
                    number = numbers.setdefault(track, len(numbers) + 1)
                    yield measurer.found(
                        image, face, number, frame=place.number, time=place.time, enlarge=enlarge
                    )
        if reader.warning:
            source.warnings.append(reader.warning)
    if not numbers:
        raise NoFaceError("no face found in any frame")


def _followed(
    images: Iterator[RGBImage], choice: FaceChoice, backend: FaceBackend, min_face: int
) -> Iterator[tuple[RGBImage, Mapping[int, Face]]]:
    """Each frame with the wanted faces in it, by their tracks."""
    if choice in ("largest", "all"):
        tracker = FaceTracker(backend, everyone=choice == "all", min_face=min_face)
        for image, found in tracker.track(images):
            yield image, found.faces
        return
    kept = deque[RGBImage]()

    def keep() -> Iterator[RGBImage]:
        for image in images:
            kept.append(image)
            yield image

    follower = FaceFollower(backend, choice, min_face=min_face)
    is_there = False
    for seen in follower.follow(keep()):
        is_there |= seen is not None
        yield kept.popleft(), {} if seen is None else {seen.track: seen.face}
    if follower.most_besides and not is_there:
        raise NoFaceError(f"no face {choice}; it shows {follower.most_besides}")
