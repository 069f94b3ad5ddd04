"""facecycle neutralize: the frontal, neutral face; with --mean, the face with no identity left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.portraits import PortraitOptions, portrait_command
from facecycle_cli.types import MouthSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from facecycle_cli.faces import Face
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.portraits import Portrait


@portrait_command
def neutralize(
    options: PortraitOptions,
    mean: Annotated[
        bool, typer.Option("--mean", help="Go on to the mean face: de-identified.")
    ] = False,
    mouth: Annotated[
        MouthSource,
        typer.Option(
            help="How the mouth is closed: at the lips that landmarks find, or by the networks' "
            "flow, which hides no teeth.",
        ),
    ] = "landmarks",
) -> None:
    """Remove head turn and expression: the frontal, neutral face.

    facecycle neutralize smile.jpg                 writes smile_neutral.png

    facecycle neutralize photos/ -o neutral/       a whole folder

    facecycle neutralize - < in.jpg > out.png      in a pipeline
    """

    def move(
        image: np.ndarray, found: Sequence[Face], model: FaceCycle, side: int
    ) -> list[Portrait]:
        from facecycle_cli.portrait.neutralize import neutral_portraits

        return neutral_portraits(image, found, model, size=side, mean=mean, mouth=mouth)

    options.run(
        move,
        operation="neutralize --mean" if mean else "neutralize",
        tag="_mean" if mean else "_neutral",
    )
