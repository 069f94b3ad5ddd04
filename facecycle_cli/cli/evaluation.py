"""What the evaluations share: their options, and what those open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.tables import baselines, blocks, printed, report_folder, say_written
from facecycle_cli.errors import CommandError, FacecycleError
from facecycle_cli.types import AlignerName, Features

if TYPE_CHECKING:
    from facecycle_cli.evaluation.reports import EvaluationReport
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.pages.blocks import Table
    from facecycle_cli.portrait.crops import CropSettings
    from facecycle_cli.verify.features import Extractor

_TITLES = {
    "expression": "Facial expressions from frozen features",
    "groups": "The same numbers for groups of people",
    "neutral": "Neutral faces beside neutral photographs",
    "pose": "Head pose from frozen features",
    "reconstruction": "What the two cycles lose",
}
"""Of the page of each evaluation's report."""

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

    def publish(
        self,
        parts: Sequence[str | Table],
        task: str,
        result: Mapping[str, Any],
        *,
        more: Mapping[str, Any] | None = None,
    ) -> EvaluationReport | None:
        """Print sentences and tables, or an object for each checkpoint.

        Args:
            parts: what is printed, and what the report's page shows.
            task: name of the evaluation.
            result: the numbers.
            more: what only report.json holds.

        Returns:
            The report that is to be written; None if none is.
        """
        from facecycle_cli.evaluation.reports import EvaluationReport
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
            request.console.result(printed(parts), {})
        if self.folder is None:
            return None
        complete = {**common, "checkpoints": described, "results": results, **(more or {})}
        return EvaluationReport(self.folder, _TITLES[task], complete, blocks(parts))

    def finish(self, written: list[Path], problems: list[tuple[str, Exception]]) -> None:
        """Say where the report is; exit with code 1 if a picture could not be used."""
        say_written(written, self.request.console)
        if problems:
            raise typer.Exit(1)


def open_evaluation(request: EvaluationRequest) -> Evaluation:
    """Open what an evaluation needs.

    Raises:
        CommandError: an extra, a checkpoint or a device is missing.
        typer.BadParameter: ``--compare`` names one checkpoint twice.
    """
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
