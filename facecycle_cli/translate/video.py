"""One face performs another one's motion: head pose and expression, from a video or a picture."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from facecycle_cli.errors import NoFaceError
from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.model import FaceCycle, load
from facecycle_cli.portrait.defaults import DEFAULT_SIZE
from facecycle_cli.portrait.portraits import find_faces
from facecycle_cli.translate.actor import Actor
from facecycle_cli.translate.ahead import ahead
from facecycle_cli.translate.motion import Performance, batches, performances, still_performance
from facecycle_cli.translate.report import MotionMeter
from facecycle_cli.translate.source import Observation, check_choice, follow, observe, observe_still
from facecycle_cli.translate.stage import Drawing
from facecycle_cli.translate.target import Motion
from facecycle_cli.types import MouthSource

__all__ = [
    "DEFAULT_SMOOTHING",
    "Motion",
    "MouthSource",
    "TranslateSettings",
    "Translation",
    "translate",
    "translate_picture",
]

DEFAULT_SMOOTHING = 0.7

_SMOOTHING_SECONDS = 0.2
_LIPS_SECONDS = 0.05
"""Standard deviation of the smoothing in time at its strongest: of the head, and of the mouth,
whose words are over sooner."""

_SETTLE_SECONDS = 1.5
"""The first part of a track from which its most neutral frames are chosen."""


@dataclass(frozen=True)
class TranslateSettings:
    """What a translation should be like.

    Attributes:
        motion: ``absolute``: the target takes the source's pose and expression as they are (the
            paper's translation). ``relative``: it keeps its own, and what the source does beyond
            its most neutral moments is added.
        mouth: how wide the target's mouth opens: ``landmarks``: as wide as the source's landmarks
            say, its lips parted in the photograph; its eyelids come down as the source's do.
            ``flow``: as the networks' flow has it (the paper's translation, which moves lips a
            little and parts none).
        size: side of the output, the target's aligned crop.
        paste_back: the output is the target's whole picture instead.
        side_by_side: the source is shown to the left of the output.
        smooth: from 0 (every frame as it is measured) to 1.
        face: which face of the source: ``largest``, ``left``, ``right``, or ``2`` for the second
            largest, and so on.
    """

    motion: Motion = "relative"
    mouth: MouthSource = "landmarks"
    size: int = DEFAULT_SIZE
    paste_back: bool = False
    side_by_side: bool = False
    smooth: float = DEFAULT_SMOOTHING
    face: str = "largest"


class Translation(Iterator[np.ndarray]):
    """The frames of a translated video, (H, W, 3) uint8, made as they are asked for.

    Whatever the length of the video, a few dozen frames are in memory. Close it (or use it in a
    ``with`` block) if it is not read to its end: threads are at work.

    Args:
        frames: of the source, (H, W, 3) uint8 RGB, all of one size.
        target: (H, W, 3) uint8 RGB, the picture of the face that performs.
        fps: frames per second of the source; smoothing depends on it.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        settings: what it should be like.
        measure: measure the output's faces, too, for :meth:`report`.

    Attributes:
        frames: how many have been given out.
        faces_found: in how many of them the source's face was seen; the others hold the last
            motion.
        others: the most faces that any frame of the source showed besides.

    Raises:
        NoFaceError: there is no face in the target; when iterating: none in the whole source.
        ValueError: ``settings.face`` is none of its choices.
    """

    def __init__(
        self,
        frames: Iterable[np.ndarray],
        target: np.ndarray,
        *,
        fps: float = 25.0,
        model: FaceCycle | None = None,
        backend: FaceBackend | None = None,
        settings: TranslateSettings | None = None,
        measure: bool = False,
    ) -> None:
        self.settings = settings or TranslateSettings()
        check_choice(self.settings.face)
        self.frames = self.faces_found = self.others = 0
        self._model = model or load()
        self._backend = backend or load_backend()
        self._fps = fps
        self._actor = _cast(target, self._model, self._backend, self.settings)
        self._meter = MotionMeter(self._backend) if measure else None
        self._source = frames
        self._drawn = self._draw()

    def __next__(self) -> np.ndarray:
        return next(self._drawn)

    def __enter__(self) -> Translation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads. Iterating further ends at once."""
        self._drawn.close()

    def report(self) -> dict[str, Any]:
        """What became of the frames so far, and with ``measure`` how well the motion arrived."""
        counts = {
            "frames": self.frames,
            "faces_found": self.faces_found,
            "frames_held": self.frames - self.faces_found,
        }
        return counts | (self._meter.summary() if self._meter else {})

    def _smoothing(self, seconds: float) -> float:
        """Width of a smoothing in frames."""
        return self.settings.smooth * seconds * self._fps

    def _observe(self) -> Iterator[list[Observation]]:
        observed = observe(
            follow(self._source, self._backend, self.settings.face),
            self._model.config.image_size,
            width=self._smoothing(_SMOOTHING_SECONDS),
            keep_images=self.settings.side_by_side,
        )
        return batches(observed)

    def _perform(self) -> Iterator[list[tuple[Performance, Drawing | None]]]:
        last: Drawing | None = None
        with closing(ahead(self._observe)) as observed:
            motions = performances(
                self._model,
                observed,
                width=self._smoothing(_SMOOTHING_SECONDS),
                lips=self._smoothing(_LIPS_SECONDS),
                settle=max(1, round(_SETTLE_SECONDS * self._fps)),
            )
            for batch in batches(motions):
                moving = [motion for motion in batch if motion.backflow is not None]
                drawings = iter(self._actor.perform(moving) if moving else ())
                performed = []
                for motion in batch:
                    last = last if motion.backflow is None else next(drawings)
                    performed.append((motion, last))
                yield performed

    def _draw(self) -> Generator[np.ndarray, None, None]:
        with closing(ahead(self._perform)) as performed:
            for motion, drawing in itertools.chain.from_iterable(performed):
                frame = self._actor.draw(drawing)
                self._count(motion, frame)
                if self.settings.side_by_side:
                    assert motion.seen.image is not None
                    frame = beside(motion.seen.image, frame)
                yield frame
        if not self.faces_found:
            if self.others:
                raise NoFaceError(f"no face {self.settings.face}; it shows {self.others}")
            raise NoFaceError("no face found")

    def _count(self, motion: Performance, frame: np.ndarray) -> None:
        self.frames += 1
        self.others = max(self.others, motion.seen.others)
        face = motion.seen.face
        if face is None:
            return
        self.faces_found += 1
        if self._meter is not None:
            self._meter.add(frame, self._actor.expected_yaw(motion), face.mouth_opening)


def translate(
    source: np.ndarray | Iterable[np.ndarray],
    target: np.ndarray,
    *,
    fps: float = 25.0,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    settings: TranslateSettings | None = None,
) -> np.ndarray | Translation:
    """Let the face of one picture perform the motion of another picture or of a video.

    Args:
        source: (H, W, 3) uint8 RGB, or many of them.
        target: (H, W, 3) uint8 RGB.
        fps: frames per second of a video.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        settings: what it should be like. The motion of a single picture is always ``absolute``.

    Returns:
        a picture for a picture; for a video an iterator over its frames.

    Raises:
        NoFaceError: there is no face in the target, or in the source (of a video: at its end).
    """
    if isinstance(source, np.ndarray) and source.ndim == 3:
        return translate_picture(source, target, model=model, backend=backend, settings=settings)
    return Translation(source, target, fps=fps, model=model, backend=backend, settings=settings)


def translate_picture(
    source: np.ndarray,
    target: np.ndarray,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    settings: TranslateSettings | None = None,
) -> np.ndarray:
    """As :func:`translate`, for a single picture."""
    settings = replace(settings or TranslateSettings(), motion="absolute")
    model, backend = model or load(), backend or load_backend()
    actor = _cast(target, model, backend, settings)
    (faces,) = backend.detect([source])
    seen = observe_still(source, faces, settings.face, model.config.image_size)
    if seen.crop is None:
        raise NoFaceError("no face found")
    frame = actor.draw(actor.perform([still_performance(model, seen)])[0])
    return beside(source, frame) if settings.side_by_side else frame


def _cast(
    target: np.ndarray, model: FaceCycle, backend: FaceBackend, settings: TranslateSettings
) -> Actor:
    """The largest face of the target's picture as an actor."""
    try:
        (face,) = find_faces(target, backend)
    except NoFaceError:
        raise NoFaceError("no face found in the target") from None
    size = None if settings.paste_back else settings.size
    return Actor(target, face, model, motion=settings.motion, mouth=settings.mouth, size=size)


def beside(source: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The source's frame, as high as the other one, and the other one to its right."""
    height, width = source.shape[:2]
    wide = max(1, round(width * frame.shape[0] / height))
    kernel = cv2.INTER_AREA if frame.shape[0] < height else cv2.INTER_CUBIC
    return np.hstack((cv2.resize(source, (wide, frame.shape[0]), interpolation=kernel), frame))
