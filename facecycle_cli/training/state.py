"""``last/state.safetensors``: all that a run needs to continue as if it had never stopped.

It is one file that is replaced by renaming. That is why it holds the complete state of one step at
any moment at which a run may be killed.
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
from facecycle_cli.training.config import StageName

STATE_FILE = Path("last", "state.safetensors")
"""Below the folder of the run."""

_VERSION = 3
"""Of the file's format."""

_KEY = "facecycle"
"""Under which the file's header has our own part of it."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        stage: the stage.
        step: number of its steps that are done.
        best: lowest held-out loss so far; None before the first one.
        scaler: the gradient scaler's state, with fp16.
        sums: sums of the losses since the last line of the log, by name, and under ``steps`` the
            number of steps.
    """

    stage: StageName
    step: int = 0
    best: float | None = None
    scaler: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)


class WeightAverage:
    """Exponential moving average of the parameters that learn: it is what checkpoints hold.

    Args:
        parameters: by name.
        decay: share of the old average at each update; 0 for no average.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.values: dict[str, Tensor] = {}
        if decay:
            self.values = {n: p.detach().clone() for n, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after ``step`` steps.

        The decay is smaller at first: a fixed one would keep the random start for long.
        """
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            new = [p.detach() for p in self.parameters.values()]
            torch._foreach_lerp_(list(self.values.values()), new, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """A context in which the model has the averaged weights instead of the trained ones."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, average in self.values.items():
            parameter = self.parameters[name]
            parameter.data, average.data = average.data, parameter.data


def save_state(
    run: Path,
    position: Position,
    model: nn.Module,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replace the state of ``run``.

    Raises:
        TrainingError: it cannot be written (the disk is full); the old state is kept.
    """
    tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
    tensors |= {f"average.{n}": t for n, t in average.values.items()}
    for name, parameter in average.parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"adam.{key}.{name}"] = value
    plain = {n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}
    header = {_KEY: json.dumps({"version": _VERSION, **asdict(position)})}
    path = run / STATE_FILE
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            save_file(plain, temporary, metadata=header)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())  # the content must be on the disk before the new name is


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context that turns errors of writing ``path`` into a :class:`TrainingError` in one line."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        cause = (isinstance(error, OSError) and error.strerror) or str(error)
        raise TrainingError(
            f"{path}: cannot be written ({cause}); what was saved before is kept"
        ) from error


def read_position(run: Path) -> Position | None:
    """Where the run in the folder ``run`` stopped; None if it has saved nothing yet.

    Raises:
        TrainingError: the file is damaged, or of another version.
    """
    path = run / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
    except (SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{path}: damaged ({error})") from None
    if header.pop("version", None) != _VERSION:
        raise TrainingError(f"{path}: written by another version of facecycle")
    return Position(**header)


def load_weights(run: Path, model: nn.Module) -> None:
    """Fill the model with what :func:`save_state` wrote."""
    with safe_open(run / STATE_FILE, framework="pt") as file:
        _copy(model.state_dict(), file, "model.")


def load_learning(run: Path, average: WeightAverage, optimizer: torch.optim.Optimizer) -> None:
    """Fill the average and the optimizer with what :func:`save_state` wrote."""
    with safe_open(run / STATE_FILE, framework="pt") as file:
        _copy(average.values, file, "average.")
        names = set(file.keys())
        for name, parameter in average.parameters.items():
            moments: dict[str, Tensor] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (full := f"adam.{key}.{name}") not in names:
                    continue
                value = file.get_tensor(full)
                if key != "step":  # Adam is fast only if moments have their parameter's layout
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
