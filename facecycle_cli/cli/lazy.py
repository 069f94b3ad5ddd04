"""A group of commands that knows their names and imports only the one that is run.

Building a command from its annotations takes longer than all else that ``--help`` does; a group
that builds them all would make each start pay for every command there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """Commands of ``summaries`` (name: help line), each ``name`` in the module ``home.name``."""

    home: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(self.home, self.summaries, self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of ``summaries``."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The help's list of commands, without building them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


class _Commands(MutableMapping[str, Any]):
    """Names to commands, which are built when asked for."""

    def __init__(self, home: str, names: Mapping[str, str], built: Mapping[str, Any]) -> None:
        self._home = home
        self._built: dict[str, Any] = dict.fromkeys(names) | dict(built)

    def __getitem__(self, name: str) -> Any:
        if self._built[name] is None:
            found = getattr(import_module(f"{self._home}.{name}"), name)
            self._built[name] = _build(name, found)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._built)

    def __len__(self) -> int:
        return len(self._built)


def _build(name: str, found: Any) -> Any:
    """What typer makes of a function, or of an application of its own (a group of commands)."""
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    holder.callback()(lambda: None)  # with it, a single command is still one of a group
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return typer.main.get_group(holder).commands[name]
