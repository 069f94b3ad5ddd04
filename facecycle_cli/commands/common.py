"""The options that commands share, each declared once; what they mean is the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from facecycle_cli.commands.console import CommandError, Console, reason

if TYPE_CHECKING:
    import torch

__all__ = [
    "AsJson",
    "Checkpoint",
    "CommandError",
    "Console",
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
    "about",
    "pick_device",
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


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put ``name`` in front of what goes wrong inside, and let it end the command.

    For what all inputs need, such as the checkpoint.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise CommandError(f"{name}: {reason(error, name)}") from error


def pick_device(name: str) -> torch.device:
    """Device for ``--device``; `CommandError` where this machine does not have it."""
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    device = torch.device(name)
    if device.type == "mps" and not has_mps:
        raise CommandError("--device mps: not available on this machine")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise CommandError(f"--device {name}: this machine has {count} CUDA devices for torch")
    return device
