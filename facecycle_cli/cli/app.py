"""The Typer application: registers the commands and nothing else."""

import typer

from facecycle_cli.cli.lazy import LazyGroup
from facecycle_cli.cli.root import root


class Commands(LazyGroup):
    """Each command is the function (or the application) ``name`` in ``commands/name.py``."""

    home = "facecycle_cli.cli"
    summaries = {  # noqa: RUF012 (never changed)
        "frontalize": "Turn the head to the front and keep the facial expression.",
        "neutralize": "Remove head turn and expression: the frontal, neutral face.",
        "translate": "Let the face in TGT perform the motion of SRC: head pose and expression.",
        "verify": "Say whether two pictures show the same person.",
        "preprocess": "Find and align the faces of videos and photographs, for training.",
        "train": "Train the networks on crops of faces.",
        "evaluate": "Measure the representations in the field's own protocols.",
        "checkpoint": "Look into checkpoints, convert and export them.",
    }


app = typer.Typer(
    name="facecycle",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help costs half the start-up time of the framed one
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback()(root)
