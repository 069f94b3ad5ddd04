"""How the help pages of all commands look.

typer wraps every paragraph of a docstring, shows Python types beside names, and cuts the summaries
of commands short. The two classes here keep the lines of examples, show names alone, and print
whole summaries. typer brings a click of its own or uses the installed one,
depending on its version; that is why contexts and formatters have no type here.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

_EXAMPLE = re.compile(r"(facecycle|torchrun|python -m facecycle_cli)\b")
_COMMENT_GAP = "  "
"""At least this much space is between an example and the comment behind it."""


class HelpfulCommand(TyperCommand):
    """A command whose docstring may hold examples: paragraphs that begin with ``facecycle``.

    What stands behind two or more spaces is a comment on the example.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS] SRC TGT [MORE]...``."""
        pieces = [self.options_metavar] if self.options_metavar else []
        for argument in self._arguments():
            name = _name(argument)
            pieces.append((name if argument.required else f"[{name}]") + _dots(argument))
        return pieces

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The docstring, with its examples in a section of their own."""
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        texts = [text for text in paragraphs if not _EXAMPLE.match(text)]
        examples = [
            line for text in paragraphs if _EXAMPLE.match(text) for line in text.split("\n")
        ]
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text("\n\n".join(texts))
        if examples:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                for line in lay_out_examples(examples, formatter.width - len(indent)):
                    formatter.write(f"{indent}{line}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments by name, then options with N for an integer and F for a float."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(param, TyperArgument):
                rows["Arguments"].append((_name(param), record[1]))
            else:
                names = record[0].replace(" range>", ">")
                names = names.replace("<int>", "N").replace("<float>", "F")
                rows["Options"].append((names, record[1]))
        for title, records in rows.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _arguments(self) -> list[TyperArgument]:
        return [param for param in self.params if isinstance(param, TyperArgument)]


class HelpfulGroup(TyperGroup):
    """A group of commands that lists them with the whole first paragraph of what they do."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Names and summaries."""
        rows = []
        for name, command in self.commands.items():
            paragraph = (command.short_help or command.help or "").partition("\n\n")[0]
            rows.append((name, " ".join(paragraph.split())))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def lay_out_examples(examples: list[str], width: int) -> list[str]:
    """Lines of at most ``width`` columns for examples ``command   comment``.

    Comments stand in a column of their own where there is room for all of them, and otherwise
    below their commands. A command that is too long goes on in the next line after a backslash, so
    that it can still be copied.
    """
    pairs = []
    for example in examples:
        command, _, comment = example.partition(_COMMENT_GAP)
        pairs.append((command, comment.strip()))
    column = max((len(command) for command, comment in pairs if comment), default=0)
    column += len(_COMMENT_GAP)
    if all(len(comment) <= width - column for _, comment in pairs if comment):
        in_columns = [f"{c:{column}}{comment}" if comment else c for c, comment in pairs]
        return [line for text in in_columns for line in _continued(text, width)]
    lines = []
    for command, comment in pairs:
        lines += _continued(command, width)
        lines += textwrap.wrap(comment, width, initial_indent="    ", subsequent_indent="    ")
    return lines


def _continued(command: str, width: int) -> list[str]:
    if len(command) <= width:
        return [command]
    backslash, space = " \\", "\0"
    # Only options begin a line: each of them stays beside its value.
    *lines, last = textwrap.wrap(
        re.sub(" (?!-)", space, command),
        width - len(backslash),
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(space, " ") for line in (*(line + backslash for line in lines), last)]


def _name(argument: TyperArgument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name.removesuffix("...")


def _dots(argument: TyperArgument) -> str:
    return "" if argument.nargs == 1 else "..."
