"""facecycle evaluate translate: how well translate performs clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.compute import open_backend, open_judge, open_model
from facecycle_cli.cli.console import Console, prefix_errors, reason
from facecycle_cli.cli.evaluate_tables import reenactment_table
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
from facecycle_cli.cli.tables import blocks, printed, report_folder, say_written
from facecycle_cli.errors import CommandError, FacecycleError, MediaError
from facecycle_cli.types import AlignerName, MotionMode, MotionSource, MouthSource

if TYPE_CHECKING:
    from facecycle_cli.evaluation.reenactment import Reenactment
    from facecycle_cli.evaluation.reenactment_report import ClipPages
    from facecycle_cli.evaluation.reenactment_results import ClipResult
    from facecycle_cli.pages.blocks import Table

_TITLE = "Reenactment: how well translate performs clips"


def evaluate_translate(
    clips: Annotated[
        list[str],
        typer.Argument(metavar="CLIPS...", help="Videos of faces: files, folders (walked), globs."),
    ],
    cross: Annotated[
        str | None,
        typer.Option(
            metavar="TGT",
            help="Let the face in this picture perform the clips; only motion and identity are "
            "measured. Default: the first frame of each clip.",
            show_default=False,
        ),
    ] = None,
    motion: Annotated[
        MotionMode, typer.Option(help="Which motion is transferred, as in translate.")
    ] = "absolute",
    motion_from: Annotated[
        MotionSource, typer.Option(help="What moves the face, as in translate.")
    ] = "landmarks",
    shading: Annotated[
        float, typer.Option(metavar="F", min=0.0, max=1.0, help="As in translate.")
    ] = 0.5,
    mouth: Annotated[
        MouthSource, typer.Option(help="What moves lips and eyelids, as in translate.")
    ] = "landmarks",
    smooth: Annotated[
        float, typer.Option(metavar="F", min=0.0, max=1.0, help="As in translate.")
    ] = 0.7,
    start: Annotated[
        float, typer.Option(metavar="F", min=0.0, help="Begin this many seconds into each clip.")
    ] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(
            metavar="F", min=0.001, help="Use this many seconds of each clip.", show_default=False
        ),
    ] = None,
    max_frames: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Use at most this many frames of each.", show_default=False
        ),
    ] = None,
    aligner: Aligner = "mesh",
    judge: Annotated[
        AlignerName | None,
        typer.Option(
            help="What finds the landmarks that are measured. Default: that of --aligner, which "
            "also leads translate.",
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
    """Reenactment: the first frame of each clip performs the clip, and is compared with it.

    facecycle evaluate translate clips/ --report out/

    facecycle evaluate translate clips/ --cross portrait.jpg --motion relative

    facecycle evaluate translate talk.mp4 --max-frames 60 --motion-from networks --mouth flow

    L1 and SSIM within the face's box, distances of landmarks, similarity of identities, slopes and
    correlations of ten measures of motion, and flicker. Baselines: the first frame repeated, and
    the best similarity transform of it.
    """
    from facecycle_cli.evaluation.reenactment import Reenactment
    from facecycle_cli.evaluation.reenactment_report import ClipPages
    from facecycle_cli.translate.settings import TranslateSettings

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    try:
        folder = _open_report(report, overwrite, console, is_cross=cross is not None)
    except FacecycleError as error:
        raise CommandError(str(error)) from error
    model = open_model(checkpoint, device)
    model.seed = seed
    backend = open_backend(aligner, threads=1)
    how = Reenactment(
        model,
        backend,
        open_judge(judge, backend),
        TranslateSettings(
            motion=motion, motion_from=motion_from, shading=shading, mouth=mouth, smooth=smooth
        ),
        start=start,
        duration=duration,
        max_frames=max_frames,
    )
    if cross is not None:
        how = _with_target(how, cross)
    traces = {
        "data": " ".join(clips),
        "cross": cross,
        "seed": seed,
        "aligner": aligner,
        "judge": judge or aligner,
        "start": start,
        "duration": duration,
        "max_frames": max_frames,
    }
    pages = ClipPages(folder, model) if folder is not None else None
    _Run(how, console, pages, traces).measure(clips)


def _open_report(
    report: Path | None, overwrite: bool, console: Console, *, is_cross: bool
) -> Path | None:
    """The folder of the report, if one is to be written.

    Raises:
        MissingExtraError: a library of the extra is not installed.
    """
    from facecycle_cli.system import require_extra

    if not is_cross:
        require_extra("skimage")
    return report_folder(report, overwrite, console)


def _with_target(how: Reenactment, cross: str) -> Reenactment:
    """With the picture of the other person.

    Raises:
        CommandError: it cannot be read, or shows no face.
    """
    from dataclasses import replace

    from facecycle_cli.evaluation.reenactment_meters import target_face
    from facecycle_cli.media import read_image

    with prefix_errors(cross):
        image = read_image(cross)
        target_face(image, how.judge)
    return replace(how, cross=image)


@dataclass
class _Run:
    """One run of the command.

    Attributes:
        how: how clips are performed and measured.
        console: where to print.
        pages: the report; None if there is none.
        traces: options, for the report.
        rows: the numbers of each clip that is done, for the report.
        failed: how many inputs could not be measured.
    """

    how: Reenactment
    console: Console
    pages: ClipPages | None
    traces: dict[str, Any]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: int = 0

    def measure(self, data: list[str]) -> None:
        """Measure all clips, and print what was found.

        Raises:
            typer.Exit: some input failed.
        """
        from facecycle_cli.evaluation.reenactment import evaluate_reenactment

        with ExitStack() as stack:
            line = stack.enter_context(self.console.progress("clips"))

            def done(clip: ClipResult) -> None:
                self._done(clip)
                line.advance(text=clip.name)

            def problem(name: str, error: Exception) -> None:
                self._problem(name, error)
                line.advance(text=name)

            result = evaluate_reenactment(
                self._clips(data), self.how, on_done=done, on_problem=problem
            )
        if result.clips:
            self._publish(reenactment_table(result, self.how), result.to_json())
        if self.failed:
            raise typer.Exit(1)

    def _clips(self, data: list[str]) -> Iterator[str]:
        """The files that the inputs stand for; what leads nowhere is a problem at once."""
        from facecycle_cli.media.files import LeftOut, expand_inputs

        left_out = LeftOut()
        folder = self.pages.folder if self.pages else None
        for item in expand_inputs(data, {"video"}, skip=folder, left_out=left_out):
            if item.problem is not None:
                self._problem(str(item), MediaError(item.problem))
            elif item.is_stdin:
                self._problem(str(item), MediaError("standard input is no set of clips"))
            else:
                yield item.path
        for note in left_out.lines("video"):
            self.console.note(note)

    def _problem(self, name: str, error: Exception) -> None:
        self.failed += 1
        self.console.failure(name, error)
        failed = {"status": "failed", "reason": reason(error, name)}
        self.console.result(None, {"input": name, **failed})

    def _done(self, clip: ClipResult) -> None:
        """Keep a clip's numbers, write its strip, and say what there is to say."""
        numbers = clip.to_json()
        if self.pages is not None:
            path = self.pages.add(clip)
            if path is not None:
                numbers["strip"] = path.name
        self.rows[clip.name] = numbers
        if clip.warning is not None:
            self.console.note(f"{clip.name}: {clip.warning}")
        self.console.result(None, {"input": clip.name, "status": "done", **numbers})

    def _publish(self, parts: Sequence[str | Table], means: dict[str, Any]) -> None:
        """Print the means, and write the report."""
        from facecycle_cli.evaluation.motion_measures import describe_measures
        from facecycle_cli.evaluation.reports import EvaluationReport
        from facecycle_cli.verify.report import describe_model

        common = {
            "task": "translate",
            **means,
            "counts": {"clips": len(self.rows), "failed": self.failed},
            **self.traces,
            "settings": asdict(self.how.settings),
            "checkpoint": describe_model(self.how.model),
        }
        text = printed(parts, between="\n\n")
        self.console.result(text, {"summary": True, **common})
        if self.pages is not None:
            measures = describe_measures()
            numbers = {**common, "measures": measures, "clips": self.rows}
            report = EvaluationReport(self.pages.folder, _TITLE, numbers, blocks(parts))
            say_written(self.pages.write(report), self.console)
