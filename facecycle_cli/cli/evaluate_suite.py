"""facecycle evaluate suite: every number of the model card, from one folder of data sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.compute import open_backend, open_judge, open_model
from facecycle_cli.cli.console import Console, prefix_errors, reason
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Overwrite,
    Quiet,
    Report,
    Seed,
    Verbose,
)
from facecycle_cli.cli.tables import (
    counted,
    number,
    percent,
    report_folder,
    say_problems,
    say_written,
    table,
)
from facecycle_cli.errors import CommandError, FacecycleError
from facecycle_cli.pages.blocks import Block, Table
from facecycle_cli.text import one_line
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    from facecycle_cli.evaluation.suite import FoundSet, SetResult
    from facecycle_cli.evaluation.suite_tasks import SuiteTools

_PERCENT = frozenset(
    {"accuracy", "macro recall", "standard error", "TAR at FAR 0.01", "share", "found"}
)
_DIGITS = {"yaw": 2, "pitch": 2, "roll": 2, "mean": 2, "AKD": 2, "yaw before": 2, "yaw after": 2}
"""How numbers are printed: in percent, or with so many digits (else four)."""


def evaluate_suite(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Data sets by their names: fer2013(.csv, .npz), rafdb, affectnet, aflw2000, biwi, "
            "poses, lfw, cplfw, calfw, agedb, cfpfp, people, faces, london, kdef, posed, clips, "
            "ages, groups. What is absent is left out.",
        ),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure a small sample of each data set.")
    ] = False,
    aligner: Aligner = "mesh",
    judge: Annotated[
        AlignerName | None,
        typer.Option(
            help="What finds the landmarks that are measured in neutral faces and clips. Default: "
            "that of --aligner.",
            show_default=False,
        ),
    ] = None,
    report: Report = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Every number of the model card: all evaluations, on a folder of data sets.

    facecycle evaluate suite data/ --report out/

    facecycle evaluate suite data/ --quick -c mine.safetensors

    Each data set gives a table: ours, then the results that others published on it, each with its
    protocol. One that cannot be measured costs only itself.
    """
    from facecycle_cli.evaluation.suite import find_sets
    from facecycle_cli.evaluation.suite_samples import FULL, QUICK
    from facecycle_cli.evaluation.suite_tasks import SuiteTools
    from facecycle_cli.system import require_extra

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(str(folder)):
        sets, absent, unknown = find_sets(folder)
    try:
        for module in ("sklearn", "skimage"):
            require_extra(module)
        target = report_folder(report, overwrite, console)
    except FacecycleError as error:
        raise CommandError(str(error)) from error
    if absent:
        console.note(f"not in {folder}, left out: {', '.join(absent)}")
    if unknown:
        console.note(f"names of no data set, left out: {', '.join(unknown)}")
    model = open_model(checkpoint, device)
    model.seed = seed
    backend = open_backend(aligner, threads=1)
    tools = SuiteTools(
        model,
        backend,
        open_judge(judge, backend),
        QUICK if quick else FULL,
        seed,
    )
    with prefix_errors(f"--judge {tools.judge.name}"):
        tools.judge.prepare()
    traces = {
        "data": str(folder),
        "quick": quick,
        "seed": seed,
        "aligner": aligner,
        "judge": judge or aligner,
    }
    _measure(sets, tools, console, target, traces)


def _measure(
    sets: list[FoundSet],
    tools: SuiteTools,
    console: Console,
    folder: Path | None,
    traces: Mapping[str, Any],
) -> None:
    """Measure the data sets; print each when it is done, and write the report.

    Raises:
        typer.Exit: something could not be used.
    """
    from dataclasses import replace

    from facecycle_cli.evaluation.reports import EvaluationReport, report_tables
    from facecycle_cli.evaluation.suite import run_suite
    from facecycle_cli.verify.report import describe_model

    failed: dict[str, str] = {}
    done: dict[str, dict[str, Any]] = {}
    pages: list[Block] = []
    is_complete = True
    with console.progress("pictures and clips") as line:
        tools = replace(tools, on_done=lambda picture: line.advance(text=picture.name))
        for result in run_suite(sets, tools):
            is_complete &= not result.failed
            say_problems(result.problems, console)
            name, path = result.found.name, str(result.found.path)
            if result.error is not None:
                failed[name] = reason(result.error, path)
                console.failure(path, result.error)
                console.result(None, {"input": path, "status": "failed", "reason": failed[name]})
                continue
            done[name] = result.to_json()
            pages += _section(result)
            console.result(_table(result), {"input": path, "status": "done", **done[name]})
    common = {"task": "suite", **traces, "checkpoint": describe_model(tools.model)}
    counts = {"measured": len(done), "failed": len(failed)}
    console.result(None, {"summary": True, **common, "counts": counts})
    if folder is not None:
        report = {**common, "counts": counts, "failed": failed, "sets": done}
        title = "Every number of the model card"
        say_written(report_tables(EvaluationReport(folder, title, report, pages)), console)
    if failed:
        console.note(f"{counted(len(failed), 'data set')} of {len(sets)} could not be measured")
    if not is_complete:
        raise typer.Exit(1)


def _table(result: SetResult) -> str:
    """Ours, then the published rows; at the end of a line is how it was measured."""
    cells, protocols = _cells(result)
    lines = table(cells).splitlines()
    width = max(map(len, lines))
    pairs = zip(lines, protocols, strict=True)
    return "\n".join(f"{line:{width}}  {protocol}".rstrip() for line, protocol in pairs) + "\n"


def _cells(result: SetResult) -> tuple[list[list[str]], list[str]]:
    """The rows of the table with their heading, and how each was measured."""
    names = list(dict.fromkeys(name for row in result.rows for name in row.values))
    cells = [[f"{result.found.name}: {result.found.task}", *names]]
    protocols = [""]
    for row in result.rows:
        shown = [_cell(name, row.values[name]) if name in row.values else "" for name in names]
        cells.append([row.method, *shown])
        protocols.append(one_line(("published: " if row.published else "") + row.protocol))
    return cells, protocols


def _section(result: SetResult) -> list[Block]:
    """The same for the page of the report."""
    cells, (_, *protocols) = _cells(result)
    rows = [
        [*row, protocol]
        for row, protocol in zip(cells, ["how it was measured", *protocols], strict=True)
    ]
    return [Table(rows)]


def _cell(name: str, value: float | None) -> str:
    return percent(value) if name in _PERCENT else number(value, _DIGITS.get(name, 4))
