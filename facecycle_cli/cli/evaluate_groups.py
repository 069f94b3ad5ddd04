"""facecycle evaluate groups: the same numbers for groups of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.evaluation import EvaluationRequest, open_evaluation
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
from facecycle_cli.cli.tables import counted, number, percent, plus_minus, say_problems
from facecycle_cli.pages.blocks import Table

if TYPE_CHECKING:
    from facecycle_cli.evaluation.groups import GroupResult


def evaluate_groups(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder for each group, a table path,group, or pictures (a folder, .tar shards) "
            "whose names end in the age, as All-Age-Faces has it: 04869A37.",
        ),
    ],
    draw: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Draw N pictures of each group.", show_default=False),
    ] = None,
    aligner: Aligner = "mesh",
    report: Report = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Groups of people: faces that are found, yaw that is left, what the motion cycle loses.

    facecycle evaluate groups allages.tar --draw 300 --report out/

    facecycle evaluate groups pictures.csv

    Groups come from the labels of the data set; none is guessed from a picture. A picture without a
    face is counted, and is no error. The mesh measures the yaw: it also taught the embedded
    weights.
    """
    from facecycle_cli.evaluation.group_data import draw_groups, find_groups
    from facecycle_cli.evaluation.groups import evaluate_groups as evaluate
    from facecycle_cli.evaluation.reports import report_tables

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(data):
        found = find_groups(data)
    if found.ungrouped:
        console.note(f"{counted(found.ungrouped, 'picture')} without a group left out")
    evaluation = open_evaluation(
        EvaluationRequest(
            data=data, checkpoint=checkpoint, compare=None, device=device, aligner=aligner,
            aligned=False, report=report, overwrite=overwrite, seed=seed, console=console,
            needs=("skimage",),
        )
    )  # fmt: skip
    pictures = draw_groups(found.pictures, draw, seed)
    ((name, model),) = evaluation.models.items()
    with evaluation.progress(len(pictures)) as done:
        result = evaluate(pictures, model, evaluation.backend, on_done=done)
    problems = found.problems + result.problems
    say_problems(problems, console)
    numbers = result.to_json()
    common = {"counts": numbers.pop("counts"), "ungrouped": found.ungrouped, "draw": draw}
    report_of = evaluation.publish(_table(result), "groups", {**common, "results": {name: numbers}})
    written = report_tables(report_of) if report_of else []
    evaluation.finish(written, problems)


def _table(result: GroupResult) -> list[str | Table]:
    """A row for each group."""
    rows = [["group", "pictures", "found", "yaw before", "after", "", "cycle L1", "SSIM", ""]]
    for name, summary in result.summaries.items():
        yaw, ssim = (summary.standard_errors[key] for key in ("yaw_after", "cycle_ssim"))
        rows.append(
            [
                name,
                str(summary.pictures),
                percent(summary.found, 1),
                number(summary.yaw_before, 1),
                number(summary.yaw_after, 2),
                f"{plus_minus()} {number(yaw, 2)}",
                number(summary.cycle_l1),
                number(summary.cycle_ssim),
                f"{plus_minus()} {number(ssim)}",
            ]
        )
    head = "mean absolute yaw in degrees, before and after frontalize; L1 and SSIM of the motion"
    return [f"{head}\ncycle; {plus_minus()} is the standard error of the mean", Table(rows)]
