"""``last/state.safetensors``: all that a run needs to go on as if it had never stopped.

One file, replaced in one rename: whenever a run is killed, it holds one step's state, whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facecycle_cli.errors import TrainingError
from facecycle_cli.system import atomic_path
from facecycle_cli.training.average import WeightAverage

FILE = Path("last", "state.safetensors")
VERSION = 2
_KEY = "facecycle"


@dataclass
class Position:
    """Where a run is.

    Attributes:
        stage: the stage.
        step: its steps that are done.
        best: lowest held-out loss so far, or None.
        scaler: the gradient scaler's state with fp16.
        sums: losses of the steps since the last line of the log, and how many these are.
    """

    stage: str
    step: int = 0
    best: float | None = None
    scaler: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)


def save_state(
    run: Path,
    position: Position,
    model: nn.Module,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the state of ``run``.

    Raises:
        TrainingError: it cannot be written (the disk is full); the old one is kept.
    """
    tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
    tensors |= {f"average.{n}": t for n, t in average.values.items()}
    for name, parameter in average.parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"adam.{key}.{name}"] = value
    plain = {n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}
    header = {_KEY: json.dumps({"version": VERSION, **asdict(position)})}
    path = run / FILE
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            save_file(plain, temporary, metadata=header)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())  # a rename must not overtake its content


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is written into one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TrainingError(
            f"{path}: cannot be written ({reason}); what was saved before is kept"
        ) from error


def read_position(run: Path) -> Position | None:
    """Where the run stopped; None if it never saved anything.

    Raises:
        TrainingError: the file is damaged, or of another version.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
    except (SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{path}: damaged ({error})") from None
    if header.pop("version", None) != VERSION:
        raise TrainingError(f"{path}: written by another version of facecycle")
    return Position(**header)


def load_weights(run: Path, model: nn.Module) -> None:
    """Fill the model with what :func:`save_state` wrote."""
    with safe_open(run / FILE, framework="pt") as file:
        _copy(model.state_dict(), file, "model.")


def load_learning(run: Path, average: WeightAverage, optimizer: torch.optim.Optimizer) -> None:
    """Fill the average and the optimizer with what :func:`save_state` wrote."""
    with safe_open(run / FILE, framework="pt") as file:
        _copy(average.values, file, "average.")
        names = set(file.keys())
        for name, parameter in average.parameters.items():
            moments: dict[str, Tensor] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (full := f"adam.{key}.{name}") not in names:
                    continue
                value = file.get_tensor(full)
                if key != "step":  # in the parameter's memory layout, or Adam's fast path is lost
                    value = torch.empty_like(parameter, requires_grad=False).copy_(value)
                moments[key] = value
            if moments:
                optimizer.state[parameter] = moments


@torch.no_grad()
def _copy(tensors: Mapping[str, Tensor], file: Any, prefix: str) -> None:
    names = set(file.keys())
    for name, tensor in tensors.items():
        if f"{prefix}{name}" not in names:
            raise TrainingError(f"the saved state does not fit: no {prefix}{name}")
        tensor.copy_(file.get_tensor(f"{prefix}{name}"))
