"""Every number of the model card: one folder of data sets, each measured by its own evaluation.

A data set is a file or a folder with one of the names of :data:`SETS`. What is absent is left out.
One that fails costs only itself. Only one is in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facecycle_cli.errors import DataError, FacecycleError
from facecycle_cli.evaluation.published import PUBLISHED
from facecycle_cli.evaluation.suite_pairs import pairs
from facecycle_cli.evaluation.suite_tasks import (
    Row,
    SuiteTools,
    TaskResult,
    clips,
    expressions,
    faces,
    groups,
    neutral,
    poses,
)

__all__ = ["SETS", "FoundSet", "SetResult", "find_sets", "run_suite"]

_Task = Callable[[Path, SuiteTools], TaskResult]

SETS: Mapping[str, tuple[str, _Task]] = {
    "fer2013": ("expression", expressions),
    "rafdb": ("expression", expressions),
    "affectnet": ("expression", expressions),
    "aflw2000": ("pose", poses),
    "biwi": ("pose", poses),
    "poses": ("pose", poses),
    "lfw": ("verification", pairs),
    "cplfw": ("verification", pairs),
    "calfw": ("verification", pairs),
    "agedb": ("verification", pairs),
    "cfpfp": ("verification", pairs),
    "people": ("verification", pairs),
    "faces": ("reconstruction", faces),
    "london": ("neutral", neutral),
    "kdef": ("neutral", neutral),
    "posed": ("neutral", neutral),
    "clips": ("translate", clips),
    "ages": ("groups", groups),
    "groups": ("groups", groups),
}
"""Name of each data set -> what it is measured by: the name of the evaluation, and its function.
Next to ``aflw2000``, ``300w_lp`` is what the regression is fitted on. Pictures of heads that look
anywhere, ``turned``, are measured together with ``london``, ``kdef`` or ``posed``."""

_HELPERS = frozenset({"300w_lp", "turned"})
"""Names that belong to another data set."""

_SUFFIXES = frozenset({"", ".csv", ".tsv", ".npz", ".jsonl", ".tar"})


@dataclass(frozen=True)
class FoundSet:
    """A data set of the folder.

    Attributes:
        name: of :data:`SETS`.
        path: where it lies.
    """

    name: str
    path: Path

    @property
    def task(self) -> str:
        """The name of the evaluation."""
        return SETS[self.name][0]


@dataclass(frozen=True)
class SetResult:
    """What became of a data set.

    Attributes:
        found: the data set.
        rows: of the table: ours, then those that others published.
        numbers: everything that was measured; empty if it failed.
        problems: (name, reason) of each picture or clip that could not be used.
        error: why the data set could not be measured; None if it was.
    """

    found: FoundSet
    rows: list[Row]
    numbers: dict[str, Any]
    problems: list[tuple[str, Exception]]
    error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether the set, or something in it, could not be used."""
        return self.error is not None or bool(self.problems)

    def to_json(self) -> dict[str, Any]:
        """Rows and numbers, without the problems, of which only the count is told."""
        return {
            "data": str(self.found.path),
            "task": self.found.task,
            "rows": [asdict(row) for row in self.rows],
            "problems": len(self.problems),
            "numbers": self.numbers,
        }


def find_sets(folder: str | os.PathLike[str]) -> tuple[list[FoundSet], list[str], list[str]]:
    """The data sets of a folder.

    Returns:
        Those that are there, in the order of :data:`SETS`; the names of those that are not; the
        names of files and folders that stand for nothing.

    Raises:
        DataError: there is none, or two of one name.
        OSError: the folder cannot be read.
    """
    found: dict[str, Path] = {}
    unknown: list[str] = []
    for entry in sorted(Path(folder).iterdir()):
        if entry.name.startswith("."):
            continue
        name, suffix = entry.name.lower(), ""
        if not entry.is_dir():
            name, suffix = entry.stem.lower(), entry.suffix.lower()
        if suffix not in _SUFFIXES or name not in {*SETS, *_HELPERS}:
            unknown.append(entry.name)
        elif name in found:
            raise DataError(f"{found[name].name} and {entry.name} have the same name")
        else:
            found[name] = entry
    sets = [FoundSet(name, found[name]) for name in SETS if name in found]
    if not sets:
        raise DataError(f"no data set here: their names are {', '.join(SETS)}")
    return sets, [name for name in SETS if name not in found], unknown


def run_suite(sets: list[FoundSet], tools: SuiteTools) -> Iterator[SetResult]:
    """Measure data sets, one after the other.

    Args:
        sets: as :func:`find_sets` gives them.
        tools: what measures them.

    Yields:
        A result for each; one that cannot be measured has an ``error``.
    """
    for found in sets:
        measure = SETS[found.name][1]
        try:
            result = measure(found.path, tools)
        except (FacecycleError, OSError, MemoryError) as error:
            yield SetResult(found, [], {}, [], error)
            continue
        others = [
            Row(row.method, dict(row.values), row.protocol, published=True)
            for row in PUBLISHED.get(found.name, ())
        ]
        yield SetResult(found, result.rows + others, result.numbers, result.problems)
