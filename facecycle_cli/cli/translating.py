"""What translate does with its flags: opens source, target and output, and reports."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors, reason
from facecycle_cli.cli.outputs import Skip
from facecycle_cli.errors import CommandError
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    import numpy as np

    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.media import Provenance, VideoInfo
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.translate.video import TranslateSettings, Translation

_LONGEST = 1920
"""Longest side of a video of a whole picture: players and encoders take no 24 megapixels."""

_STREAM = "-"


@dataclass(frozen=True)
class TranslationJob:
    """One call of translate; the attributes are its flags."""

    source: str
    target: str
    output: str | None
    motion: Literal["absolute", "relative"] | None
    mouth: Literal["landmarks", "flow"]
    size: int
    paste_back: bool
    side_by_side: bool
    smooth: float
    face: str
    start: float
    duration: float | None
    max_frames: int | None
    overwrite: bool
    checkpoint: str
    device: str
    aligner: AlignerName
    seed: int

    def run(self, console: Console) -> None:
        """Translate, and print the name of the output or the report."""
        self._check(console)
        fields: dict[str, Any] = {"input": self.source, "target": self.target}
        try:
            with _local_file(self.source) as path:
                place, report = self._translate(path, console)
        except Skip as why:
            console.note(f"{self.source}: skipped, {why}")
            console.result(None, {**fields, "status": "skipped", "reason": str(why)})
        except CommandError as error:
            console.result(None, {**fields, "status": "failed", "reason": str(error)})
            raise
        except (BrokenPipeError, typer.BadParameter):
            raise
        except Exception as error:
            console.failure(self.source, error)
            failed = {"status": "failed", "reason": reason(error, self.source)}
            console.result(None, {**fields, **failed})
            raise typer.Exit(1) from error
        else:
            done = {"status": "done", "output": place, **report}
            console.result(None if place == _STREAM else place, {**fields, **done})

    def _check(self, console: Console) -> None:
        """Raises `typer.BadParameter` for what cannot work whatever the files are."""
        if self.source == self.target == _STREAM:
            raise typer.BadParameter("SRC and TGT cannot both be standard input")
        if self.output == _STREAM or (self.output is None and self.source == _STREAM):
            if console.json:
                raise typer.BadParameter("standard output takes the result or --json, not both")
            if sys.stdout.isatty():
                raise typer.BadParameter(
                    "standard output is a terminal; use -o FILE or redirect it"
                )

    def _translate(self, path: str, console: Console) -> tuple[str, dict[str, Any]]:
        """Where the result is, and the report about it."""
        from facecycle_cli.media import is_still

        still = is_still(path)
        place = self._place(still)
        picture = _read_target(self.target)
        model = open_model(self.checkpoint, self.device)
        model.seed = self.seed
        if still:
            if self.motion == "relative":
                raise typer.BadParameter("--motion relative: a picture has no motion of its own")
            return place, self._translate_picture(path, picture, model, place)
        return place, self._translate_video(path, picture, model, place, console)

    # -- the output's name ------------------------------------------------------------------------

    def _place(self, still: bool) -> str:
        """File, folder or ``-`` for the result; raises `Skip` if it exists and has to be kept."""
        place = self.output
        if place is None:
            place = _STREAM if self.source == _STREAM else self._default_name(still)
        if place == _STREAM:
            return place
        is_folder = place.endswith(("/", os.sep)) or os.path.isdir(place)
        if is_folder and still:
            place = os.path.join(place, os.path.basename(self._default_name(still)))
        elif not is_folder:
            _check_suffix(place, still)
        taken = any(os.scandir(place)) if os.path.isdir(place) else os.path.isfile(place)
        if taken and not self.overwrite:
            raise Skip(f"{place} exists (--overwrite to replace it)")
        return place

    def _default_name(self, still: bool) -> str:
        stems = ["stdin" if n == _STREAM else Path(n).stem for n in (self.source, self.target)]
        name = "_".join(stems) + (".png" if still else ".mp4")
        return name if self.source == _STREAM else str(Path(self.source).with_name(name))

    # -- pictures and videos ----------------------------------------------------------------------

    def _settings(self, still: bool) -> TranslateSettings:
        from facecycle_cli.translate.video import TranslateSettings

        return TranslateSettings(
            motion="absolute" if still else self.motion or TranslateSettings.motion,
            mouth=self.mouth,
            size=self.size,
            paste_back=self.paste_back,
            side_by_side=self.side_by_side,
            smooth=self.smooth,
            face=self.face,
        )

    def _translate_picture(
        self, path: str, picture: np.ndarray, model: FaceCycle, place: str
    ) -> dict[str, Any]:
        from facecycle_cli.media import read_image, write_image
        from facecycle_cli.translate.video import translate_picture

        result = translate_picture(
            read_image(path),
            picture,
            model=model,
            backend=open_backend(self.aligner),
            settings=self._settings(still=True),
        )
        if place == _STREAM:
            write_image(result, sys.stdout.buffer, provenance=_provenance(model))
            sys.stdout.buffer.flush()
        else:
            write_image(result, place, provenance=_provenance(model))
        return {"motion": "absolute", "frames": 1, "faces_found": 1}

    def _translate_video(
        self, path: str, picture: np.ndarray, model: FaceCycle, place: str, console: Console
    ) -> dict[str, Any]:
        from facecycle_cli.media import open_video, probe, read_frames

        if self.paste_back:
            picture = _reduced(picture, console)
        info = probe(path)
        fps = info.fps
        duration = self._duration(fps)
        settings = self._settings(still=False)
        backend = open_backend(self.aligner, threads=1)
        started = time.perf_counter()
        with (
            read_frames(
                path,
                start=self.start,
                duration=self.duration,
                max_frames=self.max_frames,
                info=info,
            ) as reader,
            self._perform(
                (frame.image for frame in reader), picture, fps, model, backend, settings, console
            ) as translation,
            console.progress("frames", self._expected(info)) as progress,
        ):
            first = next(translation)
            with prefix_errors(place):
                opened = open_video(
                    place,
                    fps,
                    (first.shape[1], first.shape[0]),
                    provenance=_provenance(model),
                    audio_from=path,
                    start=self.start,
                    duration=duration,
                )
            with opened as writer:
                writer.write(first)
                for frame in translation:
                    progress.advance()
                    writer.write(frame)
        seconds = time.perf_counter() - started
        if os.path.isdir(place):
            _remove_older_frames(place, translation.frames)
        self._tell(translation, reader.warning, console)
        console.detail(f"{translation.frames} frames in {seconds:.2f} s")
        return {
            "motion": settings.motion,
            **translation.report(),
            "fps": round(translation.frames / seconds, 2),
            "video_fps": round(float(fps), 4),
            "seconds": round(seconds, 3),
        }

    def _perform(
        self,
        frames: Iterator[np.ndarray],
        picture: np.ndarray,
        fps: Fraction,
        model: FaceCycle,
        backend: FaceBackend,
        settings: TranslateSettings,
        console: Console,
    ) -> Translation:
        """The translation about to begin; `CommandError` if there is no face in the target."""
        from facecycle_cli.translate.video import Translation

        with prefix_errors(self.target):
            return Translation(
                frames,
                picture,
                fps=float(fps),
                model=model,
                backend=backend,
                settings=settings,
                measure=console.json,
            )

    def _duration(self, fps: Fraction) -> float | None:
        """Of the part of the source, in seconds; None: to its end."""
        limits = [] if self.duration is None else [self.duration]
        limits += [] if self.max_frames is None else [float(self.max_frames / fps)]
        return min(limits, default=None)

    def _expected(self, info: VideoInfo) -> int | None:
        """Number of frames, roughly."""
        wanted = self._duration(info.fps)
        there = None if info.duration is None else max(0.0, info.duration - self.start)
        lengths = [length for length in (wanted, there) if length is not None]
        return round(min(lengths) * info.fps) if lengths else None

    def _tell(self, translation: Translation, warning: str | None, console: Console) -> None:
        """What a user should know about a video that was translated all the same."""
        if warning is not None:
            console.note(f"{self.source}: {warning}")
        if translation.others and self.face == "largest":
            console.note(
                f"{self.source}: {translation.others + 1} faces; followed the largest "
                "(--face left, right or N takes another)"
            )
        held = translation.frames - translation.faces_found
        if held:
            console.note(
                f"{self.source}: {held} of {translation.frames} frames without a face hold the "
                "last motion"
            )


def _check_suffix(place: str, still: bool) -> None:
    """Raises `typer.BadParameter` if results of that kind are not written to such a file; no suffix
    is a folder of frames.
    """
    from facecycle_cli.media import IMAGE_FORMATS, VIDEO_FORMATS

    suffix = Path(place).suffix.lower()
    formats, kind = (IMAGE_FORMATS, "a picture") if still else (VIDEO_FORMATS, "a video")
    if suffix not in formats and (suffix or still):
        raise typer.BadParameter(
            f"-o {place}: SRC is {kind}; it is written as {', '.join(formats)}"
        )


def _read_target(name: str) -> np.ndarray:
    """The target's picture; `CommandError` in one line if it is none."""
    from facecycle_cli.errors import MediaError
    from facecycle_cli.media import is_still, probe, read_image

    with prefix_errors(name):
        if name == _STREAM:
            return read_image(sys.stdin.buffer)
        if is_still(name):
            return read_image(name)
        try:
            probe(name)
        except MediaError:
            return read_image(name)  # which knows best what is wrong with it
        raise MediaError("a video; the target has to be a picture")


@contextmanager
def _local_file(name: str) -> Iterator[str]:
    """A file of that name; for standard input a temporary one, because videos are not read in
    order.
    """
    if name != _STREAM:
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="facecycle-") as folder:
        path = os.path.join(folder, "stdin")
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def _reduced(picture: np.ndarray, console: Console) -> np.ndarray:
    """The picture at a size that a video can have."""
    height, width = picture.shape[:2]
    factor = _LONGEST / max(height, width)
    if factor >= 1:
        return picture
    import cv2

    size = round(width * factor), round(height * factor)
    console.note(f"the video is {size[0]}x{size[1]}, TGT has {width}x{height} pixels")
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _remove_older_frames(folder: str, frames: int) -> None:
    """What an earlier, longer result has left in a folder of frames."""
    for path in Path(folder).glob("[0-9]" * 6 + ".png"):
        if int(path.stem) >= frames:
            path.unlink()


def _provenance(model: FaceCycle) -> Provenance:
    from facecycle_cli.media import Provenance

    info = model.checkpoint
    return Provenance("translate", info.sha256 if info else None)
