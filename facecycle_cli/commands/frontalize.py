"""facecycle frontalize: the head turned to the front, the expression kept."""

from __future__ import annotations

from enum import Enum
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


class ExpressionChoice(str, Enum):
    """What becomes of the facial expression."""

    keep = "keep"
    remove = "remove"


def frontalize(
    inputs: Inputs,
    output: Output = None,
    expression: Annotated[
        ExpressionChoice,
        typer.Option(help="Keep the facial expression, or remove it as neutralize does."),
    ] = ExpressionChoice.keep,
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
    """Turn the head to the front and keep the facial expression.

    facecycle frontalize img.jpg                   writes img_frontal.png

    facecycle frontalize photos/ -o frontal/       a whole folder

    facecycle frontalize group.jpg --faces all --paste-back -o group_frontal.jpg
    """

    def move(
        image: np.ndarray, found: Sequence[Face], model: FaceCycle, side: int
    ) -> list[Portrait]:
        from facecycle_cli.pipelines.frontalize import frontal_portraits

        return frontal_portraits(image, found, model, size=side, expression=expression.value)

    PortraitJob(
        inputs=inputs,
        output=output,
        operation="frontalize",
        tag="_frontal",
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
