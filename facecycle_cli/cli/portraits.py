"""What neutralize and frontalize share: the flags as one record, and the run over all pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.faces import describe_face, open_face_choice, show_faces
from facecycle_cli.cli.gallery import PortraitGallery
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import InputResult, Pictures, run_pictures
from facecycle_cli.errors import MediaError
from facecycle_cli.types import AlignerName, Expression, MediaKind, MotionSource, MouthSource

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.faces.choice import FaceChoice
    from facecycle_cli.media import Input, Provenance
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.clip import MovedClip
    from facecycle_cli.portrait.motions import PortraitMotion
    from facecycle_cli.types import RGBImage


@dataclass(frozen=True)
class PortraitRequest:
    """One call of neutralize or frontalize; fields that are not described are options.

    Attributes:
        operation: its name, for the provenance tag.
        suffix: what it adds to the names of files.
        expression: whether the facial expression is kept or removed.
        mean: go on to the mean face.
        report: folder of the gallery; None: none is wanted.
    """

    operation: str
    suffix: str
    expression: Expression
    mean: bool
    mouth: MouthSource
    motion_from: MotionSource
    strength: float
    inputs: list[str]
    output: str | None
    size: int
    face: str
    show_faces: bool
    paste_back: bool
    grid: bool
    start: float
    duration: float | None
    max_frames: int | None
    overwrite: bool
    checkpoint: str
    device: str
    aligner: AlignerName
    seed: int
    console: Console
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    report: Path | None = None


def make_portraits(request: PortraitRequest) -> None:
    """Move the faces of every input and write the results.

    Raises:
        typer.BadParameter: options that exclude each other.
        CommandError: the networks cannot be opened.
        typer.Exit: code 1, some input failed.
    """
    if request.show_faces:
        if request.report is not None:
            raise typer.BadParameter("--show-faces makes no portraits: it has no --report")
        show_faces(
            request.inputs,
            request.output,
            overwrite=request.overwrite,
            aligner=request.aligner,
            console=request.console,
        )
        return
    _check_dials(request)
    if request.grid and request.paste_back:
        raise typer.BadParameter("--grid and --paste-back make different pictures; choose one")
    outputs = Outputs(
        request.output,
        request.inputs,
        tag=request.suffix,
        overwrite=request.overwrite,
        numbered=request.face == "all" and not request.grid and not request.paste_back,
        kinds=_kinds(request.inputs),
    )
    model, backend = _open_networks(request)
    face = open_face_choice(request.face, model, backend)

    from facecycle_cli.media import Provenance
    from facecycle_cli.portrait.dials import Dials
    from facecycle_cli.portrait.grid import step_grid
    from facecycle_cli.portrait.motions import choose_motion
    from facecycle_cli.portrait.portraits import paste_portraits, portraits

    motion = choose_motion(
        request.expression,
        mean=request.mean,
        mouth=request.mouth,
        motion_from=request.motion_from,
        dials=Dials(request.strength, request.yaw, request.pitch, request.roll),
    )
    info = model.checkpoint
    provenance = Provenance(request.operation, info.sha256 if info else None)

    def transform(image: RGBImage) -> Pictures:
        with gallery.errors():
            made = portraits(
                image, motion, model=model, backend=backend, face=face, size=request.size
            )
        gallery.add(made)
        if request.grid:
            pictures = [step_grid(model, made)]
        elif request.paste_back:
            pictures = [paste_portraits(image, made)]
        else:
            pictures = [portrait.result for portrait in made]
        return Pictures(pictures, provenance, {"faces": [describe_face(p.face) for p in made]})

    move = _ClipMover(request, motion, face, outputs, model, provenance)
    with _open_gallery(request, model) as gallery:
        run_pictures(
            request.inputs, outputs, transform, request.console, read=gallery.read, move=move
        )


def _open_gallery(request: PortraitRequest, model: FaceCycle) -> PortraitGallery:
    names = "expression mean mouth motion_from strength yaw pitch roll face size".split()
    options = {
        "data": " ".join(request.inputs),
        "settings": {n: v for n in names if (v := getattr(request, n)) not in (None, False)},
        "seed": request.seed,
        "aligner": request.aligner,
    }
    return PortraitGallery(
        request.report,
        request.operation,
        options,
        model,
        overwrite=request.overwrite,
        console=request.console,
    )


def _kinds(inputs: Sequence[str]) -> tuple[MediaKind, ...]:
    """What the inputs are, or may be."""
    if len(inputs) != 1 or not os.path.isfile(inputs[0]):
        return "image", "video"
    from facecycle_cli.media.clips import is_video

    return ("video",) if is_video(inputs[0]) else ("image",)


class _ClipMover:
    """Writes the videos among the inputs, see :func:`.run_pictures`."""

    def __init__(
        self,
        request: PortraitRequest,
        motion: PortraitMotion,
        face: FaceChoice,
        outputs: Outputs,
        model: FaceCycle,
        provenance: Provenance,
    ) -> None:
        self._request = request
        self._motion, self._face = motion, face
        self._outputs = outputs
        self._model = model
        self._provenance = provenance
        self._backend: FaceBackend | None = None

    def __call__(self, item: Input, path: str) -> InputResult:
        """Move the faces of one video; ``path`` is a local file of it."""
        from facecycle_cli.media.clips import Clip, Part
        from facecycle_cli.portrait.clip import ClipSettings, move_clip

        request = self._request
        if request.grid:
            raise MediaError("a video; --grid shows the steps of a picture")
        if request.face == "all" and not request.paste_back:
            raise MediaError("a video; --face all needs --paste-back there: a crop shows one face")
        output = self._outputs.claim_video(item)
        clip = Clip.of(path, Part(request.start, request.duration, request.max_frames))
        if self._backend is None:
            # Tracking, the networks and the encoder work at the same time.
            self._backend = open_backend(request.aligner, threads=1)
        moved = move_clip(
            clip,
            output,
            ClipSettings(self._motion, self._face, request.size, request.paste_back),
            self._model,
            self._backend,
            provenance=self._provenance,
            advance=_FrameCounter(str(item), clip.frames, request.console),
        )
        self._note_problems(str(item), moved)
        name = None if output == "-" else request.console.name(output)
        return InputResult(name, {"output": output, **moved.report()})

    def _note_problems(self, name: str, moved: MovedClip) -> None:
        note = self._request.console.note
        for warning in moved.warnings:
            note(f"{name}: {warning}")
        if moved.most_besides and self._request.face == "largest":
            note(
                f"{name}: {moved.most_besides + 1} faces; followed the largest "
                "(--face left, right or N takes another)"
            )
        if moved.held:
            became = "stay as they are" if self._request.paste_back else "hold the last result"
            note(f"{name}: {moved.held} of {moved.frames} frames without a face {became}")


class _FrameCounter:
    """Shows how far a video is; called after each frame."""

    def __init__(self, name: str, total: int | None, console: Console) -> None:
        self._name, self._total, self._console = name, total, console
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        of = "" if self._total is None else f" of {self._total}"
        self._console.status(f"{self._name}: frame {self._count}{of}")


def _check_dials(request: PortraitRequest) -> None:
    """Raises ``typer.BadParameter`` for dials without an effect."""
    if request.mean and request.strength != 1:
        raise typer.BadParameter("--mean is drawn as a whole: it has no --strength")
    if request.pitch is not None:
        if request.motion_from == "networks":
            raise typer.BadParameter("--pitch goes with --motion-from landmarks")
        if request.aligner != "mesh":
            raise typer.BadParameter("--pitch goes with --aligner mesh")


def _open_networks(request: PortraitRequest) -> tuple[FaceCycle, FaceBackend]:
    """The model, and the backend, whose networks are read while torch is imported."""
    backend = open_backend(request.aligner)
    with ThreadPoolExecutor(1) as thread:
        ready = thread.submit(backend.prepare)
        model = open_model(request.checkpoint, request.device)
    with prefix_errors(f"--aligner {request.aligner}"):
        ready.result()
    model.seed = request.seed
    return model, backend
