"""The Typer application: registers the commands and nothing else."""

import typer

app = typer.Typer(name="facecycle", no_args_is_help=True, rich_markup_mode=None)
