"""A picture's face takes on the motion of a video, or of another picture: on arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np

from facecycle_cli.errors import MediaError, NoFaceError
from facecycle_cli.faces import FaceBackend, search_photos
from facecycle_cli.faces.backend import settled
from facecycle_cli.faces.following import FaceFollower
from facecycle_cli.media.pipeline import batches, in_thread
from facecycle_cli.media.second_process import with_second_process
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.likeness import open_choice
from facecycle_cli.translate.measurement import Measurement, measure, measure_still
from facecycle_cli.translate.motion import Motion, MotionTiming, motion_of_still, motions
from facecycle_cli.translate.performers import find_performers
from facecycle_cli.translate.report import MotionMeter
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import SourceFace, crop_sightings, crop_still
from facecycle_cli.translate.template import MotionRecorder
from facecycle_cli.types import RGBImage

__all__ = ["Translation", "perform_still", "translate", "translate_picture"]

_FLOW_SECONDS, _POSE_SECONDS, _LIPS_SECONDS, _SLOW_SECONDS = 0.2, 0.06, 0.05, 0.28
"""Standard deviation of the strongest temporal smoothing: of the networks' flow, of the head's
pose, of mouth and eyelids, which move faster, and of the pose that moves what is around the head.
"""

_REFERENCE_SECONDS = 1.5
"""The first part of a track, from which its most neutral frames are chosen."""


class Translation(Iterator[RGBImage]):
    """The frames of a translated video, (H, W, 3) uint8, made as they are asked for.

    Whatever the length of the video, a few dozen frames are in memory. Threads, or a process, are
    at work until the last frame: close a translation that is not read to its end, or use a ``with``
    block.

    Args:
        frames: of the source, (H, W, 3) uint8 RGB, all of one size.
        target: (H, W, 3) uint8 RGB, the picture whose face takes on the motion.
        fps: frames per second of the source; smoothing depends on it.
        model: the networks; None: the embedded checkpoint.
        backend: finds the faces; None: the mesh.
        settings: what the translation should be like; None: the defaults.
        measure: measure the output's faces, too, for :meth:`report`.
        measured: what was measured of the source before, as :class:`.MotionTemplate` gives it, in
            the place of ``frames``, which are empty then.
        recorder: takes what is measured of the source.
        second_process: draw in a second process, as :func:`.with_second_process` has it, in the
            place of threads: a fifth to two fifths faster on two cores, from some ten seconds of
            video on.

    Attributes:
        settings: as given.
        frames: how many have been given out.
        faces_found: in how many of them the source's face was seen. The rest hold the last motion.

    Raises:
        MediaError: the target is no picture.
        NoFaceError: there is no face in the target; when iterating: none in the whole source.
        SettingsError: ``settings`` name no face that can be chosen.
    """

    def __init__(
        self,
        frames: Iterable[RGBImage],
        target: RGBImage,
        *,
        fps: float = 25.0,
        model: FaceCycle | None = None,
        backend: FaceBackend | None = None,
        settings: TranslateSettings | None = None,
        measure: bool = False,
        measured: Iterable[Measurement | None] | None = None,
        recorder: MotionRecorder | None = None,
        second_process: bool = False,
    ) -> None:
        self._second_process = second_process
        self._measured, self._recorder = measured, recorder
        self.frames = self.faces_found = 0
        self._model = model or default_model()
        self._backend = backend or default_backend()
        self.settings = _opened(settings or TranslateSettings(), self._model, self._backend)
        self._follower = FaceFollower(self._backend, self.settings.face, settle=True)
        self._target = find_performers(target, self._model, self._backend, self.settings)
        self._meter = MotionMeter(self._backend) if measure else None
        smooth = self.settings.smooth * fps
        self._timing = MotionTiming(
            flow_width=smooth * _FLOW_SECONDS,
            pose_width=smooth * _POSE_SECONDS,
            lips_width=smooth * _LIPS_SECONDS,
            slow_width=smooth * _SLOW_SECONDS,
            reference_frames=max(1, round(_REFERENCE_SECONDS * fps)),
        )
        self._source = frames
        self._output = self._draw()
        if self.settings.side_by_side:
            _, height = self._target.size
            panels = _Panels(height)
            self._source = panels.keep(frames)
            self._output = panels.join(self._output)

    def __next__(self) -> RGBImage:
        return next(self._output)

    def __enter__(self) -> Translation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End threads and process. Iterating further ends at once."""
        self._output.close()

    @property
    def faces_besides(self) -> int:
        """The largest number of faces besides the followed one in any frame of the source."""
        return self._follower.most_besides

    def report(self) -> dict[str, float | None]:
        """What became of the frames so far.

        Returns:
            ``frames``, ``faces_found`` and ``frames_held``; with ``measure`` also how well the
            motion arrived, as :meth:`.MotionMeter.summary` says it.
        """
        counts: dict[str, float | None] = {
            "frames": self.frames,
            "faces_found": self.faces_found,
            "frames_held": self.frames - self.faces_found,
        }
        return counts | (self._meter.summary() if self._meter else {})

    def _crop(self) -> Generator[list[SourceFace | None], None, None]:
        """The source's faces, in batches."""
        sightings = self._follower.follow(self._source)
        side, width = self._model.config.image_size, self._timing.flow_width
        yield from batches(crop_sightings(sightings, side, width=width))

    def _measurements(self) -> Generator[Measurement | None, None, None]:
        if self._measured is not None:
            yield from self._measured
            return
        faces = self._crop() if self._second_process else in_thread(self._crop)
        with closing(faces):
            measured = measure(self._model, faces, self._timing.flow_step)
            yield from measured if self._recorder is None else self._recorder.taking(measured)

    def _motions(self) -> Generator[list[Motion | None], None, None]:
        """What the face does in each frame, in batches; None where it is not seen."""
        with closing(self._measurements()) as measured:
            yield from batches(motions(measured, self._timing))

    def _performed(self) -> Generator[tuple[list[Motion | None], Iterable[RGBImage]], None, None]:
        """The batches with the frames of those motions that are not None."""
        if self._second_process:
            with closing(self._motions()) as found:
                yield from with_second_process(self._target.perform, found)
            return
        with closing(in_thread(self._motions)) as found:
            for batch in found:
                yield batch, self._target.frames(batch)

    def _draw(self) -> Generator[RGBImage, None, None]:
        """The frames; one without a face is the last one with a face."""
        last = self._target.still
        with closing(self._performed()) as performed:
            for batch, frames in performed:
                made = iter(frames)
                for motion in batch:
                    self.frames += 1
                    if motion is None:
                        yield last.copy()
                        continue
                    last = next(made)
                    self._count(motion, last)
                    yield last
        if not self.faces_found:
            if self.faces_besides:
                raise NoFaceError(f"no face {self.settings.face}; it shows {self.faces_besides}")
            raise NoFaceError("no face found")

    def _count(self, motion: Motion, frame: RGBImage) -> None:
        self.faces_found += 1
        if self._meter is not None:
            yaw = self._target.expected_yaw(motion)
            self._meter.add(frame, yaw, motion.face.mouth_opening)


def translate(
    frames: Iterable[RGBImage],
    target: RGBImage,
    *,
    fps: float = 25.0,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    settings: TranslateSettings | None = None,
) -> Translation:
    """Let the face of a picture take on the motion of a video: head pose and expression.

    Args:
        frames: of the video, (H, W, 3) uint8 RGB, all of one size.
        target: (H, W, 3) uint8 RGB.
        fps: frames per second of the video.
        model: the networks; None: the embedded checkpoint, which all such calls share.
        backend: finds the faces; None: the mesh, which all such calls share.
        settings: what the translation should be like; None: the defaults.

    Returns:
        An iterator over the frames of the output.

    Raises:
        MediaError: the target is no picture, or ``frames`` is a single one.
        NoFaceError: there is no face in the target; when iterating: none in the whole video.
        SettingsError: ``settings`` name no face that can be chosen.
    """
    if isinstance(frames, np.ndarray) and frames.ndim == 3:
        raise MediaError("frames are a single picture: use translate_picture")
    return Translation(frames, target, fps=fps, model=model, backend=backend, settings=settings)


def translate_picture(
    source: RGBImage,
    target: RGBImage,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    settings: TranslateSettings | None = None,
    recorder: MotionRecorder | None = None,
) -> RGBImage:
    """Let the face of a picture take on head pose and expression of another picture.

    Args:
        source: (H, W, 3) uint8 RGB, the picture whose pose and expression are taken.
        target: (H, W, 3) uint8 RGB, the picture whose face takes them on.
        model: the networks; None: the embedded checkpoint, which all such calls share.
        backend: finds the faces; None: the mesh, which all such calls share.
        settings: what the translation should be like; None: the defaults. The motion of a picture
            is always ``absolute``.
        recorder: takes what is measured of the source.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MediaError: the target is no picture.
        NoFaceError: there is no face in one of them.
        SettingsError: ``settings`` name no face that can be chosen.
    """
    model, backend = model or default_model(), backend or default_backend()
    settings = _opened(settings or TranslateSettings(), model, backend)
    (photo,) = search_photos([source], backend)
    found_faces = photo.require()
    faces = settled(backend, [source] * len(found_faces), found_faces)
    seen = crop_still(source, faces, settings.face, model.config.image_size)
    measured = measure_still(model, seen)
    frame = perform_still(measured, target, model=model, backend=backend, settings=settings)
    if recorder is not None:
        recorder.add(measured)
    return np.hstack((_at_height(source, len(frame)), frame)) if settings.side_by_side else frame


def perform_still(
    measured: Measurement,
    target: RGBImage,
    *,
    model: FaceCycle,
    backend: FaceBackend,
    settings: TranslateSettings,
) -> RGBImage:
    """:func:`translate_picture` of what was measured of a picture before."""
    settings = _opened(replace(settings, motion="absolute"), model, backend)
    found = find_performers(target, model, backend, settings)
    (frame,) = found.frames([motion_of_still(measured)])
    return frame


def _opened(
    settings: TranslateSettings, model: FaceCycle, backend: FaceBackend
) -> TranslateSettings:
    """The settings with the faces of ``like:FILE`` looked at."""
    faces = (open_choice(face, model, backend) for face in (settings.face, settings.target_face))
    face, target_face = faces
    return replace(settings, face=face, target_face=target_face)


class _Panels:
    """The source's frames, kept at the height of the output until their output is there."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._panels: deque[RGBImage] = deque()

    def keep(self, frames: Iterable[RGBImage]) -> Iterator[RGBImage]:
        """The same frames."""
        for frame in frames:
            self._panels.append(_at_height(frame, self._height))
            yield frame

    def join(self, output: Generator[RGBImage, None, None]) -> Generator[RGBImage, None, None]:
        """The output with its source's frame to the left."""
        with closing(output):
            for frame in output:
                yield np.hstack((self._panels.popleft(), frame))


def _at_height(image: RGBImage, height: int) -> RGBImage:
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    kernel = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=kernel).astype(np.uint8, copy=False)
