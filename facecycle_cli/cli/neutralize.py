"""facecycle neutralize: the frontal, neutral face; with --mean the mean face, without identity."""

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


def neutralize_command(
    inputs: Inputs,
    output: Output = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Go on to the mean face: de-identified.")
    ] = False,
    mouth: MouthOption = "landmarks",
    motion_from: MotionFrom = "landmarks",
    strength: Strength = 1.0,
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
    """Remove head turn and expression: the frontal, neutral face.

    facecycle neutralize smile.jpg                 writes smile_neutral.png

    facecycle neutralize photos/ -o neutral/       a whole folder

    facecycle neutralize talk.mp4 --paste-back     the whole frames, with sound

    facecycle neutralize - < in.jpg > out.png      in a pipeline
    """
    make_portraits(
        PortraitRequest(
            operation="neutralize --mean" if mean else "neutralize",
            suffix="_mean" if mean else "_neutral",
            expression="remove",
            mean=mean,
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
        )
    )
