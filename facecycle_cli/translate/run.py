"""One run of translate on files: from SRC and TGT to the picture or video that is written."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from facecycle_cli.errors import DataError, NoFaceError, SettingsError
from facecycle_cli.media import (
    Provenance,
    is_still,
    read_image,
    write_image,
)
from facecycle_cli.media.clips import STREAM, Clip, local_file, output_exists, write_frames
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.translate.job import (
    TranslateJob,
    check_motion_files,
    is_motion_file,
    name_output,
    read_target,
)
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.types import RGBImage

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.translate.origin import Origin
    from facecycle_cli.translate.template import MotionRecorder, MotionTemplate
    from facecycle_cli.translate.video import Translation

__all__ = ["TranslateEvents", "TranslateJob", "TranslateResult", "run_translate"]

_STILL_FPS = Fraction(25)
"""Of the motion of a picture, which has one frame."""

_MAX_SIDE = 1920
"""Longest side in pixels of a video of a whole picture: players and encoders take no 24 megapixels.
"""

_MANY_FRAMES = 150
"""From so many on, a second process is worth its beginning."""

OpenNetworks: TypeAlias = "Callable[[int | None], tuple[FaceCycle, FaceBackend]]"
"""Opens the networks and the face backend; the argument is the backend's number of threads."""


@dataclass(frozen=True)
class TranslateResult:
    """What became of a job.

    Attributes:
        output: where the result is: a file, a folder or ``-``.
        written: False if the output exists and is kept.
        report: what there is to say about the result, for JSON; empty if it is kept.
    """

    output: str
    written: bool
    report: dict[str, str | float | None]


class TranslateEvents:
    """What a caller may want to know during a run; override what is of interest."""

    def note(self, text: str) -> None:
        """Something worth knowing about a result that is written all the same."""

    def progress(self, frames: int | None) -> AbstractContextManager[Callable[[], None]]:
        """Frames are going to be written: about that many, None if that is unknown.

        Returns:
            A context for that time, whose function is called after each frame.
        """
        return nullcontext(lambda: None)

    def errors_of(self, name: str) -> AbstractContextManager[None]:
        """A context whose errors are those of the file ``name``, and not of the source."""
        return nullcontext()


def run_translate(
    job: TranslateJob, open_networks: OpenNetworks, events: TranslateEvents
) -> TranslateResult:
    """Translate one file.

    Args:
        job: what to do.
        open_networks: called when the names and the target are found to be good.
        events: told what happens meanwhile.

    Raises:
        SettingsError: the output's name does not fit the source, or a picture has no relative
            motion.
        MediaError: source or target cannot be read, or the output cannot be written.
        NoFaceError: there is no face in the source or in the target.
        OutputError: the motion cannot be kept where it should be.
        DataError: the source is a motion that is damaged, or of other networks.
        OSError: a file cannot be opened.
        BrokenPipeError: nobody reads standard output any more.
    """
    with local_file(job.source) as path:
        is_motion = is_motion_file(path)
        check_motion_files(job, is_motion=is_motion)
        template = _open_template(path) if is_motion else None
        still = is_still(path) if template is None else template.still
        output = name_output(job, still)
        if not job.overwrite and output_exists(output):
            if job.save_motion is not None:
                events.note(f"{job.save_motion}: not written, because {output} exists")
            return TranslateResult(output, False, {})
        with events.errors_of(job.target):
            target = read_target(job.target)
        if still and job.motion == "relative":
            raise SettingsError("--motion relative: a picture has no motion of its own")
        model, backend = open_networks(None if still else 1)
        if template is not None:
            _check_networks(template, model)
        job = replace(job, settings=_opened(job.settings, model, backend, events))
        task = _Task(job, path, output, target, model, backend, events, template)
        return TranslateResult(output, True, task.picture() if still else task.video())


@dataclass(frozen=True)
class _Task:
    """A job whose inputs are open.

    Attributes:
        path: of the source, a local file.
        output: where the result goes.
        target: the target's picture.
        template: the source, if it is a motion that was saved.
    """

    job: TranslateJob
    path: str
    output: str
    target: RGBImage
    model: FaceCycle
    backend: FaceBackend
    events: TranslateEvents
    template: MotionTemplate | None

    def picture(self) -> dict[str, str | float | None]:
        """Write a picture; returns the report."""
        with self._recording(_STILL_FPS, still=True) as recorder:
            result = self._drawn(recorder)
        if self.output == STREAM:
            write_image(result, sys.stdout.buffer, provenance=self._provenance)
            sys.stdout.buffer.flush()
        else:
            write_image(result, self.output, provenance=self._provenance)
        return {"motion": "absolute", "frames": 1, "faces_found": 1}

    def _drawn(self, recorder: MotionRecorder | None) -> RGBImage:
        from facecycle_cli.translate.video import perform_still, translate_picture

        settings, model, backend = self.job.settings, self.model, self.backend
        if self.template is None:
            return translate_picture(
                read_image(self.path),
                self.target,
                model=model,
                backend=backend,
                settings=settings,
                recorder=recorder,
            )
        measured = next(self.template.measurements(), None)
        if measured is None:
            raise NoFaceError("a motion without a face")
        return perform_still(measured, self.target, model=model, backend=backend, settings=settings)

    def video(self) -> dict[str, str | float | None]:
        """Write a video; returns the report."""
        job, events = self.job, self.events
        target = self._reduced_target() if job.settings.paste_back else self.target
        started = time.perf_counter()
        with (
            self._source() as source,
            self._recording(source.fps, still=False) as recorder,
            self._translation(source, target, recorder) as translation,
            events.progress(source.frames) as advance,
        ):
            note = write_frames(
                translation,
                source.places,
                self.output,
                source.clip,
                provenance=self._provenance,
                advance=advance,
                opening=events.errors_of(self.output),
            )
            if recorder is not None:
                recorder.numbers = source.numbers
        seconds = time.perf_counter() - started
        self._note_problems(translation, [source.warning, note])
        return {
            "motion": translation.settings.motion,
            **translation.report(),
            "fps": round(translation.frames / seconds, 2),
            "video_fps": round(float(source.fps), 4),
            "seconds": round(seconds, 3),
        }

    @contextmanager
    def _source(self) -> Iterator[Origin]:
        from facecycle_cli.translate.origin import Origin

        if self.template is not None:
            yield Origin.of_template(self.template, self.job.part)
            return
        clip = Clip.of(self.path, self.job.part)
        with clip.read(decoded_size(self.path, clip.info, self.backend, self.job.start)) as reader:
            yield Origin.of_clip(clip, reader)

    @contextmanager
    def _recording(self, fps: Fraction, *, still: bool) -> Iterator[MotionRecorder | None]:
        """What keeps the motion, if that is wanted; it is written at the end."""
        path = self.job.save_motion
        if path is not None and not self.job.overwrite and os.path.isfile(path):
            self.events.note(f"{path}: skipped, it exists (--overwrite to replace it)")
            path = None
        if path is None:
            yield None
            return
        from facecycle_cli.translate.template import MotionRecorder

        info = self.model.checkpoint
        checkpoint = info.sha256 if info else None
        with MotionRecorder(path, fps=fps, still=still, checkpoint=checkpoint) as recorder:
            yield recorder
            with self.events.errors_of(path):
                recorder.save()

    def _translation(
        self, source: Origin, target: RGBImage, recorder: MotionRecorder | None
    ) -> Translation:
        """The translation, about to begin."""
        from facecycle_cli.translate.video import Translation

        with self.events.errors_of(self.job.target):
            return Translation(
                source.images,
                target,
                fps=float(source.fps),
                model=self.model,
                backend=self.backend,
                settings=replace(self.job.settings, motion=self.job.motion or "relative"),
                measure=self.job.measure,
                measured=source.measured,
                recorder=recorder,
                second_process=self._takes_long(source),
            )

    def _takes_long(self, source: Origin) -> bool:
        """Whether drawing is shared with a second process."""
        on_cpu = self.model.device.type == "cpu"
        many = source.frames is None or source.frames >= _MANY_FRAMES
        return self.job.second_process and on_cpu and many

    def _reduced_target(self) -> RGBImage:
        """The target's picture at a size that a video can have."""
        height, width = self.target.shape[:2]
        factor = _MAX_SIDE / max(height, width)
        if factor >= 1:
            return self.target
        import cv2
        import numpy as np

        size = round(width * factor), round(height * factor)
        self.events.note(f"the video is {size[0]}x{size[1]}, TGT has {width}x{height} pixels")
        reduced = cv2.resize(self.target, size, interpolation=cv2.INTER_AREA)
        return reduced.astype(np.uint8, copy=False)

    def _note_problems(self, translation: Translation, warnings: Sequence[str | None]) -> None:
        note, name = self.events.note, self.job.source
        for warning in filter(None, warnings):
            note(f"{name}: {warning}")
        if translation.faces_besides and self.job.settings.face == "largest":
            note(
                f"{name}: {translation.faces_besides + 1} faces; followed the largest "
                "(--face left, right or N takes another)"
            )
        held = translation.frames - translation.faces_found
        if held:
            note(
                f"{name}: {held} of {translation.frames} frames without a face hold the last motion"
            )

    @property
    def _provenance(self) -> Provenance:
        info = self.model.checkpoint
        return Provenance("translate", info.sha256 if info else None)


def _open_template(path: str) -> MotionTemplate:
    from facecycle_cli.translate.template import MotionTemplate

    return MotionTemplate.open(path)


def _check_networks(template: MotionTemplate, model: FaceCycle) -> None:
    """Raises DataError: other networks measured the motion."""
    info = model.checkpoint
    if template.checkpoint != (info.sha256 if info else None):
        raise DataError("other networks measured this motion: name theirs with --checkpoint")


def _opened(
    settings: TranslateSettings, model: FaceCycle, backend: FaceBackend, events: TranslateEvents
) -> TranslateSettings:
    """The settings with the faces of ``like:FILE`` looked at."""
    from facecycle_cli.portrait.likeness import open_choice

    with events.errors_of(f"--face {settings.face}"):
        face = open_choice(settings.face, model, backend)
    with events.errors_of(f"--target-face {settings.target_face}"):
        target_face = open_choice(settings.target_face, model, backend)
    return replace(settings, face=face, target_face=target_face)
