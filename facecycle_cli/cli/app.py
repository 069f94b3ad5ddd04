"""The application ``facecycle``: its commands by name, each imported when it is run.

To build one command from its annotations takes longer than everything else that ``--help`` does.
That is why the application knows the names and summaries of its commands, and imports and builds
only the one that is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from facecycle_cli import __version__
from facecycle_cli.cli.help import HelpfulCommand, HelpfulGroup
from facecycle_cli.text import shown

SECTIONS = {
    "Change faces": {
        "frontalize": "Turn the head to the front and keep the facial expression.",
        "neutralize": "Remove head turn and expression: the frontal, neutral face.",
        "translate": "Let the face in TGT take on the motion of SRC: head pose and expression.",
    },
    "Describe and compare faces": {
        "encode": "Write codes, head pose and openings of faces as a table.",
        "verify": "Say whether two pictures show the same person.",
    },
    "Train and measure": {
        "preprocess": "Find and align the faces of videos and photographs, for training.",
        "train": "Train the networks on crops of faces.",
        "evaluate": "Measure the representations in the field's own protocols.",
    },
    "Use elsewhere": {
        "serve": "Answer requests over HTTP with networks that stay open.",
        "checkpoint": "Look into checkpoints, convert and export them.",
    },
}
"""The sections of the help, and the commands in each with their summaries."""

SUMMARIES = {name: text for section in SECTIONS.values() for name, text in section.items()}
"""All commands, each with its summary. A command is the function, or the group of commands,
``NAME_command`` in the module ``facecycle_cli.cli.NAME``.
"""


class LazyGroup(HelpfulGroup):
    """The commands of ``SUMMARIES``, each a name and a summary until it is run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        placeholders = {name: TyperCommand(name, short_help=s) for name, s in SUMMARIES.items()}
        self.commands = {**placeholders, **self.commands}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Names and summaries, by sections."""
        column = max(map(len, SUMMARIES))
        for title, summaries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{column}}", s) for name, s in summaries.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that ``args`` name, and build it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in SUMMARIES:
            command = self.commands[name] = build_command(name)
        return name, command, rest

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Take the arguments of the application apart."""
        with _printable_usage_errors():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Take the arguments of the command apart, and run it."""
        with _printable_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_usage_errors() -> Iterator[None]:
    """Let the message of wrong usage, which quotes arguments, reach no terminal as it is."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "message"):  # click's, or typer's
            error.message = shown(error.message)
        raise


def build_command(name: str) -> Any:
    """What typer makes of the command ``name``: its options, its help page and its subcommands."""
    found = getattr(import_module(f"facecycle_cli.cli.{name}"), f"{name}_command")
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    holder.callback()(lambda: None)  # with it, typer keeps a single command below a group
    if isinstance(found, typer.Typer):
        for subcommand in found.registered_commands:
            subcommand.cls = HelpfulCommand
        holder.add_typer(found, name=name, cls=HelpfulGroup)
    else:
        holder.command(name, cls=HelpfulCommand)(found)
    return typer.main.get_group(holder).commands[name]


app = typer.Typer(
    name="facecycle",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # help pages with frames take twice as long to start
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"facecycle {__version__}")
        raise typer.Exit


@app.callback()
def facecycle(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Frontal and neutral faces, facial motion, and face features from one small network.

    All commands take files, folders and globs as inputs; - is standard input or standard output.
    Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 some
    input failed, 2 wrong usage, 130 interrupted. Every picture and video that is written carries a
    note that an AI made it.
    """
