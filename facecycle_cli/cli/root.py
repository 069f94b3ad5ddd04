"""What ``facecycle`` itself knows, before any command."""

from __future__ import annotations

from typing import Annotated

import typer

from facecycle_cli import __version__


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facecycle {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Frontal and neutral faces, facial motion, and face features from one small network.

    What every command shares: files, folders and globs are inputs, - is standard input or output;
    results go to standard output and everything else to standard error. Exit codes: 0 done, 1 some
    input failed, 2 wrong usage, 130 interrupted. Everything generated carries a note that it was
    made by an AI.
    """
