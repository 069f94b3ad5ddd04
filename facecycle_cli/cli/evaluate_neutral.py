"""facecycle evaluate neutral: how near neutralize comes to people's own neutral photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.compute import open_judge
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.evaluation import Compare, EvaluationRequest, open_evaluation
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    MotionFrom,
    MouthOption,
    Overwrite,
    Quiet,
    Report,
    Seed,
    Verbose,
)
from facecycle_cli.cli.run import walk_pictures
from facecycle_cli.cli.tables import counted, number, percent, say_problems
from facecycle_cli.errors import MediaError
from facecycle_cli.pages.blocks import Table
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    from facecycle_cli.evaluation.neutral_results import NeutralResult
    from facecycle_cli.media.posed import PosedPicture
    from facecycle_cli.portrait.crops import Picture


def evaluate_neutral(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="Folders or .tar shards whose pictures say who shows what: 001_neutral.jpg, "
            "001_smiling.jpg, PERSON/fear.jpg, or AF01NES as KDEF has it.",
        ),
    ],
    mouth: MouthOption = "landmarks",
    motion_from: MotionFrom = "landmarks",
    compare: Compare = None,
    aligner: Aligner = "mesh",
    judge: Annotated[
        AlignerName | None,
        typer.Option(
            help="What finds the landmarks that are measured. Default: that of --aligner.",
            show_default=False,
        ),
    ] = None,
    turned: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Pictures of turned heads (a file, a folder, a glob): the yaw that frontalize "
            "leaves is measured in them, too.",
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
    """Neutral faces: how near neutralize comes to the same person's neutral photograph.

    facecycle evaluate neutral london/ --report out/

    facecycle evaluate neutral kdef.tar --compare old.safetensors new.safetensors

    The share of a smile's width that is removed, the share of the way for each expression, what
    changes in a neutral face, the identity that is kept, and the yaw that frontalize leaves. The
    mesh judges what it taught the embedded weights: --judge face-alignment is independent.
    """
    from facecycle_cli.evaluation.neutral import Neutralization
    from facecycle_cli.evaluation.neutral import evaluate_neutral as evaluate
    from facecycle_cli.evaluation.reports import report_neutral

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    pictures = _find(data)
    evaluation = open_evaluation(
        EvaluationRequest(
            data=" ".join(data), checkpoint=checkpoint, compare=compare, device=device,
            aligner=aligner, aligned=False, report=report, overwrite=overwrite, seed=seed,
            console=console, needs=(),
        )
    )  # fmt: skip
    backend = evaluation.backend
    how = Neutralization(
        evaluation.models,
        backend,
        open_judge(judge, backend),
        mouth,
        motion_from,
    )
    with prefix_errors(f"--judge {how.judge.name}"):
        how.judge.prepare()
    missing: list[tuple[str, Exception]] = []
    others = list(_turned(turned, missing, console))
    with evaluation.progress(len(pictures) + len(others)) as done:
        result = evaluate(pictures, how, turned=others, on_done=done)
    problems = missing + result.problems
    say_problems(problems, console)
    numbers = {
        **result.to_json(faces=False),
        "mouth": mouth,
        "motion_from": motion_from,
        "turned": turned,
    }
    report_of = evaluation.publish(
        _table(result), "neutral", numbers, more=result.to_json(faces=True)
    )
    written = report_neutral(report_of, result, evaluation.models) if report_of else []
    evaluation.finish(written, problems)


def _find(data: list[str]) -> list[PosedPicture]:
    """All pictures; people of several data sets are not mixed up."""
    from facecycle_cli.media.posed import find_posed

    found = []
    for name in data:
        with prefix_errors(name):
            pictures = find_posed(name)
        found += [replace(p, person=f"{name}:{p.person}") for p in pictures]
    return found


def _turned(
    data: str | None, missing: list[tuple[str, Exception]], console: Console
) -> Iterator[Picture]:
    """The pictures of ``--turned``; what leads nowhere goes to ``missing``."""
    from facecycle_cli.portrait.crops import Picture

    for item in walk_pictures([data], console) if data is not None else ():
        if item.problem is not None or item.is_stdin:
            missing.append((str(item), MediaError(item.problem or "standard input is no set")))
        else:
            yield Picture.file(item.path)


def _table(result: NeutralResult) -> list[str | Table]:
    """A column for each checkpoint."""
    summaries, counts = list(result.summaries.values()), result.expression_counts()
    rows = [["", *result.summaries], ["way to the own neutral photograph"]]
    rows += [
        [f"  {name} ({counts[name]})", *(percent(s.way[name], 1) for s in summaries)]
        for name in summaries[0].way
    ]
    rows.append(["  mean of expressions", *(percent(s.way_mean, 1) for s in summaries)])
    columns: dict[str, list[Any]] = {
        "smile removed (width of the mouth)": [percent(s.smile_removed, 1) for s in summaries],
        "identity similarity": [number(s.identity_similarity, 3) for s in summaries],
        "distance of a face with expression": [number(s.expression_distance) for s in summaries],
        "change of a neutral face": [number(s.neutral_moved) for s in summaries],
        "yaw left by frontalize, slope": [number(s.yaw_slope, 3) for s in summaries],
        "mean absolute yaw, before": [number(s.yaw_before, 1) for s in summaries],
        "mean absolute yaw, after frontalize": [number(s.yaw_after, 1) for s in summaries],
    }
    rows += [[name, *cells] for name, cells in columns.items()]
    head = (
        f"{counted(result.counts['pictures'], 'picture')} of {result.counts['people']} people; "
        f"distances are in distances between the eyes; landmarks by {result.judge}"
    )
    if result.judge == "mesh":
        head += " (the mesh that also taught the embedded weights)"
    return [head, Table(rows)]
