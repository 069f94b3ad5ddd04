"""facecycle neutralize: the frontal, neutral face; with --mean, the face with no identity left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.commands.common import (
    AsJson,
    Checkpoint,
    Console,
    Device,
    Faces,
    FacesChoice,
    Inputs,
    Output,
    Overwrite,
    Quiet,
    Seed,
    Size,
    Verbose,
)
from facecycle_cli.commands.portraits import Aligner, Grid, PasteBack, PortraitJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from facecycle_cli.faces import Face
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.pipelines.portraits import Portrait


def neutralize(
    inputs: Inputs,
    output: Output = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Go on to the mean face: de-identified.")
    ] = False,
    size: Size = 256,
    faces: Faces = FacesChoice.largest,
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
    """Remove head turn and expression: the frontal, neutral face.

    facecycle neutralize smile.jpg                 writes smile_neutral.png

    facecycle neutralize photos/ -o neutral/       a whole folder

    facecycle neutralize - < in.jpg > out.png      in a pipeline
    """

    def move(
        image: np.ndarray, found: Sequence[Face], model: FaceCycle, side: int
    ) -> list[Portrait]:
        from facecycle_cli.pipelines.neutralize import neutral_portraits

        return neutral_portraits(image, found, model, size=side, mean=mean)

    PortraitJob(
        inputs=inputs,
        output=output,
        operation="neutralize --mean" if mean else "neutralize",
        tag="_mean" if mean else "_neutral",
        size=size,
        faces=faces,
        paste_back=paste_back,
        grid=grid,
        overwrite=overwrite,
        checkpoint=checkpoint,
        device=device,
        aligner=aligner,
        seed=seed,
    ).run(move, Console(quiet=quiet, verbose=verbose, json=as_json))
