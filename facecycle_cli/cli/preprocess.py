"""facecycle preprocess: trees of videos and photographs to aligned face crops with an index."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from facecycle_cli.cli.console import Console
from facecycle_cli.cli.options import AsJson, Faces, Quiet, Verbose
from facecycle_cli.cli.preprocess_summary import forecast, rounded, run_fields, run_summary
from facecycle_cli.errors import CommandError

if TYPE_CHECKING:
    from facecycle_cli.cli.console import ProgressLine
    from facecycle_cli.preprocess import Events, PreprocessSettings


class LayoutChoice(str, Enum):
    """How the tree is read."""

    auto = "auto"
    voxceleb = "voxceleb"
    videos = "videos"
    images = "images"


class AlignerChoice(str, Enum):
    """What finds the faces."""

    mesh = "mesh"
    face_alignment = "face-alignment"


class FormatChoice(str, Enum):
    """What is written."""

    folder = "folder"
    webdataset = "webdataset"


def _parse_share(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise typer.BadParameter(f"{text!r} is not I/N with I from 1 to N")
    return number, count


def preprocess(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="VoxCeleb trees, folders of videos or photographs, single files, globs.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Optional[str],  # noqa: UP045 (typer evaluates it, on every Python)
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where the crops go. Default: <input name>_faces in the working folder.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        LayoutChoice,
        typer.Option(help="How to read the tree; auto recognizes VoxCeleb and takes the rest."),
    ] = LayoutChoice.auto,
    fps: Annotated[float, typer.Option(min=0.01, help="Frames kept per second of video.")] = 5.0,
    max_frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            min=1, help="Most frames of one video, from its beginning.", show_default="all"
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=1024, help="Side of the crops, in pixels.")
    ] = 128,
    aligner: Annotated[
        AlignerChoice, typer.Option(help="What finds the faces.")
    ] = AlignerChoice.mesh,
    min_face: Annotated[
        int, typer.Option(min=8, help="Height of the smallest face, in pixels.")
    ] = 32,
    faces: Faces = "largest",
    format_: Annotated[
        FormatChoice, typer.Option("--format", help="A tree of pictures, or tar shards.")
    ] = FormatChoice.folder,
    shard_size: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Size of a tar shard, in megabytes.")
    ] = 256,
    share: Annotated[
        str,
        typer.Option(
            "--shard", metavar="I/N", help="Take only the I-th of N shares of the sources."
        ),
    ] = "1/1",
    workers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Processes.", show_default="one for each core"),
    ] = None,
    ray: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="ADDRESS|auto", help="Work on this Ray cluster.", show_default=False),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="Give a source up after so long without a frame."
        ),
    ] = 120.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the sources and estimate time and space.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find and align the faces of videos and photographs, for training.

    Writes DIR/<identity>/<video>/<clip>/000012.jpg and DIR/index.jsonl, with place, pose, sharpness
    and score of every crop. The same command goes on where a run stopped, however it ended; several
    machines may share one DIR with --shard.

    facecycle preprocess vox2/                      writes vox2_faces/

    facecycle preprocess interviews/ --fps 10 --faces all -o crops/

    facecycle preprocess vox2/ --shard $SLURM_ARRAY_TASK_ID/64 --format webdataset
    """
    from facecycle_cli.errors import OutputError, PreprocessError, SettingsError
    from facecycle_cli.preprocess import PreprocessSettings

    names = _expand(inputs)
    folder = _output(output, names)
    settings = PreprocessSettings(
        layout=layout.value,
        fps=fps,
        max_frames=max_frames,
        size=size,
        aligner=aligner.value,
        min_face=min_face,
        faces=faces,
        format=format_.value,
        shard_megabytes=shard_size,
    )
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    job = _Job(names, folder, settings, _parse_share(share), workers, console)
    try:
        failed = job.estimate() if dry_run else job.run(ray, timeout)
    except SettingsError as error:
        console.failure("", error)
        raise typer.Exit(2) from error
    except PreprocessError as error:
        message = str(error)
        if isinstance(error, OutputError) and folder not in message:
            message = f"{folder}: {message}"  # a full disk does not say which file it was
        raise CommandError(message) from error
    except KeyboardInterrupt:
        console.note("interrupted; the same command goes on from here")
        raise
    if failed:
        raise typer.Exit(1)


def _expand(inputs: Sequence[str]) -> list[str]:
    names: list[str] = []
    for pattern in inputs:
        if pattern == "-":
            raise typer.BadParameter("standard input is no folder of sources", param_hint="INPUT")
        matches = [] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
        names += matches or [pattern]
    return names


def _output(output: str | None, names: Sequence[str]) -> str:
    if output is not None:
        if os.path.exists(output) and not os.path.isdir(output):
            raise typer.BadParameter(f"{output} is a file", param_hint="--output")
        return output
    if len(names) != 1:
        raise typer.BadParameter("several inputs need a folder: -o DIR", param_hint="--output")
    path = os.path.abspath(names[0])
    name = os.path.basename(path)
    return f"{name if os.path.isdir(path) else os.path.splitext(name)[0]}_faces"


class _Job:
    """The run and what is said about it."""

    def __init__(
        self,
        names: list[str],
        folder: str,
        settings: PreprocessSettings,
        share: tuple[int, int],
        workers: int | None,
        console: Console,
    ) -> None:
        self._names = names
        self._folder = folder
        self._settings = settings
        self._share = share
        self._workers = workers
        self._console = console

    def run(self, ray: str | None, timeout: float) -> bool:
        """Returns whether anything failed."""
        from facecycle_cli.preprocess import preprocess

        started = time.perf_counter()
        with self._console.progress("sources", 0) as progress:
            tallies = preprocess(
                self._names,
                self._folder,
                self._settings,
                share=self._share,
                workers=self._workers,
                ray=ray,
                timeout=timeout,
                events=_listener(self._console, progress),
            )
        seconds = time.perf_counter() - started
        for tally in tallies:
            self._console.result(None, run_fields(tally, self._folder, seconds))
        if not self._console.json and not self._console.quiet:
            self._console.result(run_summary(tallies, self._folder, seconds), {})
        return any(tally.has_failures for tally in tallies)

    def estimate(self) -> bool:
        """Returns whether an input cannot be used."""
        from facecycle_cli.preprocess import default_workers, estimate

        with self._console.progress("samples", 0) as progress:
            estimates = estimate(
                self._names,
                self._folder,
                self._settings,
                share=self._share,
                workers=self._workers,
                events=_listener(self._console, progress),
            )
        processes = self._workers or default_workers()
        for entry in estimates:
            fields = {
                "input": entry.input,
                "status": "failed" if entry.problem else "done",
                "output": self._folder,
                "dry_run": True,
                "sources": entry.sources,
                "known": entry.known,
                "input_bytes": entry.input_bytes,
                "crops": rounded(entry.crops),
                "hours": None if entry.seconds is None else round(entry.seconds / 3600, 4),
                "output_bytes": rounded(entry.output_bytes),
                "workers": processes,
                "reason": entry.problem,
            }
            self._console.result(forecast(entry, self._folder, processes), fields)
        return any(entry.problem for entry in estimates)


def _listener(console: Console, progress: ProgressLine) -> Events:
    from facecycle_cli.preprocess import Events
    from facecycle_cli.preprocess.sources import Problem
    from facecycle_cli.preprocess.work import Result

    class Listener(Events):
        """One live line, and a line for each failure."""

        def __init__(self) -> None:
            self._begun = time.perf_counter()
            self._frames = self._failures = 0

        def begin(self, sources: int) -> None:
            self._begun = time.perf_counter()
            progress.expect(sources)

        def frames(self, count: int) -> None:
            self._frames += count
            progress.advance(0, self._text())

        def finished(self, result: Result) -> None:
            if result.status != "done":
                self._failures += 1
                reason = result.reason or result.status
                console.failure(_shown(result.source.path), CommandError(reason))
            elif result.reason:
                console.note(f"{_shown(result.source.path)}: {result.reason}")
            console.detail(f"{result.source.id}: {result.crops} crops of {result.frames} frames")
            progress.advance(1, self._text())

        def problem(self, problem: Problem) -> None:
            self._failures += 1
            console.failure(problem.name, CommandError(problem.reason))

        def _text(self) -> str:
            rate = self._frames / max(1e-3, time.perf_counter() - self._begun)
            return f"{rate:.0f} frames/s, {self._failures} failed"

    return Listener()


def _shown(path: str) -> str:
    """As the user would write it."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative
