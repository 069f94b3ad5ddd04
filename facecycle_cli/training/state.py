"""``last/state.safetensors``: all that a run needs to continue as if it had never stopped.

It is one file that is replaced by renaming. That is why it holds the complete state of one step at
any moment at which a run may be killed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facecycle_cli.errors import CheckpointError, NonFiniteLoss, TrainingError
from facecycle_cli.model.tensors import checked_tensor, is_finite
from facecycle_cli.system import atomic_path
from facecycle_cli.training.config import StageName

STATE_FILE = Path("last", "state.safetensors")
"""Below the folder of the run."""

_VERSION = 3
"""Of the file's format."""

_UNMEASURED = sys.float_info.max
"""Stands for an infinite best loss in the file, where JSON has no infinity."""

_KEY = "facecycle"
"""Under which the file's header has our own part of it."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        stage: the stage.
        step: number of its steps that are done.
        best: lowest held-out loss so far; infinite if nothing is held out; None before the first
            checkpoint.
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
        NonFiniteLoss: a number of it is not finite.
        TrainingError: it cannot be written (the disk is full); the old state is kept.
    """
    tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
    tensors |= {f"average.{n}": t for n, t in average.values.items()}
    for name, parameter in average.parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"adam.{key}.{name}"] = value
    plain = {n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}
    for name, tensor in plain.items():
        if not is_finite(tensor):
            raise NonFiniteLoss(
                f"stopped: {name} holds values that are not finite at step {position.step} of the "
                f"{position.stage} stage; what was saved before is kept (try a lower lr, or clip)"
            )
    values = {"version": _VERSION, **asdict(position)}
    if position.best == math.inf:
        values["best"] = _UNMEASURED
    header = {_KEY: json.dumps(values, allow_nan=False)}
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
        if header.pop("version", None) != _VERSION:
            raise TrainingError(f"{path}: written by another version of facecycle")
        return _position(header)
    except TrainingError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path}: damaged ({error})") from None
    except RecursionError:
        raise TrainingError(f"{path}: damaged (nested too deeply)") from None


def _position(header: Mapping[str, Any]) -> Position:
    """The position that a file's header states.

    Raises:
        ValueError, TypeError, KeyError: something in it is no position.
    """
    position = Position(**header)
    step, best = position.step, position.best
    if position.stage not in get_args(StageName):
        raise ValueError(f"stage is {position.stage!r}")
    if type(step) is not int or step < 0:
        raise ValueError(f"step is {step!r}")
    if best is not None:
        # Older versions wrote Infinity, which is no JSON.
        position.best = math.inf if best >= _UNMEASURED else float(best)
        if math.isnan(position.best):
            raise ValueError("best is not a number")
    for name, value in (*position.scaler.items(), *position.sums.items()):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    return position


def load_weights(run: Path, model: nn.Module) -> None:
    """Fill the model with what :func:`save_state` wrote.

    Raises:
        TrainingError: the file is damaged, or does not fit.
    """
    with _opened(run) as file:
        _copy(model.state_dict(), file, "model.")


def load_learning(run: Path, average: WeightAverage, optimizer: torch.optim.Optimizer) -> None:
    """Fill the average and the optimizer with what :func:`save_state` wrote.

    Raises:
        TrainingError: the file is damaged, or does not fit.
    """
    with _opened(run) as file:
        _copy(average.values, file, "average.")
        names = set(file.keys())
        for name, parameter in average.parameters.items():
            moments: dict[str, Tensor] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if (full := f"adam.{key}.{name}") not in names:
                    continue
                shape = () if key == "step" else parameter.shape
                value = checked_tensor(full, file.get_tensor(full), shape)
                if key != "step":  # Adam is fast only if moments have their parameter's layout
                    value = torch.empty_like(parameter, requires_grad=False).copy_(value)
                moments[key] = value
            if moments:
                optimizer.state[parameter] = moments


@contextmanager
def _opened(run: Path) -> Iterator[Any]:
    """The file that :func:`save_state` wrote; what is wrong with it becomes one line."""
    path = run / STATE_FILE
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, CheckpointError) as error:
        raise TrainingError(f"{path}: damaged ({error})") from None


@torch.no_grad()
def _copy(tensors: Mapping[str, Tensor], file: Any, prefix: str) -> None:
    names = set(file.keys())
    for name, tensor in tensors.items():
        full = f"{prefix}{name}"
        if full not in names:
            raise TrainingError(f"the saved state does not fit: no {full}")
        tensor.copy_(checked_tensor(full, file.get_tensor(full), tensor.shape))
