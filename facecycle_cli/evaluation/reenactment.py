"""Reenactment, the field's protocol for motion transfer: how well translate performs a clip.

In *self-reenactment* the first frame of a clip performs the clip, so that the clip's own frames say
what is right. In *cross-reenactment* another person performs it, and only the motion and the
identity can be measured. What is measured is what the command ``translate`` draws, frame by frame,
before it is encoded as a video.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from facecycle_cli.errors import EvaluationError, FaceError, MediaError, NoFaceError
from facecycle_cli.evaluation.reenactment_meters import CrossMeter, Pair, SelfMeter, target_face
from facecycle_cli.evaluation.reenactment_results import ClipResult, ReenactmentResult
from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.media import Frame, FrameReader, VideoInfo, is_still, probe, read_frames
from facecycle_cli.media.streams import is_pipe
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.video import Translation
from facecycle_cli.types import RGBImage

__all__ = ["Reenactment", "evaluate_reenactment", "measure_clip"]


@dataclass(frozen=True)
class Reenactment:
    """How clips are performed, and what measures it.

    Attributes:
        model: the networks.
        backend: finds the faces for translate.
        judge: finds the faces that are measured.
        settings: what the translation is like. In self-reenactment ``paste_back`` is on, so that
            the output lies over the clip's own frames; ``side_by_side`` is always off.
        cross: a picture of another person, who performs the clips; None: self-reenactment.
        start: where to begin in each clip, in seconds.
        duration: how much of it to use, in seconds; None: all.
        max_frames: how many of its frames at most; None: all.
    """

    model: FaceCycle
    backend: FaceBackend
    judge: FaceBackend
    settings: TranslateSettings = field(
        default_factory=lambda: TranslateSettings(motion="absolute")
    )
    cross: RGBImage | None = None
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None

    def open(self, path: str, info: VideoInfo) -> FrameReader:
        """The frames of a clip, at the size at which translate decodes it."""
        return read_frames(
            path,
            start=self.start,
            duration=self.duration,
            max_frames=self.max_frames,
            size=decoded_size(path, info, self.backend, self.start),
            info=info,
        )

    def perform(self, frames: Iterable[RGBImage], target: RGBImage, fps: float) -> Translation:
        """What ``translate`` makes of the frames, with the face of ``target``."""
        return Translation(
            frames,
            target,
            fps=fps,
            model=self.model,
            backend=self.backend,
            settings=replace(self.settings, paste_back=self.cross is None, side_by_side=False),
        )


def evaluate_reenactment(
    clips: Iterable[str],
    how: Reenactment,
    *,
    on_done: Callable[[ClipResult], None] | None = None,
    on_problem: Callable[[str, Exception], None] | None = None,
) -> ReenactmentResult:
    """Measure translate on clips.

    Args:
        clips: their files.
        how: how they are performed and measured.
        on_done: called for each clip that could be measured, with its pictures; they are not kept.
        on_problem: called with the name of each clip that could not, and the reason.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    results: list[ClipResult] = []
    problems: list[tuple[str, Exception]] = []
    for path in clips:
        try:
            result = measure_clip(path, how)
        except (EvaluationError, FaceError, MediaError, OSError) as error:
            problems.append((path, error))
            if on_problem is not None:
                on_problem(path, error)
            continue
        if on_done is not None:
            on_done(result)
        results.append(replace(result, strip=None))
    return ReenactmentResult(results, problems)


def measure_clip(path: str, how: Reenactment) -> ClipResult:
    """Measure translate on one clip, of which a few dozen frames are in memory.

    Args:
        path: of the clip.
        how: how it is performed and measured.

    Raises:
        EvaluationError: after the frame that performs it, its face is seen no more.
        MediaError: it is a picture or a pipe, or cannot be read.
        NoFaceError: it shows no face, or the picture of the other person does not.
        OSError: it cannot be opened.
    """
    if is_pipe(path):
        raise MediaError("a pipe can be read only once: save the clip as a file")
    if is_still(path):
        raise MediaError("a picture has no motion: evaluate translate takes clips")
    info = probe(path)
    with how.open(path, info) as reader:
        result = _measure(path, reader, float(info.fps), how)
        return replace(result, warning=reader.warning)


def _measure(path: str, frames: Iterator[Frame], fps: float, how: Reenactment) -> ClipResult:
    meter: SelfMeter | CrossMeter
    if how.cross is None:
        first, own = _first_with_face(frames, how.judge)
        target = first.image
        meter = SelfMeter(target, own, how.model, how.judge)
        frames = itertools.chain([first], frames)
    else:
        target = how.cross
        meter = CrossMeter(target, target_face(target, how.judge), how.model, how.judge)
    waiting: deque[Frame] = deque()

    def images() -> Iterator[RGBImage]:
        for frame in frames:
            waiting.append(frame)
            yield frame.image

    with how.perform(images(), target, fps) as translation:
        for number, output in enumerate(translation):
            frame = waiting.popleft()
            if number or how.cross is not None:  # the performing frame would flatter the rest
                meter.add(Pair(frame.time, frame.image, output))
    return meter.result(path)


def _first_with_face(frames: Iterator[Frame], judge: FaceBackend) -> tuple[Frame, Face]:
    """The first frame with a face, and that face.

    Raises:
        NoFaceError: there is none.
    """
    for frame in frames:
        try:
            return frame, target_face(frame.image, judge)
        except NoFaceError:
            continue
    raise NoFaceError("no face found")
