"""The options that several commands have, each declared once: its meaning is the same everywhere.

An option that only one command has is declared in the module of that command.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from facecycle_cli.types import AlignerName, KeptFaces, MotionSource, MouthSource

__all__ = [
    "CHECKPOINT_VARIABLE",
    "FACE_CHOICES",
    "Aligned",
    "Aligner",
    "AsJson",
    "Baseline",
    "Checkpoint",
    "Device",
    "Duration",
    "Face",
    "Faces",
    "GalleryFolder",
    "Grid",
    "Inputs",
    "MaxFrames",
    "MotionFrom",
    "MouthOption",
    "Output",
    "Overwrite",
    "PasteBack",
    "Quiet",
    "Report",
    "Seed",
    "ShowFaces",
    "Size",
    "Start",
    "Strength",
    "Verbose",
    "check_face",
]

CHECKPOINT_VARIABLE = "FACECYCLE_CHECKPOINT"
"""The environment variable that names the checkpoint where ``--checkpoint`` does not."""

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


FACE_CHOICES = "largest|all|left|right|N|like:REF"
"""What chooses faces, for the help."""


def _check_device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is none of auto, cpu, cuda, cuda:N, mps")
    return value


def check_face(value: str | None) -> str | None:
    """The value of an option that chooses faces.

    Raises:
        typer.BadParameter: There is no such choice.
    """
    if value is None or value == "largest":
        return value
    from facecycle_cli.errors import SettingsError
    from facecycle_cli.faces.choice import check_face_choice

    try:
        check_face_choice(value)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return value


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="IMG",
        help="Pictures and videos: files, folders with all that is below them, globs, or - for "
        "standard input.",
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        help="Where to write. It is a folder if it ends with / or if there are several inputs; - "
        "is standard output. Default: beside the input.",
        show_default=False,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace outputs that exist. Without it they are skipped."),
]

Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="NAME|PATH",
        envvar=CHECKPOINT_VARIABLE,
        help="The trained networks to use: small, small-128 (slower, sees more) or a file.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where to compute. auto takes the first of cuda, mps and cpu that is available.",
        callback=_check_device,
    ),
]
Aligner = Annotated[AlignerName, typer.Option(help="What finds the faces and their landmarks.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Random seed: same seed, same output.")]

Face = Annotated[
    str,
    typer.Option(
        "--face",
        "--faces",
        metavar=FACE_CHOICES,
        help="Which face of a picture or video: the largest, all, the left or the right one, the "
        "N-th largest (--show-faces numbers them), or the one most like the face in the picture "
        "REF.",
        callback=check_face,
    ),
]
ShowFaces = Annotated[
    bool,
    typer.Option(
        "--show-faces",
        help="Only show which faces there are: write each picture with boxes and the numbers for "
        "--face, as <stem>_faces.png.",
    ),
]
Faces = Annotated[KeptFaces, typer.Option(help="Which faces of a picture to use.")]
Size = Annotated[
    int, typer.Option(metavar="N", min=32, max=4096, help="Side of the face crop, in pixels.")
]
MouthOption = Annotated[
    MouthSource,
    typer.Option(
        help="Close the lips where the landmarks find them, or leave the mouth to the networks' "
        "flow, which hides no teeth."
    ),
]
MotionFrom = Annotated[
    MotionSource,
    typer.Option(
        "--motion-from",
        help="landmarks: the networks' flow moves the face, and its landmarks correct it. "
        "networks: the flow alone moves it (the paper's motion).",
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        metavar="F",
        min=0.0,
        max=1.5,
        help="How much of the motion: 0 leaves the face as it is, 1 is all of it, and up to 1.5 "
        "goes beyond.",
    ),
]
Start = Annotated[
    float, typer.Option(metavar="F", min=0.0, help="Begin this many seconds into a video.")
]
Duration = Annotated[
    float | None,
    typer.Option(
        metavar="F", min=0.001, help="Use this many seconds of a video.", show_default=False
    ),
]
MaxFrames = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Use this many frames of a video at most.", show_default=False
    ),
]
PasteBack = Annotated[
    bool, typer.Option("--paste-back", help="Put the face back into the original picture.")
]
Grid = Annotated[
    bool,
    typer.Option(
        "--grid",
        help="Write one picture with input, flow, result, mean face and reconstruction.",
    ),
]

Aligned = Annotated[
    bool,
    typer.Option(
        "--aligned",
        help="The pictures are face crops already, as preprocess writes them: use them whole.",
    ),
]
Baseline = Annotated[
    bool,
    typer.Option(
        "--baseline",
        help="Also measure hand-crafted features: raw pixels and HOG (in verify also LBP).",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Write report.json, which holds every number and how it was measured, plots, and "
        "index.html, a page that shows them, there.",
        show_default=False,
    ),
]
GalleryFolder = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="DIR",
        help="Write a gallery there: index.html, which shows every picture before and after.",
        show_default=False,
    ),
]

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for each input on standard output.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show errors only: no progress and no notes.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show timings and other details.")]
