"""Opens what a command computes with: the device, the checkpoint, the face backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from facecycle_cli.cli.console import CommandError, prefix_errors

if TYPE_CHECKING:
    import torch

    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle


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


def open_model(checkpoint: str, device: str) -> FaceCycle:
    """The checkpoint on the device; `CommandError` in one line if either cannot be had."""
    from facecycle_cli.model import load

    target = pick_device(device)
    with prefix_errors(f"--checkpoint {checkpoint}"):
        return load(checkpoint, target)


def open_backend(aligner: str, threads: int | None = None) -> FaceBackend:
    """The face backend, one call using ``threads``; `typer.BadParameter` for an unknown name."""
    from facecycle_cli.faces import BACKENDS, load_backend

    if aligner not in BACKENDS:
        raise typer.BadParameter(f"--aligner {aligner}: there are {', '.join(BACKENDS)}")
    with prefix_errors(f"--aligner {aligner}"):
        return load_backend(aligner, threads=threads)
