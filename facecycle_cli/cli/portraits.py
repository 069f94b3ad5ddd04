"""What neutralize and frontalize share: the flags as one record, and the run over all pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.faces import describe_face, open_face_choice, show_faces
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import Pictures, read_input, run_pictures
from facecycle_cli.types import AlignerName, Expression, MotionSource, MouthSource

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.types import RGBImage


@dataclass(frozen=True)
class PortraitRequest:
    """One call of neutralize or frontalize; fields that are not described are options.

    Attributes:
        operation: its name, for the provenance tag.
        suffix: what it adds to the names of files.
        expression: whether the facial expression is kept or removed.
        mean: go on to the mean face.
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
    overwrite: bool
    checkpoint: str
    device: str
    aligner: AlignerName
    seed: int
    console: Console
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None


def make_portraits(request: PortraitRequest) -> None:
    """Move the faces of every input and write the results.

    Raises:
        typer.BadParameter: options that exclude each other.
        CommandError: the networks cannot be opened.
        typer.Exit: code 1, some input failed.
    """
    if request.show_faces:
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
        made = portraits(image, motion, model=model, backend=backend, face=face, size=request.size)
        if request.grid:
            pictures = [step_grid(model, made)]
        elif request.paste_back:
            pictures = [paste_portraits(image, made)]
        else:
            pictures = [portrait.result for portrait in made]
        return Pictures(pictures, provenance, {"faces": [describe_face(p.face) for p in made]})

    run_pictures(request.inputs, outputs, transform, request.console, read=read_input)


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
