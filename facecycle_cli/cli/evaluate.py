"""facecycle evaluate: what the representations are worth, by task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from facecycle_cli.cli.console import CommandError, Console, prefix_errors
from facecycle_cli.cli.evaluate_tables import (
    expression_table,
    pose_table,
    reconstruction_table,
)
from facecycle_cli.cli.networks import open_backend, open_model
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
from facecycle_cli.cli.tables import (
    baselines,
    report_folder,
    say_problems,
    say_written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecycle_cli.evaluation.features import Extractor
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.crops import CropResult, CropSettings

evaluate = typer.Typer(
    name="evaluate",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Measure the representations in the field's own protocols (extra: facecycle[evaluate]).",
)


class Features(str, Enum):
    """Which frozen features of the expression encoder a probe reads."""

    code = "code"
    conv = "conv"


Probed = Annotated[
    Features,
    typer.Option(help="code: the expression code (256); conv: the last convolution, flattened."),
]
Compare = Annotated[
    Optional[tuple[str, str]],  # noqa: UP045
    typer.Option(
        metavar="A B", help="Two checkpoints, side by side (instead of -c).", show_default=False
    ),
]


@dataclass(frozen=True)
class Setting:
    """What every evaluation is told, opened and ready."""

    models: dict[str, FaceCycle]
    backend: FaceBackend
    settings: CropSettings
    folder: Path | None
    seed: int
    console: Console
    traces: dict[str, Any]

    @contextmanager
    def progress(self, total: int | None) -> Iterator[Callable[[CropResult], None]]:
        """A progress line over pictures; gives what to call for each of them."""
        with self.console.progress("pictures", total) as line:
            yield lambda face: line.advance(text=face.name)

    def extractors(
        self, features: Features, baseline: bool, *, mirrored: bool
    ) -> dict[str, Extractor]:
        """One for each checkpoint, and the baselines."""
        from facecycle_cli.evaluation.features import expression_extractor

        probed = {
            name: expression_extractor(model, features.value, mirrored=mirrored)
            for name, model in self.models.items()
        }
        return {**probed, **baselines(baseline, texture=False)}

    def publish(self, text: str, task: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Print a table, or an object for each checkpoint; returns what report.json is made of."""
        common = {k: v for k, v in result.items() if k not in ("results", "problems")}
        common = {"task": task, **common, **self.traces}
        others = {n: r for n, r in result["results"].items() if n not in self.models}
        if self.console.json:
            from facecycle_cli.evaluation.report import describe_model

            for name, model in self.models.items():
                numbers = result["results"][name]
                about_model = {"representation": name, "checkpoint": describe_model(model)}
                extra = {"baselines": others} if others else {}
                self.console.result(None, {**about_model, **numbers, **common, **extra})
        else:
            self.console.result(text, {})
        return self._report(common, result["results"])

    def _report(self, common: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
        from facecycle_cli.evaluation.report import describe_model

        models = {name: describe_model(model) for name, model in self.models.items()}
        return {**common, "checkpoints": models, "results": results}


def _set_up(
    data: str,
    checkpoint: str,
    compare: tuple[str, str] | None,
    *,
    device: str,
    aligner: str,
    aligned: bool,
    whole: bool,
    report: Path | None,
    overwrite: bool,
    seed: int,
    console: Console,
    needs: tuple[str, ...] = (),
) -> Setting:
    from facecycle_cli.errors import EvaluationError
    from facecycle_cli.portrait.crops import CropSettings
    from facecycle_cli.system import require_extra

    try:
        for module in needs:
            require_extra(module)
        folder = report_folder(report, overwrite, console)
    except EvaluationError as error:
        raise CommandError(str(error)) from error
    if compare is not None and compare[0] == compare[1]:
        raise typer.BadParameter("--compare takes two different checkpoints")
    names = compare or (checkpoint,)
    models = {name: open_model(name, device) for name in names}
    for model in models.values():
        model.seed = seed
    size = max(model.config.image_size for model in models.values())
    return Setting(
        models,
        open_backend(aligner, threads=1),
        CropSettings(size, aligned=aligned, whole_if_no_face=whole),
        folder,
        seed,
        console,
        {"data": data, "seed": seed, "aligner": aligner, "aligned": aligned},
    )


@evaluate.command()
def expression(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folders [split/]class/*.png, RAF-DB's folder, fer2013.csv, an .npz "
            "(train_images, train_labels, ...), or a CSV table path,label[,split][,group].",
        ),
    ],
    features: Probed = Features.code,
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

    Trained on the training split; the regularization is chosen on the validation split (or a tenth
    of the training split); tested on the test split. Where no face is found the whole picture is
    taken, and counted.
    """
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(data):
        pictures = load_expressions(data, seed)
    setting = _set_up(
        data, checkpoint, compare, device=device, aligner=aligner, aligned=aligned, whole=True,
        report=report, overwrite=overwrite, seed=seed, console=console,
    )  # fmt: skip
    extractors = setting.extractors(features, baseline, mirrored=True)
    with prefix_errors(data), setting.progress(len(pictures)) as done:
        result = evaluate_expression(
            pictures, extractors, setting.settings, setting.backend, seed=seed, on_done=done
        )
    failed = say_problems(result["problems"], console)
    result["features"] = features.value
    complete = setting.publish(expression_table(result), "expression", result)
    if setting.folder is not None:
        from facecycle_cli.evaluation.reports import report_expression

        say_written(report_expression(setting.folder, complete), console)
    if failed:
        raise typer.Exit(1)


@evaluate.command()
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
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="DATA",
            help="Fit on this data set and predict DATA. Default: five folds of DATA itself, no "
            "person or video on both sides.",
            show_default=False,
        ),
    ] = None,
    features: Probed = Features.code,
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

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    with prefix_errors(data):
        pictures = load_poses(data)
    fitted = None
    if train is not None:
        with prefix_errors(train):
            fitted = load_poses(train)
    setting = _set_up(
        data, checkpoint, compare, device=device, aligner=aligner, aligned=aligned, whole=False,
        report=report, overwrite=overwrite, seed=seed, console=console, needs=("sklearn",),
    )  # fmt: skip
    extractors = setting.extractors(features, baseline, mirrored=False)
    total = len(pictures) + (len(fitted) if fitted else 0)
    with prefix_errors(data), setting.progress(total) as done:
        result = evaluate_pose(
            pictures, extractors, setting.settings, setting.backend,
            training=fitted, seed=seed, on_done=done,
        )  # fmt: skip
    failed = say_problems(result["problems"], console)
    truth, predicted = result.pop("truth"), result.pop("predicted")
    result["features"] = features.value
    complete = setting.publish(pose_table(result), "pose", result)
    if setting.folder is not None:
        from facecycle_cli.evaluation.reports import report_pose

        values = {name: predicted[name] for name in setting.models}
        say_written(report_pose(setting.folder, complete, truth, values), console)
    if failed:
        raise typer.Exit(1)


@evaluate.command()
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
    """
    from facecycle_cli.evaluation.reconstruction import evaluate_reconstruction
    from facecycle_cli.portrait.crops import crop_faces

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    name = " ".join(data)
    setting = _set_up(
        name, checkpoint, compare, device=device, aligner=aligner, aligned=aligned, whole=False,
        report=report, overwrite=overwrite, seed=seed, console=console, needs=("skimage",),
    )  # fmt: skip
    missing: list[tuple[str, Exception]] = []
    crops = crop_faces(_pictures(data, missing), setting.settings, setting.backend)
    with prefix_errors(name), setting.progress(None) as done:
        result = evaluate_reconstruction(setting.models, crops, on_done=done)
    result["problems"] = missing + result["problems"]
    failed = say_problems(result["problems"], console)
    values, shown = result.pop("values"), result.pop("shown")
    complete = setting.publish(reconstruction_table(result), "reconstruction", result)
    if setting.folder is not None:
        from facecycle_cli.evaluation.reports import report_reconstruction

        written = report_reconstruction(setting.folder, complete, values, shown, setting.models)
        say_written(written, console)
    if failed:
        raise typer.Exit(1)


def _pictures(data: list[str], missing: list[tuple[str, Exception]]) -> Iterator[Any]:
    """Pictures of the inputs; what leads nowhere goes to ``missing``."""
    from facecycle_cli.errors import MediaError
    from facecycle_cli.media import expand_inputs
    from facecycle_cli.portrait.crops import Picture

    for item in expand_inputs(data, {"image"}):
        if item.problem is not None:
            missing.append((str(item), MediaError(item.problem)))
        elif item.is_stdin:
            missing.append((str(item), MediaError("standard input holds one picture, not a set")))
        else:
            yield Picture.file(item.path)
