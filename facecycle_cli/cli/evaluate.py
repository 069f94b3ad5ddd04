"""facecycle evaluate: what the representations are worth, by task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.evaluate_groups import evaluate_groups
from facecycle_cli.cli.evaluate_neutral import evaluate_neutral
from facecycle_cli.cli.evaluate_suite import evaluate_suite
from facecycle_cli.cli.evaluate_tables import (
    expression_table,
    pose_table,
    reconstruction_table,
)
from facecycle_cli.cli.evaluate_translate import evaluate_translate
from facecycle_cli.cli.evaluation import Compare, EvaluationRequest, Probed, open_evaluation
from facecycle_cli.cli.options import (
    Aligned,
    Aligner,
    AsJson,
    Baseline,
    Checkpoint,
    Device,
    Overwrite,
    Quiet,
    Report,
    Seed,
    Verbose,
)
from facecycle_cli.cli.run import walk_pictures
from facecycle_cli.cli.tables import say_problems
from facecycle_cli.errors import MediaError
from facecycle_cli.types import ExpressionProtocol, Features

if TYPE_CHECKING:
    from facecycle_cli.portrait.crops import Picture

evaluate_command = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure the representations in the field's own protocols (extra: facecycle[evaluate]).",
)


@evaluate_command.command()
def expression(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folders [split/]class/*.png, RAF-DB's folder, fer2013.csv, an .npz "
            "(train_images, train_labels, ...), or a CSV table path,label[,split][,group].",
        ),
    ],
    features: Annotated[
        Features | None,
        typer.Option(
            help="code: the expression code (256); conv: the last convolution, flattened. "
            "Default: code, and conv with --protocol pcl.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        ExpressionProtocol,
        typer.Option(
            help="validated: the regularization is chosen on the validation split; pcl: conv "
            "features of 100x100 pixels, one linear layer, no validation split (PCL, CVPR 2023)."
        ),
    ] = "validated",
    baseline: Baseline = False,
    compare: Compare = None,
    aligned: Aligned = False,
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
    """Facial expressions: accuracy of a linear classifier on frozen features.

    facecycle evaluate expression fer2013.csv --report out/

    facecycle evaluate expression RAF-DB/ --features conv --baseline

    facecycle evaluate expression RAF-DB/ --protocol pcl

    It is trained on the training split and tested on the test split. The regularization is chosen
    on the validation split, or on a tenth of the training split. A picture without a face is taken
    whole, and counted.
    """
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions
    from facecycle_cli.evaluation.expression_pcl import SIDE, pcl_extractor
    from facecycle_cli.evaluation.reports import report_expression

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    if protocol == "pcl" and features == "code":
        raise typer.BadParameter("--protocol pcl takes conv features: leave --features code out")
    chosen: Features = features or ("conv" if protocol == "pcl" else "code")
    with prefix_errors(data):
        pictures = load_expressions(data, seed)
    evaluation = open_evaluation(
        EvaluationRequest(
            data=data, checkpoint=checkpoint, compare=compare, device=device, aligner=aligner,
            aligned=aligned, report=report, overwrite=overwrite, seed=seed, console=console,
            needs=("sklearn",), whole=True,
        )
    )  # fmt: skip
    extractors = evaluation.extractors(chosen, baseline, mirrored=True)
    settings = evaluation.settings
    if protocol == "pcl":
        extractors |= {name: pcl_extractor(model) for name, model in evaluation.models.items()}
        settings = replace(settings, size=SIDE)
    with evaluation.progress(len(pictures)) as done:
        result = evaluate_expression(
            pictures, extractors, settings, evaluation.backend,
            protocol=protocol, seed=seed, on_done=done,
        )  # fmt: skip
    say_problems(result.problems, console, pictures.notes)
    numbers = {**result.to_json(), "features": chosen}
    report_of = evaluation.publish(expression_table(result, chosen), "expression", numbers)
    written = report_expression(report_of, result) if report_of else []
    evaluation.finish(written, result.problems)


@evaluate_command.command()
def pose(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="An index.jsonl with yaw, pitch, roll (or its folder), AFLW2000-3D or 300W-LP "
            "(pictures with .mat), or BIWI (frame_*_rgb.png with frame_*_pose.txt).",
        ),
    ],
    train: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Fit on this data set and predict DATA. Default: five folds of DATA itself, no "
            "person or video on both sides.",
            show_default=False,
        ),
    ] = None,
    features: Probed = "code",
    baseline: Baseline = False,
    compare: Compare = None,
    aligned: Aligned = False,
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
    """Head pose: mean absolute error in degrees of a linear regression on frozen features.

    facecycle evaluate pose AFLW2000/ --report out/

    facecycle evaluate pose AFLW2000/ --train 300W_LP/
    """
    from facecycle_cli.evaluation.pose import evaluate_pose
    from facecycle_cli.evaluation.pose_data import load_poses
    from facecycle_cli.evaluation.reports import report_pose

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(data):
        pictures = load_poses(data)
    fitted = None
    if train is not None:
        with prefix_errors(train):
            fitted = load_poses(train)
    evaluation = open_evaluation(
        EvaluationRequest(
            data=data, checkpoint=checkpoint, compare=compare, device=device, aligner=aligner,
            aligned=aligned, report=report, overwrite=overwrite, seed=seed, console=console,
            needs=("sklearn",),
        )
    )  # fmt: skip
    extractors = evaluation.extractors(features, baseline, mirrored=False)
    with evaluation.progress(len(pictures) + (len(fitted) if fitted else 0)) as done:
        result = evaluate_pose(
            pictures, extractors, evaluation.settings, evaluation.backend,
            training=fitted, seed=seed, on_done=done,
        )  # fmt: skip
    say_problems(result.problems, console)
    numbers = {**result.to_json(), "features": features}
    report_of = evaluation.publish(pose_table(result, features), "pose", numbers)
    written = report_pose(report_of, result, evaluation.models) if report_of else []
    evaluation.finish(written, result.problems)


@evaluate_command.command()
def reconstruction(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...", help="Pictures of faces: files, folders (walked), globs."
        ),
    ],
    compare: Compare = None,
    aligned: Aligned = False,
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
    """What the two cycles lose: L1, SSIM, symmetry, identity similarity, remaining motion.

    facecycle evaluate reconstruction faces/ --report out/

    facecycle evaluate reconstruction faces/ --compare old.safetensors new.safetensors

    The cycles are measured on what the networks draw. The neutral face and the mean face are those
    that neutralize makes of the photograph; with --aligned the crop is moved as it is, without
    landmarks.
    """
    from facecycle_cli.evaluation.reconstruction import evaluate_reconstruction
    from facecycle_cli.evaluation.reports import report_reconstruction

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    evaluation = open_evaluation(
        EvaluationRequest(
            data=" ".join(data), checkpoint=checkpoint, compare=compare, device=device,
            aligner=aligner, aligned=aligned, report=report, overwrite=overwrite, seed=seed,
            console=console, needs=("skimage",),
        )
    )  # fmt: skip
    missing: list[tuple[str, Exception]] = []
    with evaluation.progress(None) as done:
        result = evaluate_reconstruction(
            evaluation.models, _pictures(data, missing, console), evaluation.settings,
            evaluation.backend, on_done=done,
        )  # fmt: skip
    problems = missing + result.problems
    say_problems(problems, console)
    table = reconstruction_table(result)
    report_of = evaluation.publish(table, "reconstruction", result.to_json())
    written = report_reconstruction(report_of, result, evaluation.models) if report_of else []
    evaluation.finish(written, problems)


def _pictures(
    data: list[str], missing: list[tuple[str, Exception]], console: Console
) -> Iterator[Picture]:
    """The pictures that the inputs stand for; what leads nowhere goes to ``missing``."""
    from facecycle_cli.portrait.crops import Picture

    for item in walk_pictures(data, console):
        if item.problem is not None:
            missing.append((str(item), MediaError(item.problem)))
        elif item.is_stdin:
            missing.append((str(item), MediaError("standard input holds one picture, not a set")))
        else:
            yield Picture.file(item.path)


evaluate_command.command("neutral")(evaluate_neutral)
evaluate_command.command("translate")(evaluate_translate)
evaluate_command.command("groups")(evaluate_groups)
evaluate_command.command("suite")(evaluate_suite)
