"""One source to crops: the work that is done for each of a million clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facecycle_cli.errors import MediaError
from facecycle_cli.faces import Alignment, Face, FaceBackend
from facecycle_cli.faces.tracking import FaceTracker, TrackedFrame
from facecycle_cli.media import VideoInfo, probe, read_frames, read_image
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.preprocess.crops import Crops, Sample, Sink, is_inside, take_sample
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source

__all__ = ["Extract", "extract"]

Beat = Callable[[int], None]

_OVERVIEW = 640  # longest side in pixels at which a video is looked at first
_FINDABLE = 20.0  # height in pixels of a face that the detector finds reliably
_PATIENCE = 5  # frames for which a face may be hidden without ending its track
_SMOOTHING = 0.14  # seconds; more would blur the turns of a head, and so move its eyes
_EARLY = 8  # faces after which is decided whether the video must be decoded larger
_ENLARGED = 1.1  # crops may be larger than their faces in the decoded frames by as much


@dataclass
class Extract:
    """What came of a source: its lines for the index, the crops' and its own (see `index`)."""

    status: str
    reason: str | None = None
    lines: list[str] = field(default_factory=list)
    frames: int = 0
    tracks: int = 0


def extract(
    source: Source, settings: PreprocessSettings, backend: FaceBackend, sink: Sink, beat: Beat
) -> Extract:
    """Find the faces of ``source`` and give their crops to ``sink``.

    Args:
        beat: called with how many frames were seen since it was called last: a sign of life.

    Raises:
        MediaError: the source is damaged or not what its suffix says.
        OSError: it cannot be opened or read.
    """
    crops = Crops(source, settings, sink)
    if source.kind == "photo":
        result = _photo(source, settings, backend, crops)
        beat(1)
    elif source.kind == "frames":
        result = _frames(source, settings, backend, crops, beat)
    else:
        result = _video(source, settings, backend, crops, beat)
    result.lines = [line for _, line in sorted(crops.lines)]
    result.tracks = len(crops.tracks)
    if not result.lines:
        result.status = "no-face"
        result.reason = f"no face of {settings.min_face} pixels or more"
    return result


def _photo(
    source: Source, settings: PreprocessSettings, backend: FaceBackend, crops: Crops
) -> Extract:
    image = read_image(source.path)
    faces = backend.detect([image], min_face=settings.min_face)[0]
    faces = [face for face in faces if is_inside(face, image)]
    crops.add_photo(image, faces if settings.faces == "all" else faces[:1])
    return Extract("done", frames=1)


def _frames(
    source: Source, settings: PreprocessSettings, backend: FaceBackend, crops: Crops, beat: Beat
) -> Extract:
    """A folder of pictures of one video. Those that cannot be read are left out."""
    files = _frame_files(Path(source.path))[: settings.max_frames]
    damaged: list[str] = []
    kept: list[str] = []

    def images() -> Iterator[np.ndarray]:
        for path in files:
            beat(1)
            try:
                yield read_image(path)
            except MediaError as error:
                damaged.append(f"{path.name}: {error}")
            else:
                stem = path.stem.replace(".", "_")
                kept.append(path.name.replace(".", "_") if stem in kept[-9:] else stem)

    tracker = FaceTracker(
        backend, everyone=settings.faces == "all", min_face=settings.min_face, stride=1
    )
    count = _track(tracker.track(images()), crops, lambda _: None, names=kept)
    if files and not count:
        raise MediaError(f"none of its {len(files)} pictures can be read ({damaged[0]})")
    reason = f"{len(damaged)} of {len(files)} pictures left out ({damaged[0]})" if damaged else None
    return Extract("done", reason, frames=count)


def _frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers."""

    def order(path: Path) -> tuple[int, str]:
        digits = "".join(c for c in path.stem if c in "0123456789")
        return int(digits or 0), path.name

    files = (f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((f for f in files if not f.name.startswith(".")), key=order)


class _TooSmall(Exception):
    """The video must be decoded larger than it was."""

    def __init__(self, scale: float) -> None:
        super().__init__(scale)
        self.scale = scale


def _video(
    source: Source, settings: PreprocessSettings, backend: FaceBackend, crops: Crops, beat: Beat
) -> Extract:
    info = probe(source.path)
    overview = min(1.0, _OVERVIEW / max(info.width, info.height))
    thorough = min(1.0, max(overview, _FINDABLE / settings.min_face))
    scale = thorough if settings.faces == "all" else overview
    while True:
        try:
            result = _video_at(scale, info, source, settings, backend, crops, beat)
        except _TooSmall as small:
            scale = small.scale
            continue
        if crops.lines or scale >= thorough:
            return result
        scale = thorough


def _video_at(
    scale: float,
    info: VideoInfo,
    source: Source,
    settings: PreprocessSettings,
    backend: FaceBackend,
    crops: Crops,
    beat: Beat,
) -> Extract:
    """The whole video, decoded at ``scale`` times its size. Raises `_TooSmall`."""
    width, height = (max(1, round(side * scale)) for side in (info.width, info.height))
    fps = min(settings.fps, float(info.fps))
    enlarge = np.array([info.width / width, info.height / height])
    crops.restart(enlarge, fps, _SMOOTHING * fps)

    def check(faces: list[Face]) -> None:
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
        images = _beating((frame.image for frame in reader), beat)
        count = _track(tracker.track(images), crops, check)
    return Extract("done", reader.warning, frames=count)


def _beating(images: Iterable[np.ndarray], beat: Beat) -> Iterator[np.ndarray]:
    for image in images:
        beat(1)
        yield image


def _track(
    tracked: Iterable[tuple[np.ndarray, TrackedFrame]],
    crops: Crops,
    check: Callable[[list[Face]], None],
    names: list[str] | None = None,
) -> int:
    """Collect the faces of every track and crop them when a part is complete. Returns the number of
    frames.
    """
    open_tracks: dict[int, list[Sample]] = {}
    shot = count = 0
    for image, found in tracked:
        over = [
            track
            for track, samples in open_tracks.items()
            if found.shot != shot or samples[-1].frame < count - _PATIENCE - 1
        ]
        for track in over:
            _close(track, open_tracks.pop(track), crops, check, names)
        shot = found.shot
        for track, face in found.faces.items():
            if not is_inside(face, image):
                continue
            samples = open_tracks.setdefault(track, [])
            samples.append(take_sample(image, face, count))
            if len(samples) == _EARLY and track not in crops.tracks:
                check([sample.face for sample in samples])
            if len(samples) == crops.segment:
                _close(track, open_tracks.pop(track), crops, check, names)
        count += 1
    for track, samples in open_tracks.items():
        _close(track, samples, crops, check, names)
    crops.write_waiting(names)
    return count


def _close(
    track: int,
    samples: list[Sample],
    crops: Crops,
    check: Callable[[list[Face]], None],
    names: list[str] | None,
) -> None:
    check([sample.face for sample in samples])
    crops.add_track(track, samples, names)
