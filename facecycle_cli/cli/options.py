"""The options that commands share, each declared once; what they mean is the same everywhere."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    pass

__all__ = [
    "AsJson",
    "Checkpoint",
    "Device",
    "Faces",
    "FacesChoice",
    "Inputs",
    "Output",
    "Overwrite",
    "Quiet",
    "Seed",
    "Size",
    "Verbose",
]

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class FacesChoice(str, Enum):
    """Which of a picture's faces a command works on."""

    largest = "largest"
    all = "all"


def _check_device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is none of auto, cpu, cuda, cuda:N, mps")
    return value


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="IMG...",
        help="Pictures: files, folders (walked), globs, or - for standard input.",
        show_default=False,
    ),
]
Output = Annotated[
    Optional[str],  # noqa: UP045 (typer evaluates it, on every Python)
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        help="Where results go; a folder if it ends with / or there are several inputs, - is "
        "standard output. Default: beside the input.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        "-c",
        metavar="NAME|PATH",
        envvar="FACECYCLE_CHECKPOINT",
        help="Weights to use.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where to compute; auto picks cuda, mps, cpu in this order.",
        callback=_check_device,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")]
Size = Annotated[int, typer.Option(min=32, max=4096, help="Side of the face crop, in pixels.")]
Faces = Annotated[FacesChoice, typer.Option(help="Which faces of a picture.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace outputs that exist; otherwise they are skipped."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object per input on standard output.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Timings and other details.")]
