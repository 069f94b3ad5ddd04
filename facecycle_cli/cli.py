"""The Typer application: registers the commands and nothing else."""

import typer

from facecycle_cli.commands.checkpoint import checkpoint
from facecycle_cli.commands.evaluate import evaluate
from facecycle_cli.commands.frontalize import frontalize
from facecycle_cli.commands.neutralize import neutralize
from facecycle_cli.commands.preprocess import preprocess
from facecycle_cli.commands.root import root
from facecycle_cli.commands.train import train
from facecycle_cli.commands.translate import translate
from facecycle_cli.commands.verify import verify

app = typer.Typer(
    name="facecycle",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help costs half the start-up time of the framed one
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.callback()(root)
app.command()(frontalize)
app.command()(neutralize)
app.command()(translate)
app.command()(verify)
app.command()(preprocess)
app.add_typer(evaluate)
app.add_typer(checkpoint)
app.command()(train)
