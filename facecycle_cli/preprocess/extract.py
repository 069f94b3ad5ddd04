"""One source to crops: its faces are found, followed, and given to a :class:`CropWriter`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from facecycle_cli.errors import CutFaceError, MediaError
from facecycle_cli.faces import Alignment, Face, FaceBackend, is_inside, search_photos
from facecycle_cli.faces.tracking import FaceTracker, TrackedFrame
from facecycle_cli.media import Frame, VideoInfo, probe, read_frames, read_image
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.media.provenance import is_result
from facecycle_cli.media.video import images_of
from facecycle_cli.preprocess.crops import CropWriter, FaceSample, Sink, take_sample
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.types import RGBImage

__all__ = ["Extraction", "OnFrames", "extract_crops"]

OnFrames: TypeAlias = Callable[[int], None]
"""Called with the number of frames seen since the last call: a sign of life."""

_OVERVIEW = 640
"""Longest side in pixels at which a video is decoded first."""

_FINDABLE = 20.0
"""Height in pixels of a face that the detector finds reliably."""

_PATIENCE = 5
"""Frames for which a face may be occluded without ending its track."""

_SMOOTHING = 0.14
"""Seconds. More would smooth away the turns of a head, and so move its eyes."""

_EARLY = 8
"""Faces of a track after which is decided whether the video must be decoded larger."""

_ENLARGED = 1.1
"""A crop may be larger than its face in the decoded frame by this factor."""


@dataclass
class Extraction:
    """What came out of one source.

    Attributes:
        status, reason: as in the index.
        lines: of the index, one for each crop.
        frames: how many were seen.
        tracks: how many have crops.
    """

    status: str
    reason: str | None = None
    lines: list[str] = field(default_factory=list)
    frames: int = 0
    tracks: int = 0


def extract_crops(
    source: Source,
    settings: PreprocessSettings,
    backend: FaceBackend,
    sink: Sink,
    on_frames: OnFrames,
) -> Extraction:
    """Find the faces of ``source`` and give their crops to ``sink``.

    Raises:
        MediaError: the source is damaged, or not what its suffix says.
        OSError: it cannot be opened or read.
    """
    crops = CropWriter(source, settings, sink)
    if source.kind == "photo":
        result = _extract_photo(source, settings, backend, crops)
        on_frames(1)
    elif source.kind == "frames":
        result = _extract_frames(source, settings, backend, crops, on_frames)
    else:
        result = _extract_video(source, settings, backend, crops, on_frames)
    result.lines = [line for _, line in sorted(crops.lines)]
    result.tracks = len(crops.tracks)
    if not result.lines and result.status != "no-face":
        result.status = "no-face"
        result.reason = f"no face of {settings.min_face} pixels or more"
    return result


def _extract_photo(
    source: Source, settings: PreprocessSettings, backend: FaceBackend, crops: CropWriter
) -> Extraction:
    image = read_image(source.path)
    (found,) = search_photos([image], backend, min_face=settings.min_face)
    if found.cut and not found.faces:
        return Extraction("no-face", str(CutFaceError()), frames=1)
    crops.add_photo(image, found.faces if settings.faces == "all" else found.faces[:1])
    return Extraction("done", frames=1)


def _extract_frames(
    source: Source,
    settings: PreprocessSettings,
    backend: FaceBackend,
    crops: CropWriter,
    on_frames: OnFrames,
) -> Extraction:
    """A folder with pictures of one video. Pictures that cannot be read are left out."""
    files, left_out = _frame_files(Path(source.path), settings.max_frames)
    damaged: list[str] = []
    kept: list[str] = []

    def images() -> Iterator[RGBImage]:
        for path in files:
            on_frames(1)
            try:
                yield read_image(path)
            except MediaError as error:
                damaged.append(f"{path.name}: {error}")
            else:
                stem = path.stem.replace(".", "_")
                kept.append(path.name.replace(".", "_") if stem in kept[-9:] else stem)

    # Between pictures that were cut out one by one no face can be followed: detect in each.
    tracker = FaceTracker(
        backend, everyone=settings.faces == "all", min_face=settings.min_face, stride=1
    )
    count = _collect(tracker.track(images()), crops, lambda _: None, names=kept)
    if files and not count:
        raise MediaError(f"none of its {len(files)} pictures can be read ({damaged[0]})")
    reasons = left_out.lines()
    if damaged:
        reasons.append(f"{len(damaged)} of {len(files)} pictures left out ({damaged[0]})")
    return Extraction("done", "; ".join(reasons) or None, frames=count)


def _frame_files(folder: Path, most: int | None) -> tuple[list[Path], LeftOut]:
    """The first pictures of a folder in the order of their numbers, without results of ours."""

    def order(path: Path) -> tuple[int, str]:
        digits = "".join(c for c in path.stem if c in "0123456789")
        return int(digits or 0), path.name

    files = (f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
    frames: list[Path] = []
    left_out = LeftOut()
    for file in sorted((f for f in files if not f.name.startswith(".")), key=order):
        if len(frames) == most:
            break
        if is_result(file):
            left_out.results += 1
        else:
            frames.append(file)
    return frames, left_out


class _TooSmall(Exception):
    """The video must be decoded at a larger scale."""

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self.scale = scale


def _extract_video(
    source: Source,
    settings: PreprocessSettings,
    backend: FaceBackend,
    crops: CropWriter,
    on_frames: OnFrames,
) -> Extraction:
    info = probe(source.path)
    overview = min(1.0, _OVERVIEW / max(info.width, info.height))
    thorough = min(1.0, max(overview, _FINDABLE / settings.min_face))
    scale = thorough if settings.faces == "all" else overview
    while True:
        try:
            result = _extract_video_at(scale, info, source, settings, backend, crops, on_frames)
        except _TooSmall as small:
            scale = small.scale
            continue
        if crops.lines or scale >= thorough:
            return result
        scale = thorough


def _extract_video_at(
    scale: float,
    info: VideoInfo,
    source: Source,
    settings: PreprocessSettings,
    backend: FaceBackend,
    crops: CropWriter,
    on_frames: OnFrames,
) -> Extraction:
    """The whole video, decoded at ``scale`` times its size.

    Raises:
        _TooSmall: its faces are smaller than their crops.
    """
    width, height = (max(1, round(side * scale)) for side in (info.width, info.height))
    fps = min(settings.fps, float(info.fps))
    enlarge = np.array([info.width / width, info.height / height])
    crops.restart(enlarge, fps, _SMOOTHING * fps)

    def check_size(faces: list[Face]) -> None:
        matrices = [Alignment.from_face(face, settings.size).matrix for face in faces]
        enlarged = float(np.median([np.hypot(m[0, 0], m[1, 0]) for m in matrices]))
        if scale < 1 and enlarged > _ENLARGED:
            raise _TooSmall(min(1.0, scale * enlarged))

    reader = read_frames(
        source.path,
        fps=fps,
        max_frames=settings.max_frames,
        size=(width, height),
        threads=1,
        info=info,
    )
    with reader:
        tracker = FaceTracker(
            backend,
            everyone=settings.faces == "all",
            min_face=max(1, round(settings.min_face * scale)),
            patience=_PATIENCE,
        )
        places = deque[Frame]()
        images = _reporting(images_of(reader, places), on_frames)
        count = _collect(tracker.track(images), crops, check_size, places=places)
    return Extraction("done", reader.warning, frames=count)


def _reporting(images: Iterable[RGBImage], on_frames: OnFrames) -> Iterator[RGBImage]:
    for image in images:
        on_frames(1)
        yield image


def _collect(
    tracked: Iterable[tuple[RGBImage, TrackedFrame]],
    crops: CropWriter,
    check_size: Callable[[list[Face]], None],
    *,
    names: list[str] | None = None,
    places: deque[Frame] | None = None,
) -> int:
    """Collect the faces of every track, and crop them when a track or a part of it is complete.

    Args:
        tracked: the frames with their faces.
        crops: takes the crops.
        check_size: called with the first faces of a track.
        names: of the frames, instead of their numbers.
        places: the frames, in their order; they are taken out. None: numbered from 0.

    Returns:
        The number of frames.
    """
    open_tracks: dict[int, list[FaceSample]] = {}

    def close(track: int) -> None:
        samples = open_tracks.pop(track)
        check_size([sample.face for sample in samples])
        crops.add_track(track, samples, names)

    shot = count = 0
    for image, found in tracked:
        number = count if places is None else places.popleft().number
        ended = [
            track
            for track, samples in open_tracks.items()
            if found.shot != shot or samples[-1].frame < number - _PATIENCE - 1
        ]
        for track in ended:
            close(track)
        shot = found.shot
        for track, face in found.faces.items():
            if not is_inside(face, image.shape):
                continue
            samples = open_tracks.setdefault(track, [])
            samples.append(take_sample(image, face, number))
            if len(samples) == _EARLY and track not in crops.tracks:
                check_size([sample.face for sample in samples])
            if len(samples) == crops.segment:
                close(track)
        count += 1
    for track in list(open_tracks):
        close(track)
    crops.write_waiting(names)
    return count
