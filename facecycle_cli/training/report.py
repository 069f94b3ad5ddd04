"""What a run says while it goes on; the command shows it, a library user may not care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """Where a stage is.

    Attributes:
        stage: its name.
        step: steps that are done.
        steps: of the whole stage.
        faces_per_second: over all processes.
        losses: averages since the last line of the log.
        logged: whether this is a line of the log.
    """

    stage: str
    step: int
    steps: int
    faces_per_second: float
    losses: Mapping[str, float]
    logged: bool = False

    def __str__(self) -> str:
        terms = " ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
        return f"{self.faces_per_second:.0f} faces/s  {terms}"


class Reporter(Protocol):
    """Is told what happens."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def progress(self, progress: Progress) -> None:
        """A step or more are done."""


class Silence:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Not said."""

    def progress(self, progress: Progress) -> None:
        """Not shown."""
