"""What the help pages of all commands have in common."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from facecycle_cli.cli.app import SUMMARIES, app, build_command
from facecycle_cli.cli.help import HelpfulCommand, lay_out_examples


def commands() -> list[tuple[str, ...]]:
    """The words of every command and subcommand."""
    found: list[tuple[str, ...]] = []
    for name in SUMMARIES:
        below = getattr(build_command(name), "commands", {})
        found += [(name, *rest) for rest in ((), *((inner,) for inner in below))]
    return found


def page(words: tuple[str, ...], width: int) -> list[str]:
    """The lines of a help page on a terminal of this width."""
    result = CliRunner(env={"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)}).invoke(
        app, [*words, "--help"], prog_name="facecycle"
    )
    assert result.exit_code == 0
    return result.output.splitlines()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_no_line_is_wider_than_the_terminal(words, width):
    assert [line for line in page(words, width) if len(line) > width] == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_metavars_are_said_once(words):
    text = "\n".join(page(words, 100))
    assert not re.search(r"list\[|<str>|<path>|range>|<float>|<int>|\.\.\. \S+\.\.\.|\.{6}", text)
    assert "{" not in text.partition("\n\n")[0]


@pytest.mark.parametrize("words", [w for w in commands() if len(w) > 1], ids=" ".join)
def test_summaries_of_subcommands_are_whole(words):
    listed = " ".join("\n".join(page(words[:1], 80)).partition("Commands:")[2].split())
    summary = build_command(words[0]).commands[words[1]].help.partition("\n\n")[0]
    assert f"{words[1]} {' '.join(summary.split())}" in listed


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_examples_that_can_be_copied(words):
    lines = page(words, 80)
    if any(line == "Commands:" for line in lines):
        return
    examples = lines[lines.index("Examples:") + 1 : lines.index("", lines.index("Examples:"))]
    for before, line in zip(["", *examples], examples, strict=False):
        assert re.match(r"  (facecycle|torchrun) |      ", line), line
        assert line.startswith("      ") or not before.endswith("\\")


def example() -> None:
    """Turn light into dark.

    facecycle invert a.png                        writes a_inverted.png
    facecycle invert photos/ -o dark/             a whole folder

    facecycle invert a.png --a-rather-long-option with-a-value --and-another-one with-one

    What else there is to say.
    """


def test_examples_are_a_section_and_keep_their_lines():
    holder = typer.Typer(rich_markup_mode=None, add_completion=False)
    holder.command("invert", cls=HelpfulCommand)(example)
    runner = CliRunner(env={"COLUMNS": "80"})
    text = runner.invoke(holder, ["--help"], prog_name="invert").output
    assert text.partition("Options:")[0] == (
        "Usage: invert [OPTIONS]\n\n"
        "  Turn light into dark.\n\n"
        "  What else there is to say.\n\n"
        "Examples:\n"
        "  facecycle invert a.png             writes a_inverted.png\n"
        "  facecycle invert photos/ -o dark/  a whole folder\n"
        "  facecycle invert a.png --a-rather-long-option with-a-value \\\n"
        "      --and-another-one with-one\n\n"
    )


def test_comments_go_below_their_examples_where_there_is_no_room():
    examples = ["facecycle train a", "facecycle train b/ --amp  the training of the paper"]
    assert lay_out_examples(examples, 60)[1] == examples[1]
    assert lay_out_examples(examples, 40) == [
        "facecycle train a",
        "facecycle train b/ --amp",
        "    the training of the paper",
    ]
