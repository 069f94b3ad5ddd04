"""facecycle translate: one face performs another one's motion."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Optional

import typer

from facecycle_cli.cli.console import Console
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Overwrite,
    PasteBack,
    Quiet,
    Seed,
    Size,
    Verbose,
)
from facecycle_cli.cli.translating import TranslationJob
from facecycle_cli.types import MouthSource


class MotionChoice(str, Enum):
    """What the target takes of the source's motion."""

    absolute = "absolute"
    relative = "relative"


def _check_face(value: str) -> str:
    if not re.fullmatch(r"largest|left|right|[1-9]\d*", value):
        raise typer.BadParameter(f"{value!r} is none of largest, left, right, 1, 2, ...")
    return value


def translate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Whose motion: a video, a GIF or a picture; - for standard input.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TGT",
            help="Who performs it: a picture; - for standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Optional[str],  # noqa: UP045 (typer evaluates it, on every Python)
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
        Optional[MotionChoice],  # noqa: UP045
        typer.Option(
            help="absolute: pose and expression as they are in SRC. relative: TGT keeps its own, "
            "and what SRC does beyond its most neutral moments is added. Default: relative, but "
            "absolute if SRC is a picture.",
            show_default=False,
        ),
    ] = None,
    mouth: Annotated[
        MouthSource,
        typer.Option(
            help="How wide TGT opens its mouth, and when it blinks: as the landmarks of SRC say, "
            "or as the networks' flow has it, which parts no lips and does not blink.",
        ),
    ] = "landmarks",
    size: Size = 256,
    paste_back: PasteBack = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="SRC to the left of the output.")
    ] = False,
    smooth: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Against trembling: from 0, not at all, to 1."),
    ] = 0.7,
    face: Annotated[
        str,
        typer.Option(
            metavar="largest|left|right|N",
            help="Which face of SRC, if there are several; N counts from the largest.",
            callback=_check_face,
        ),
    ] = "largest",
    start: Annotated[float, typer.Option(min=0.0, help="Begin so many seconds into SRC.")] = 0.0,
    duration: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.001, help="Use so many seconds of SRC.", show_default=False),
    ] = None,
    max_frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Stop after so many frames.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    aligner: Aligner = "mesh",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Let the face in TGT perform the motion of SRC: head pose and expression.

    facecycle translate talk.mp4 portrait.jpg                   writes talk_portrait.mp4, with sound

    facecycle translate talk.mp4 portrait.jpg --paste-back      the whole portrait moves

    facecycle translate smile.jpg portrait.jpg -o smiling.png   one picture's expression

    facecycle translate talk.mp4 portrait.jpg --json            says how much of the motion arrived
    """
    TranslationJob(
        source=source,
        target=target,
        output=output,
        motion=None if motion is None else motion.value,
        mouth=mouth,
        size=size,
        paste_back=paste_back,
        side_by_side=side_by_side,
        smooth=smooth,
        face=face,
        start=start,
        duration=duration,
        max_frames=max_frames,
        overwrite=overwrite,
        checkpoint=checkpoint,
        device=device,
        aligner=aligner,
        seed=seed,
    ).run(Console(quiet=quiet, verbose=verbose, json=as_json))
