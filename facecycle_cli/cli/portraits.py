"""What neutralize and frontalize share: the flags as one record, and the run over all pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import Pictures, run_pictures
from facecycle_cli.types import AlignerName, Expression, FaceChoice, MotionSource, MouthSource

if TYPE_CHECKING:
    from facecycle_cli.faces import Face, FaceBackend
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
    inputs: list[str]
    output: str | None
    size: int
    faces: FaceChoice
    paste_back: bool
    grid: bool
    overwrite: bool
    checkpoint: str
    device: str
    aligner: AlignerName
    seed: int
    console: Console


def make_portraits(request: PortraitRequest) -> None:
    """Move the faces of every input and write the results.

    Raises:
        typer.BadParameter: options that exclude each other.
        CommandError: the networks cannot be opened.
        typer.Exit: code 1, some input failed.
    """
    if request.grid and request.paste_back:
        raise typer.BadParameter("--grid and --paste-back make different pictures; choose one")
    outputs = Outputs(
        request.output,
        request.inputs,
        tag=request.suffix,
        overwrite=request.overwrite,
        numbered=request.faces == "all" and not request.grid and not request.paste_back,
    )
    model, backend = _open_networks(request)

    from facecycle_cli.media import Provenance
    from facecycle_cli.portrait.grid import step_grid
    from facecycle_cli.portrait.motions import choose_motion
    from facecycle_cli.portrait.portraits import paste_portraits, portraits

    motion = choose_motion(
        request.expression,
        mean=request.mean,
        mouth=request.mouth,
        motion_from=request.motion_from,
    )
    info = model.checkpoint
    provenance = Provenance(request.operation, info.sha256 if info else None)

    def transform(image: RGBImage) -> Pictures:
        made = portraits(
            image, motion, model=model, backend=backend, faces=request.faces, size=request.size
        )
        if request.grid:
            pictures = [step_grid(model, made)]
        elif request.paste_back:
            pictures = [paste_portraits(image, made)]
        else:
            pictures = [portrait.result for portrait in made]
        return Pictures(pictures, provenance, {"faces": [_describe(p.face) for p in made]})

    run_pictures(request.inputs, outputs, transform, request.console)


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


def _describe(face: Face) -> dict[str, Any]:
    pose = face.pose
    return {
        "box": [round(float(v), 1) for v in face.box],
        "score": round(float(face.score), 4),
        "yaw": round(pose.yaw, 1),
        "pitch": round(pose.pitch, 1),
        "roll": round(pose.roll, 1),
    }
