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
    Face,
    Grid,
    Inputs,
    MotionFrom,
    MouthOption,
    Output,
    Overwrite,
    PasteBack,
    Quiet,
    Seed,
    ShowFaces,
    Size,
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
    size: Size = 256,
    face: Face = "largest",
    show_faces: ShowFaces = False,
    paste_back: PasteBack = False,
    grid: Grid = False,
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
            inputs=inputs,
            output=output,
            size=size,
            face=face,
            show_faces=show_faces,
            paste_back=paste_back,
            grid=grid,
            overwrite=overwrite,
            checkpoint=checkpoint,
            device=device,
            aligner=aligner,
            seed=seed,
            console=Console(quiet=quiet, verbose=verbose, json=as_json),
        )
    )
