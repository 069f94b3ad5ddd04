"""facecycle translate: the face of a picture takes on the motion of a video or picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors, reason
from facecycle_cli.cli.faces import show_faces as write_numbered_faces
from facecycle_cli.cli.options import (
    FACE_CHOICES,
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Duration,
    MaxFrames,
    Overwrite,
    PasteBack,
    Quiet,
    Seed,
    ShowFaces,
    Size,
    Start,
    Strength,
    Verbose,
    check_face,
)
from facecycle_cli.errors import CommandError, SettingsError
from facecycle_cli.system import usable_cores
from facecycle_cli.types import MotionMode, MotionPart, MotionSource, MouthSource

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.translate.job import TranslateJob
    from facecycle_cli.translate.run import OpenNetworks

_STREAM = "-"

_STAGES = 3
"""Threads that translate a video: one follows faces, one asks the networks, one draws."""


def _check_one_face(value: str) -> str:
    if value == "all":
        raise typer.BadParameter("SRC gives the motion of one face; choose one")
    return str(check_face(value))


def translate_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Whose motion to take: a video, a GIF, a picture, or a motion that "
            "--save-motion wrote; - for standard input.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TGT",
            help="Whose face takes it on: a picture; - for standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="An .mp4, .mov, .mkv, .webm or .gif (a picture if SRC is one), a folder for the "
            "frames, or - for standard output (Matroska). Default: <src>_<tgt>.mp4 beside SRC.",
            show_default=False,
        ),
    ] = None,
    motion: Annotated[
        MotionMode | None,
        typer.Option(
            help="absolute: pose and expression as they are in SRC. relative: TGT keeps its own, "
            "and the change in SRC from its most neutral frames is added; a head that is turned in "
            "all of SRC stays turned. Default: relative, but absolute if SRC is a picture.",
            show_default=False,
        ),
    ] = None,
    motion_from: Annotated[
        MotionSource,
        typer.Option(
            "--motion-from",
            help="landmarks: the networks' flow moves the face, and the landmarks of SRC correct "
            "it. networks: the flow alone moves it (the paper's translation), with the lips and "
            "eyelids that --mouth says.",
        ),
    ] = "landmarks",
    mouth: Annotated[
        MouthSource,
        typer.Option(
            help="landmarks: the lips part, and the eyelids close, as far as the landmarks of SRC "
            "say. flow: the networks' flow alone moves them, which parts no lips and does not "
            "blink."
        ),
    ] = "landmarks",
    shading: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            min=0.0,
            max=1.0,
            help="How much of the change of light on the face in SRC the face in TGT takes on, "
            "from 0 (none) to 1 (all). Only with --motion-from landmarks. Default: 0.5.",
            show_default=False,
        ),
    ] = None,
    strength: Strength = 1.0,
    only: Annotated[
        MotionPart | None,
        typer.Option(
            help="Take on a part of the motion alone: the head's pose, the facial expression, the "
            "mouth with the jaw, or the eyes with brows and lids. Only with --motion-from "
            "landmarks. Default: everything.",
            show_default=False,
        ),
    ] = None,
    size: Size = 256,
    paste_back: PasteBack = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Show SRC to the left of the output.")
    ] = False,
    smooth: Annotated[
        float,
        typer.Option(
            metavar="F", min=0.0, max=1.0, help="Temporal smoothing, from 0 (off) to 1 (strongest)."
        ),
    ] = 0.7,
    face: Annotated[
        str,
        typer.Option(
            "--face",
            metavar="largest|left|right|N|like:REF",
            help="Whose motion to take, if SRC shows several faces: the largest, the left or the "
            "right one, the N-th largest, or the one most like the face in the picture REF.",
            callback=_check_one_face,
        ),
    ] = "largest",
    target_face: Annotated[
        str,
        typer.Option(
            "--target-face",
            metavar=FACE_CHOICES,
            help="Which face of TGT takes it on, with the same choices. all: every face does, with "
            "--paste-back.",
            callback=check_face,
        ),
    ] = "largest",
    show_faces: ShowFaces = False,
    save_motion: Annotated[
        str | None,
        typer.Option(
            "--save-motion",
            metavar="FILE.npz",
            help="Also keep the motion of SRC; of its pictures only the inside of the mouth. "
            "Such a file can be SRC.",
            show_default=False,
        ),
    ] = None,
    start: Start = 0.0,
    duration: Duration = None,
    max_frames: MaxFrames = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    aligner: Aligner = "mesh",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Let the face in TGT take on the motion of SRC: head pose and expression.

    facecycle translate talk.mp4 portrait.jpg                   writes talk_portrait.mp4, with sound

    facecycle translate talk.mp4 portrait.jpg --paste-back      the whole portrait moves

    facecycle translate smile.jpg portrait.jpg -o smiling.png   one picture's expression

    facecycle translate talk.mp4 portrait.jpg --json            says how much of the motion arrived
    """
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    if show_faces:
        write_numbered_faces(
            [source, target], output, overwrite=overwrite, aligner=aligner, console=console
        )
        return
    _check_streams(source, target, output, console)
    if target_face == "all" and not paste_back:
        raise typer.BadParameter(
            "--target-face all needs --paste-back: without it the output is a crop of one face"
        )
    if shading is not None and motion_from == "networks":
        raise typer.BadParameter("--shading goes with --motion-from landmarks")

    if only is not None and motion_from == "networks":
        raise typer.BadParameter("--only goes with --motion-from landmarks")

    from facecycle_cli.translate.job import TranslateJob
    from facecycle_cli.translate.settings import TranslateSettings

    def open_networks(threads: int | None) -> tuple[FaceCycle, FaceBackend]:
        model = open_model(checkpoint, device)
        model.seed = seed
        if threads is not None:
            import torch

            # Three stages work at the same time: where cores are few, each has one.
            share = max(1, usable_cores() // _STAGES)
            torch.set_num_threads(min(torch.get_num_threads(), share))
        return model, open_backend(aligner, threads)

    settings = TranslateSettings(
        motion_from=motion_from,
        shading=TranslateSettings.shading if shading is None else shading,
        mouth=mouth,
        strength=strength,
        only=only,
        size=size,
        paste_back=paste_back,
        side_by_side=side_by_side,
        smooth=smooth,
        face=face,
        target_face=target_face,
    )
    job = TranslateJob(
        source=source,
        target=target,
        output=output,
        motion=motion,
        settings=settings,
        start=start,
        duration=duration,
        max_frames=max_frames,
        overwrite=overwrite,
        measure=as_json,
        save_motion=save_motion,
        second_process=usable_cores() > 1,
    )
    _run(job, open_networks, console)


def _check_streams(source: str, target: str, output: str | None, console: Console) -> None:
    """Raises ``typer.BadParameter`` for uses of standard input and output that cannot work."""
    if source == target == _STREAM:
        raise typer.BadParameter("SRC and TGT cannot both be standard input")
    if output == _STREAM or (output is None and source == _STREAM):
        if console.json:
            raise typer.BadParameter("standard output takes the result or --json, not both")
        if sys.stdout.isatty():
            raise typer.BadParameter("standard output is a terminal; use -o FILE or redirect it")


def _run(job: TranslateJob, open_networks: OpenNetworks, console: Console) -> None:
    """Translate, and print the name of the output or the report."""
    from facecycle_cli.translate.run import TranslateEvents, run_translate

    class Events(TranslateEvents):
        def note(self, text: str) -> None:
            console.note(text)

        @contextmanager
        def progress(self, frames: int | None) -> Iterator[Callable[[], None]]:
            with console.progress("frames", frames) as line:
                yield line.advance

        def errors_of(self, name: str) -> AbstractContextManager[None]:
            return prefix_errors(name)

    fields = {"input": job.source, "target": job.target}
    try:
        result = run_translate(job, open_networks, Events())
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error
    except CommandError as error:
        console.result(None, {**fields, "status": "failed", "reason": str(error)})
        raise
    except BrokenPipeError:
        raise
    except Exception as error:
        console.failure(job.source, error)
        failed = {"status": "failed", "reason": reason(error, job.source)}
        console.result(None, {**fields, **failed})
        raise typer.Exit(1) from error
    if result.written:
        done = {"status": "done", "output": result.output, **result.report}
        name = None if result.output == _STREAM else console.name(result.output)
        console.result(name, {**fields, **done})
        if "seconds" in result.report:
            console.detail(f"{result.report['frames']} frames in {result.report['seconds']:.2f} s")
    else:
        why = f"{result.output} exists (--overwrite to replace it)"
        console.note(f"{job.source}: skipped, {why}")
        console.result(None, {**fields, "status": "skipped", "reason": why})
