"""facecycle frontalize: the head turned to the front, the facial expression kept."""

from __future__ import annotations

from typing import Annotated

import typer

from facecycle_cli.cli.console import Console
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Duration,
    Face,
    GalleryFolder,
    Grid,
    Inputs,
    MaxFrames,
    MotionFrom,
    MouthOption,
    Output,
    Overwrite,
    PasteBack,
    Quiet,
    Seed,
    ShowFaces,
    Size,
    Start,
    Strength,
    Verbose,
)
from facecycle_cli.cli.portraits import PortraitRequest, make_portraits
from facecycle_cli.types import Expression


def frontalize_command(
    inputs: Inputs,
    output: Output = None,
    expression: Annotated[
        Expression,
        typer.Option(help="Keep the facial expression, or remove it as neutralize does."),
    ] = "keep",
    mouth: MouthOption = "landmarks",
    motion_from: MotionFrom = "landmarks",
    strength: Strength = 1.0,
    yaw: Annotated[
        float | None,
        typer.Option(
            metavar="DEG",
            min=-25.0,
            max=25.0,
            help="Turn the head to this angle instead of the front; above 0 towards the image's "
            "right. A head is turned by 25 degrees at most, except to the front.",
            show_default=False,
        ),
    ] = None,
    pitch: Annotated[
        float | None,
        typer.Option(
            metavar="DEG",
            min=-15.0,
            max=15.0,
            help="Let it look up (above 0) or down by this angle. Default: as in the photograph.",
            show_default=False,
        ),
    ] = None,
    roll: Annotated[
        float | None,
        typer.Option(
            metavar="DEG",
            min=-45.0,
            max=45.0,
            help="Tilt it clockwise by this angle. Default: upright.",
            show_default=False,
        ),
    ] = None,
    size: Size = 256,
    face: Face = "largest",
    show_faces: ShowFaces = False,
    paste_back: PasteBack = False,
    grid: Grid = False,
    start: Start = 0.0,
    duration: Duration = None,
    max_frames: MaxFrames = None,
    report: GalleryFolder = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    aligner: Aligner = "mesh",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn the head to the front and keep the facial expression.

    facecycle frontalize img.jpg                   writes img_frontal.png

    facecycle frontalize photos/ -o frontal/       a whole folder

    facecycle frontalize talk.mp4                  writes talk_frontal.mp4, with sound

    facecycle frontalize group.jpg --face all --paste-back -o group_frontal.jpg

    --mouth says how a mouth is closed with --expression remove; a kept expression keeps its mouth.
    """
    make_portraits(
        PortraitRequest(
            operation="frontalize",
            suffix="_frontal",
            expression=expression,
            mean=False,
            mouth=mouth,
            motion_from=motion_from,
            strength=strength,
            inputs=inputs,
            output=output,
            size=size,
            face=face,
            show_faces=show_faces,
            paste_back=paste_back,
            grid=grid,
            start=start,
            duration=duration,
            max_frames=max_frames,
            report=report,
            overwrite=overwrite,
            checkpoint=checkpoint,
            device=device,
            aligner=aligner,
            seed=seed,
            console=Console(quiet=quiet, verbose=verbose, json=as_json),
            yaw=yaw,
            pitch=pitch,
            roll=roll,
        )
    )
