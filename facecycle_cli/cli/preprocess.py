"""facecycle preprocess: trees of videos and photographs to aligned face crops with an index."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.console import Console
from facecycle_cli.cli.options import Aligner, AsJson, Faces, Quiet, Verbose
from facecycle_cli.cli.preprocess_summary import (
    estimate_fields,
    estimate_text,
    run_fields,
    run_table,
)
from facecycle_cli.errors import CommandError, OutputError
from facecycle_cli.system import usable_cores
from facecycle_cli.types import CropFormat, Layout

if TYPE_CHECKING:
    from facecycle_cli.cli.console import ProgressLine
    from facecycle_cli.media.files import LeftOut
    from facecycle_cli.preprocess import Events, PreprocessSettings


def _check_share(text: str) -> str:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(f"{text!r} is not I/N with I from 1 to N")
    return text


def preprocess_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="VoxCeleb trees, folders of videos or photographs, single files, globs.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where to write the crops. Default: <input name>_faces in the working folder.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        Layout,
        typer.Option(
            help="How to read the tree. auto recognizes VoxCeleb, and takes every other video and "
            "picture as well."
        ),
    ] = "auto",
    fps: Annotated[float, typer.Option(min=0.01, help="Frames to keep per second of video.")] = 5.0,
    max_frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="The most frames of one video, from its beginning.", show_default="all"
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, max=1024, help="Side of the crops, in pixels.")
    ] = 128,
    aligner: Aligner = "mesh",
    min_face: Annotated[
        int, typer.Option(min=8, help="Height of the smallest face, in pixels.")
    ] = 32,
    faces: Faces = "largest",
    format_: Annotated[
        CropFormat,
        typer.Option("--format", help="Write a tree of pictures, or tar shards for webdataset."),
    ] = "folder",
    shard_size: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Size of a tar shard, in megabytes.")
    ] = 256,
    landmarks: Annotated[
        bool,
        typer.Option(
            help="Write the mesh's 468 landmarks beside every crop, which train then need not "
            "measure (--aligner mesh)."
        ),
    ] = True,
    share: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Process only the I-th of N shares of the sources.",
            callback=_check_share,
        ),
    ] = "1/1",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of worker processes.", show_default="one for each core"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|auto",
            help="Let the Ray cluster at this address do the work.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Skip a source if no frame arrives for this many seconds.",
        ),
    ] = 120.0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only count the sources, and estimate the time and space they need."
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find and align the faces of videos and photographs, for training.

    Writes DIR/<identity>/<video>/<clip>/000012.jpg with its landmarks beside it, and
    DIR/index.jsonl with the alignment, head pose, sharpness and detector score of every crop. The
    same command continues a run that was stopped in any way. Several machines may share one DIR
    with --shard.

    facecycle preprocess vox2/                     writes vox2_faces/
    facecycle preprocess interviews/ --fps 10 --faces all -o crops/
    facecycle preprocess vox2/ --shard $SLURM_ARRAY_TASK_ID/64 --format webdataset
    """
    from facecycle_cli.preprocess import PreprocessSettings

    names = _expand(inputs)
    settings = PreprocessSettings(
        layout=layout,
        fps=fps,
        max_frames=max_frames,
        size=size,
        aligner=aligner,
        min_face=min_face,
        faces=faces,
        format=format_,
        shard_megabytes=shard_size,
        landmarks=landmarks,
    )
    number, _, count = share.partition("/")
    job = _Job(names, _output(output, names), settings, (int(number), int(count)), workers)
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    try:
        failed = job.estimate(console) if dry_run else job.run(ray, timeout, console)
    except OutputError as error:
        if job.folder in str(error):
            raise
        raise OutputError(f"{job.folder}: {error}") from error  # a full disk names no file
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


@dataclass(frozen=True)
class _Job:
    """What the command line asks for."""

    inputs: list[str]
    folder: str
    settings: PreprocessSettings
    share: tuple[int, int]
    workers: int | None

    def run(self, ray: str | None, timeout: float, console: Console) -> bool:
        """Make the crops and print the summary. Returns whether anything failed."""
        from facecycle_cli.preprocess import preprocess

        started = time.perf_counter()
        with console.progress("sources", 0) as progress:
            summaries = preprocess(
                self.inputs,
                self.folder,
                self.settings,
                share=self.share,
                workers=self.workers,
                ray=ray,
                timeout=timeout,
                events=_listener(console, progress),
            )
        seconds = time.perf_counter() - started
        for summary in summaries:
            console.result(None, run_fields(summary, self.folder, seconds))
        if not console.json and not console.quiet:
            console.result(run_table(summaries, self.folder, seconds), {})
        return any(summary.has_failures for summary in summaries)

    def estimate(self, console: Console) -> bool:
        """Print what the run would take. Returns whether an input cannot be used."""
        from facecycle_cli.preprocess import estimate

        with console.progress("samples", 0) as progress:
            estimates = estimate(
                self.inputs,
                self.folder,
                self.settings,
                share=self.share,
                workers=self.workers,
                events=_listener(console, progress),
            )
        processes = self.workers or usable_cores()
        for entry in estimates:
            text = estimate_text(entry, self.folder, processes)
            console.result(text, estimate_fields(entry, self.folder, processes))
        return any(entry.problem for entry in estimates)


def _listener(console: Console, progress: ProgressLine) -> Events:
    from facecycle_cli.preprocess import Events
    from facecycle_cli.preprocess.sources import Problem
    from facecycle_cli.preprocess.workers import SourceResult

    class Listener(Events):
        """Shows the progress, and prints a line for each source that failed."""

        def __init__(self) -> None:
            self._begun = time.perf_counter()
            self._frames = self._failures = 0

        def begin(self, sources: int) -> None:
            self._begun = time.perf_counter()
            progress.expect(sources)

        def frames(self, count: int) -> None:
            self._frames += count
            progress.advance(0, self._text())

        def finished(self, result: SourceResult) -> None:
            if result.status != "done":
                self._failures += 1
                reason = result.reason or result.status
                console.failure(_relative(result.source.path), CommandError(reason))
            elif result.reason:
                console.note(f"{_relative(result.source.path)}: {result.reason}")
            console.detail(f"{result.source.id}: {result.crops} crops of {result.frames} frames")
            progress.advance(1, self._text())

        def problem(self, problem: Problem) -> None:
            self._failures += 1
            console.failure(problem.name, CommandError(problem.reason))

        def left_out(self, left_out: LeftOut) -> None:
            for line in left_out.lines("file"):
                console.note(line)

        def _text(self) -> str:
            rate = self._frames / max(1e-3, time.perf_counter() - self._begun)
            return f"{rate:.0f} frames/s, {self._failures} failed"

    return Listener()


def _relative(path: str) -> str:
    """As the user would write it: relative to the working folder, if it is below that."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative
