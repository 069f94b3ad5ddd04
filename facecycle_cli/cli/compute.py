"""What a command computes with: the device, the trained networks and the face backend.

Each is opened by what its option says, and ends the command in one line if it cannot be had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecycle_cli.cli.console import prefix_errors
from facecycle_cli.errors import CommandError

if TYPE_CHECKING:
    import torch

    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.types import AlignerName


def pick_device(name: str) -> torch.device:
    """The device that ``--device`` names.

    Args:
        name: ``auto`` (the first of cuda, mps and cpu that there is), or a name that torch knows.

    Raises:
        CommandError: This machine has no such device.
    """
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
    """The networks of ``--checkpoint`` on ``--device``.

    Raises:
        CommandError: There is no such checkpoint or device.
    """
    from facecycle_cli.model import load

    target = pick_device(device)
    with prefix_errors(f"--checkpoint {checkpoint}"):
        return load(checkpoint, target)


def open_backend(
    aligner: AlignerName, threads: int | None = None, *, option: str = "--aligner"
) -> FaceBackend:
    """The face backend of ``--aligner``.

    Args:
        aligner: Its name.
        threads: How many threads one call uses; None: as many as there are cores.
        option: The option that names it.

    Raises:
        CommandError: It needs an extra that is not installed.
    """
    from facecycle_cli.faces import load_backend

    with prefix_errors(f"{option} {aligner}"):
        return load_backend(aligner, threads=threads)


def open_judge(judge: AlignerName | None, backend: FaceBackend) -> FaceBackend:
    """What finds the landmarks that are measured: ``--judge``, or the aligner's own ``backend``.

    Raises:
        CommandError: its extra is missing.
    """
    if judge is None or judge == backend.name:
        return backend
    return open_backend(judge, threads=1, option="--judge")
