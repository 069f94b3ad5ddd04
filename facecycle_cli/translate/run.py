"""One run of translate on files: from SRC and TGT to the picture or video that is written."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from facecycle_cli.errors import MediaError, SettingsError
from facecycle_cli.media import (
    IMAGE_FORMATS,
    VIDEO_FORMATS,
    Frame,
    Provenance,
    is_still,
    probe,
    read_image,
    write_image,
)
from facecycle_cli.media.clips import STREAM, Clip, Part, local_file, output_exists, write_frames
from facecycle_cli.media.streams import is_pipe
from facecycle_cli.media.video import images_of
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.types import MotionMode, RGBImage

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.translate.video import Translation

__all__ = ["TranslateEvents", "TranslateJob", "TranslateResult", "run_translate"]

_MAX_SIDE = 1920
"""Longest side in pixels of a video of a whole picture: players and encoders take no 24 megapixels.
"""

OpenNetworks: TypeAlias = "Callable[[int | None], tuple[FaceCycle, FaceBackend]]"
"""Opens the networks and the face backend; the argument is the backend's number of threads."""


@dataclass(frozen=True)
class TranslateJob:
    """What to translate, and where to write it.

    Attributes:
        source: file whose motion is taken: a picture or a video; ``-`` for standard input.
        target: file of the picture whose face takes it on; ``-`` for standard input.
        output: file, folder, or ``-`` for standard output; None: ``<source>_<target>`` beside the
            source, or standard output where the source is standard input.
        motion: None: ``relative`` for a video; that of a picture is always ``absolute``.
        settings: what the translation should be like; ``motion`` above takes the place of its own.
        start: where to begin in the source, in seconds.
        duration: how much of it to use, in seconds; None: all.
        max_frames: how many of its frames at most; None: all.
        overwrite: replace an output that exists.
        measure: measure how well the motion arrived.
    """

    source: str
    target: str
    output: str | None = None
    motion: MotionMode | None = None
    settings: TranslateSettings = field(default_factory=TranslateSettings)
    start: float = 0.0
    duration: float | None = None
    max_frames: int | None = None
    overwrite: bool = False
    measure: bool = False


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
        OSError: a file cannot be opened.
        BrokenPipeError: nobody reads standard output any more.
    """
    with local_file(job.source) as path:
        still = is_still(path)
        output = _name_output(job, still)
        if not job.overwrite and output_exists(output):
            return TranslateResult(output, False, {})
        with events.errors_of(job.target):
            target = _read_target(job.target)
        if still and job.motion == "relative":
            raise SettingsError("--motion relative: a picture has no motion of its own")
        model, backend = open_networks(None if still else 1)
        job = replace(job, settings=_opened(job.settings, model, backend, events))
        task = _Task(job, path, output, target, model, backend, events)
        return TranslateResult(output, True, task.picture() if still else task.video())


@dataclass(frozen=True)
class _Task:
    """A job whose inputs are open.

    Attributes:
        path: of the source, a local file.
        output: where the result goes.
        target: the target's picture.
    """

    job: TranslateJob
    path: str
    output: str
    target: RGBImage
    model: FaceCycle
    backend: FaceBackend
    events: TranslateEvents

    def picture(self) -> dict[str, str | float | None]:
        """Write a picture; returns the report."""
        from facecycle_cli.translate.video import translate_picture

        result = translate_picture(
            read_image(self.path),
            self.target,
            model=self.model,
            backend=self.backend,
            settings=self.job.settings,
        )
        if self.output == STREAM:
            write_image(result, sys.stdout.buffer, provenance=self._provenance)
            sys.stdout.buffer.flush()
        else:
            write_image(result, self.output, provenance=self._provenance)
        return {"motion": "absolute", "frames": 1, "faces_found": 1}

    def video(self) -> dict[str, str | float | None]:
        """Write a video; returns the report."""
        job, events = self.job, self.events
        target = self._reduced_target() if job.settings.paste_back else self.target
        clip = Clip.of(self.path, Part(job.start, job.duration, job.max_frames))
        info = clip.info
        started = time.perf_counter()
        with (
            clip.read(decoded_size(self.path, info, self.backend, job.start)) as reader,
            self._translation(
                images_of(reader, places := deque[Frame]()), target, info.fps
            ) as translation,
            events.progress(clip.frames) as advance,
        ):
            note = write_frames(
                translation,
                places,
                self.output,
                clip,
                provenance=self._provenance,
                advance=advance,
                opening=events.errors_of(self.output),
            )
        seconds = time.perf_counter() - started
        self._note_problems(translation, [reader.warning, note])
        return {
            "motion": translation.settings.motion,
            **translation.report(),
            "fps": round(translation.frames / seconds, 2),
            "video_fps": round(float(info.fps), 4),
            "seconds": round(seconds, 3),
        }

    def _translation(
        self, frames: Iterator[RGBImage], target: RGBImage, fps: Fraction
    ) -> Translation:
        """The translation, about to begin."""
        from facecycle_cli.translate.video import Translation

        with self.events.errors_of(self.job.target):
            return Translation(
                frames,
                target,
                fps=float(fps),
                model=self.model,
                backend=self.backend,
                settings=replace(self.job.settings, motion=self.job.motion or "relative"),
                measure=self.job.measure,
            )

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


def _name_output(job: TranslateJob, still: bool) -> str:
    """The file, folder or ``-`` for the result.

    Raises:
        SettingsError: results of that kind are not written to such a file.
    """
    output = job.output
    if output is None:
        output = STREAM if job.source == STREAM else _default_output(job, still)
    if output == STREAM:
        return output
    is_folder = output.endswith(("/", os.sep)) or os.path.isdir(output)
    if is_folder and still:
        return os.path.join(output, os.path.basename(_default_output(job, still)))
    suffix = Path(output).suffix.lower()
    formats, kind = (IMAGE_FORMATS, "a picture") if still else (VIDEO_FORMATS, "a video")
    # A video without a suffix is a folder of frames.
    if not is_folder and suffix not in formats and (suffix or still):
        raise SettingsError(f"-o {output}: SRC is {kind}; it is written as {', '.join(formats)}")
    return output


def _default_output(job: TranslateJob, still: bool) -> str:
    stems = ["stdin" if name == STREAM else Path(name).stem for name in (job.source, job.target)]
    name = "_".join(stems) + (".png" if still else ".mp4")
    nowhere = job.source == STREAM or is_pipe(job.source)  # beside a pipe there is no room
    return name if nowhere else str(Path(job.source).with_name(name))


def _read_target(name: str) -> RGBImage:
    """The target's picture.

    Raises:
        MediaError: it is none.
        OSError: it cannot be opened.
    """
    if name == STREAM:
        return read_image(sys.stdin.buffer)
    if is_still(name):
        return read_image(name)
    try:
        probe(name)
    except MediaError:
        return read_image(name)  # its error says best what is wrong with the file
    raise MediaError("a video; the target has to be a picture")
