"""facecycle frontalize: the head turned to the front, the expression kept."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.portraits import PortraitOptions, portrait_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from facecycle_cli.faces import Face
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.portraits import Portrait


class ExpressionChoice(str, Enum):
    """What becomes of the facial expression."""

    keep = "keep"
    remove = "remove"


@portrait_command
def frontalize(
    options: PortraitOptions,
    expression: Annotated[
        ExpressionChoice,
        typer.Option(help="Keep the facial expression, or remove it as neutralize does."),
    ] = ExpressionChoice.keep,
) -> None:
    """Turn the head to the front and keep the facial expression.

    facecycle frontalize img.jpg                   writes img_frontal.png

    facecycle frontalize photos/ -o frontal/       a whole folder

    facecycle frontalize group.jpg --faces all --paste-back -o group_frontal.jpg
    """

    def move(
        image: np.ndarray, found: Sequence[Face], model: FaceCycle, side: int
    ) -> list[Portrait]:
        from facecycle_cli.portrait.frontalize import frontal_portraits

        return frontal_portraits(image, found, model, size=side, expression=expression.value)

    options.run(move, operation="frontalize", tag="_frontal")
