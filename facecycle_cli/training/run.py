"""The folder of a run: what is written where, and whether it may be."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.errors import TrainingError
from facecycle_cli.media.images import write_image
from facecycle_cli.model import FaceCycle, save_checkpoint
from facecycle_cli.system import atomic_path
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.layers import read_toml, to_toml
from facecycle_cli.training.report import Reporter, Silence
from facecycle_cli.training.state import Position, read_position, writing

_FREE = {
    "workers", "cache", "compile", "log_every", "sample_every", "save_every", "license",
    "expression.steps", "expression.epochs", "identity.steps", "identity.epochs",
}  # fmt: skip
"""What a resumed run may have otherwise than before."""


class RunFolder:
    """A run's folder.

    ==========================  ==============================================================
    ``checkpoint.safetensors``  the best weights so far (by the held-out faces), to be used
    ``last/``                   all that ``--resume`` needs
    ``config.toml``             the whole configuration
    ``data/``                   the index of the crops
    ``neutral_shape.npz``       what guides the flows, where something does
    ``log.jsonl``               losses
    ``events.out.tfevents.*``   the same for TensorBoard
    ``samples/NNNNNN.png``      input, warped, neutral, reconstruction, mean face
    ==========================  ==============================================================

    Args:
        path: of the folder.
        reporter: is told what is odd.
        active: whether this process writes; the others of a data-parallel run do not.
    """

    def __init__(
        self, path: Path, reporter: Reporter | None = None, *, active: bool = True
    ) -> None:
        self.path = path
        self.reporter = reporter or Silence()
        self.active = active
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """The best weights."""
        return self.path / "checkpoint.safetensors"

    @property
    def config_file(self) -> Path:
        """The configuration; its presence is what makes a folder a run."""
        return self.path / "config.toml"

    @property
    def index(self) -> Path:
        """The index of the crops."""
        return self.path / "data"

    @property
    def neutral_shape(self) -> Path:
        """Where landmarks of a neutral face lie, for guided training."""
        return self.path / "neutral_shape.npz"

    # -- before ------------------------------------------------------------------------------------

    def check_unused(self) -> None:
        """A new run may begin here.

        Raises:
            TrainingError: there is a run, or something else.
        """
        if self.config_file.exists():
            raise TrainingError(
                f"{self.path} holds a run already: --resume continues it, a new one needs another "
                "folder"
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise TrainingError(f"{self.path} exists and is not empty: a run needs its own folder")

    def stored_config(self) -> dict[str, Any]:
        """The configuration that the run was started with, as a layer.

        Raises:
            TrainingError: there is no run.
        """
        try:
            return read_toml(self.config_file)
        except FileNotFoundError:
            raise TrainingError(f"nothing to resume in {self.path}") from None

    def check_same(self, stored: TrainConfig, wanted: TrainConfig) -> None:
        """A resumed run must be the same run.

        Raises:
            TrainingError: a setting that decides the result has changed.
        """
        before, now = _flat(stored.to_dict()), _flat(wanted.to_dict())
        for key, value in before.items():
            if value != now[key] and key not in _FREE:
                raise TrainingError(
                    f"{self.path} was started with {key} = {_shown(value)}, not "
                    f"{_shown(now[key])}: leave it out to resume, or begin a new run"
                )

    def begin(self, config: TrainConfig) -> None:
        """Write the configuration."""
        with writing(self.config_file):
            self.path.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.config_file) as temporary:
                temporary.write_text(to_toml(config.to_dict()), encoding="utf-8")

    def position(self) -> Position | None:
        """Where the run stopped, if it did."""
        return read_position(self.path)

    def open_logs(self, position: Position | None, stages: tuple[str, ...]) -> None:
        """Prepare log and TensorBoard; what was logged after ``position`` will be logged again."""
        if not self.active:
            return
        file = self.path / "log.jsonl"
        if file.exists():
            known = stages[: stages.index(position.stage) + 1] if position else ()
            with open(file, "rb") as old:
                kept = [line for line in old if _is_past(line, position, known)]
            with writing(file), atomic_path(file) as temporary:
                temporary.write_bytes(b"".join(kept))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.reporter.note(
                "no TensorBoard events, the package is missing (pip install 'facecycle[train]'); "
                "log.jsonl has the same numbers"
            )
        else:
            self._board = SummaryWriter(
                os.fspath(self.path), purge_step=position.step + 1 if position else None
            )

    def close(self) -> None:
        """Nothing more will be logged."""
        if self._board is not None:
            self._board.close()

    # -- while it goes on --------------------------------------------------------------------------

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """A line of ``log.jsonl``, and the same for TensorBoard."""
        if not self.active:
            return
        file = self.path / "log.jsonl"
        row = {"stage": stage, "step": step, **{k: _short(v) for k, v in values.items()}}
        with writing(file), open(file, "a", encoding="ascii") as stream:
            stream.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)

    def sample(self, stage: str, step: int, grid: np.ndarray) -> None:
        """Write ``samples/NNNNNN.png``; the identity stage's have its name in front."""
        prefix = "" if stage == "expression" else f"{stage}-"
        file = self.path / "samples" / f"{prefix}{step:06d}.png"
        with writing(file):
            file.parent.mkdir(exist_ok=True)
            write_image(grid, file, provenance=None)
        if self._board is not None:
            self._board.add_image(f"{stage}/samples", grid, step, dataformats="HWC")

    def write_checkpoint(self, model: FaceCycle, metadata: Mapping[str, Any]) -> None:
        """Replace ``checkpoint.safetensors``."""
        with writing(self.checkpoint):
            save_checkpoint(self.checkpoint, model, metadata)


def _is_past(line: bytes, position: Position | None, known: tuple[str, ...]) -> bool:
    try:
        row = json.loads(line)
        stage, step = row["stage"], row["step"]
    except (ValueError, KeyError, TypeError):
        return False  # what a killed run left of a line
    if position is None or stage not in known:
        return False
    return stage != position.stage or step <= position.step


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
