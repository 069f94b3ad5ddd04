"""facecycle evaluate: what the representations are worth, by task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.evaluate_tables import (
    expression_table,
    pose_table,
    reconstruction_table,
)
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
from facecycle_cli.cli.tables import baselines, report_folder, say_problems, say_written
from facecycle_cli.errors import CommandError, FacecycleError, MediaError
from facecycle_cli.types import AlignerName, Features

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.crops import CropSettings, Picture
    from facecycle_cli.verify.features import Extractor

evaluate_command = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure the representations in the field's own protocols (extra: facecycle[evaluate]).",
)

Probed = Annotated[
    Features,
    typer.Option(help="code: the expression code (256); conv: the last convolution, flattened."),
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="A B", help="Two checkpoints, side by side (instead of -c).", show_default=False
    ),
]


class _Named(Protocol):
    """A picture, or what became of it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class EvaluationRequest:
    """The options that all evaluations share.

    Attributes:
        data: what is evaluated, as the user named it.
        checkpoint: ``-c``.
        compare: ``--compare``, instead of ``checkpoint``.
        device: ``--device``.
        aligner: ``--aligner``.
        aligned: ``--aligned``.
        report: ``--report``.
        overwrite: ``--overwrite``.
        seed: ``--seed``.
        console: what prints.
        needs: importable libraries of the extra ``evaluate``.
        whole: a picture without a face is used whole.
    """

    data: str
    checkpoint: str
    compare: tuple[str, str] | None
    device: str
    aligner: AlignerName
    aligned: bool
    report: Path | None
    overwrite: bool
    seed: int
    console: Console
    needs: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation works with, opened and ready.

    Attributes:
        request: its options.
        models: by the names of their checkpoints.
        backend: finds the faces.
        settings: how pictures become crops.
        folder: of the report; None if none is to be written.
    """

    request: EvaluationRequest
    models: dict[str, FaceCycle]
    backend: FaceBackend
    settings: CropSettings
    folder: Path | None

    @contextmanager
    def progress(self, total: int | None) -> Iterator[Callable[[_Named], None]]:
        """A progress line over pictures; gives what to call for each of them."""
        with (
            prefix_errors(self.request.data),
            self.request.console.progress("pictures", total) as line,
        ):
            yield lambda picture: line.advance(text=picture.name)

    def extractors(
        self, features: Features, baseline: bool, *, mirrored: bool
    ) -> dict[str, Extractor]:
        """One for each checkpoint, and the hand-crafted features."""
        from facecycle_cli.evaluation.probes import expression_extractor

        probed = {
            name: expression_extractor(model, features, mirrored=mirrored)
            for name, model in self.models.items()
        }
        return {**probed, **baselines(baseline, texture=False)}

    def publish(self, text: str, task: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Print a table, or an object for each checkpoint; returns what report.json holds."""
        from facecycle_cli.verify.report import describe_model

        request = self.request
        results = result["results"]
        traces = {
            "data": request.data,
            "seed": request.seed,
            "aligner": request.aligner,
            "aligned": request.aligned,
        }
        common = {"task": task, **{k: v for k, v in result.items() if k != "results"}, **traces}
        described = {name: describe_model(model) for name, model in self.models.items()}
        rest = {name: numbers for name, numbers in results.items() if name not in self.models}
        extra = {"baselines": rest} if rest else {}
        if request.console.json:
            for name, checkpoint in described.items():
                which = {"representation": name, "checkpoint": checkpoint}
                request.console.result(None, {**which, **results[name], **common, **extra})
        else:
            request.console.result(text, {})
        return {**common, "checkpoints": described, "results": results}

    def finish(self, written: list[Path], problems: list[tuple[str, Exception]]) -> None:
        """Say where the report is; exit with code 1 if a picture could not be used."""
        say_written(written, self.request.console)
        if problems:
            raise typer.Exit(1)


def _open(request: EvaluationRequest) -> Evaluation:
    from facecycle_cli.portrait.crops import CropSettings
    from facecycle_cli.system import require_extra

    try:
        for module in request.needs:
            require_extra(module)
        folder = report_folder(request.report, request.overwrite, request.console)
    except FacecycleError as error:
        raise CommandError(str(error)) from error
    if request.compare is not None and request.compare[0] == request.compare[1]:
        raise typer.BadParameter("--compare takes two different checkpoints")
    names = request.compare or (request.checkpoint,)
    models = {name: open_model(name, request.device) for name in names}
    for model in models.values():
        model.seed = request.seed
    size = max(model.config.image_size for model in models.values())
    return Evaluation(
        request,
        models,
        open_backend(request.aligner, threads=1),
        CropSettings(size, aligned=request.aligned, whole_if_no_face=request.whole),
        folder,
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
    """Facial expressions: accuracy of a linear classifier on frozen features.

    facecycle evaluate expression fer2013.csv --report out/

    facecycle evaluate expression RAF-DB/ --features conv --baseline

    It is trained on the training split and tested on the test split. The regularization is chosen
    on the validation split, or on a tenth of the training split. A picture without a face is taken
    whole, and counted.
    """
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions
    from facecycle_cli.evaluation.reports import report_expression

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(data):
        pictures = load_expressions(data, seed)
    evaluation = _open(
        EvaluationRequest(
            data=data, checkpoint=checkpoint, compare=compare, device=device, aligner=aligner,
            aligned=aligned, report=report, overwrite=overwrite, seed=seed, console=console,
            needs=("sklearn",), whole=True,
        )
    )  # fmt: skip
    extractors = evaluation.extractors(features, baseline, mirrored=True)
    with evaluation.progress(len(pictures)) as done:
        result = evaluate_expression(
            pictures, extractors, evaluation.settings, evaluation.backend, seed=seed, on_done=done
        )
    say_problems(result.problems, console, pictures.notes)
    numbers = {**result.to_json(), "features": features}
    complete = evaluation.publish(expression_table(result, features), "expression", numbers)
    written = report_expression(evaluation.folder, complete, result) if evaluation.folder else []
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
    evaluation = _open(
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
    complete = evaluation.publish(pose_table(result, features), "pose", numbers)
    written = []
    if evaluation.folder is not None:
        written = report_pose(evaluation.folder, complete, result, evaluation.models)
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
    evaluation = _open(
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
    complete = evaluation.publish(table, "reconstruction", result.to_json())
    written = []
    if evaluation.folder is not None:
        written = report_reconstruction(evaluation.folder, complete, result, evaluation.models)
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
