"""The folder of a run: which file is where, and what may be written; and what a run reports."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from facecycle_cli.errors import OutputError, SettingsError, TrainingError
from facecycle_cli.media.images import write_image
from facecycle_cli.media.provenance import Provenance
from facecycle_cli.model import FaceCycle, save_checkpoint
from facecycle_cli.system import LOCK_FILE, atomic_path, locked_folder
from facecycle_cli.text import json_text
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.index import CropIndex
from facecycle_cli.training.layers import read_toml
from facecycle_cli.training.state import Position, read_position, writing
from facecycle_cli.types import RGBImage

_FREE = {
    "workers", "cache", "compile", "log_every", "sample_every", "save_every", "license",
    "on_divergence", "expression.steps", "expression.epochs", "identity.steps", "identity.epochs",
}  # fmt: skip
"""Settings that may change when a run is resumed: how it is run, and for how long."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a stage is.

    Attributes:
        stage: its name.
        step: number of steps that are done.
        steps: number of steps of the whole stage.
        faces_per_second: over all processes.
        losses: averages since the last line of the log, by name.
        logged: whether this is a line of the log.
    """

    stage: str
    step: int
    steps: int
    faces_per_second: float
    losses: Mapping[str, float]
    logged: bool = False

    def __str__(self) -> str:
        terms = " ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
        return f"{self.faces_per_second:.0f} faces/s  {terms}"


class Reporter(Protocol):
    """Is told what happens during a run: the command shows it."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def progress(self, progress: TrainingProgress) -> None:
        """One or more steps are done."""


class SilentReporter:
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Ignored."""

    def progress(self, progress: TrainingProgress) -> None:
        """Ignored."""


class RunFolder:
    """A run's folder.

    ==========================  ==============================================================
    ``checkpoint.safetensors``  the best weights so far (by the held-out faces), to be used
    ``last/``                   all that ``--resume`` needs
    ``config.toml``             the whole configuration
    ``data/``                   the index of the crops
    ``neutral_shape.npz``       neutral landmarks, if they guide the flows
    ``landmarks.npz``           landmarks of all crops, if they guide the flows
    ``log.jsonl``               losses
    ``events.out.tfevents.*``   the same for TensorBoard
    ``samples/NNNNNN.png``      input, warped, neutral, reconstruction, mean face
    ==========================  ==============================================================

    Args:
        path: of the folder.
        reporter: is told what the user should know.
        active: whether this process writes; in a data-parallel run only the first one does.
    """

    def __init__(
        self, path: Path, reporter: Reporter | None = None, *, active: bool = True
    ) -> None:
        self.path = path
        self.reporter = reporter or SilentReporter()
        self.active = active
        self._board: Any = None

    @property
    def checkpoint(self) -> Path:
        """The best weights."""
        return self.path / "checkpoint.safetensors"

    @property
    def config_file(self) -> Path:
        """The configuration; a folder that has it is a run."""
        return self.path / "config.toml"

    @property
    def index(self) -> Path:
        """The index of the crops."""
        return self.path / "data"

    @property
    def neutral_shape(self) -> Path:
        """The :class:`~.guidance.NeutralShape` of the data."""
        return self.path / "neutral_shape.npz"

    @property
    def landmarks(self) -> Path:
        """The :class:`~.landmarks.LandmarkTable` of the data."""
        return self.path / "landmarks.npz"

    def check_unused(self) -> None:
        """Check that a new run may begin here.

        Raises:
            TrainingError: the folder holds a run, or something else.
        """
        if self.config_file.exists():
            raise TrainingError(
                f"{self.path} holds a run already: pass --resume to continue it, or name another "
                "folder"
            )
        if self.path.exists() and (not self.path.is_dir() or self._holds_something()):
            raise TrainingError(f"{self.path} exists and is not empty: a run needs its own folder")

    def _holds_something(self) -> bool:
        """Whether there is more than what a run leaves that was killed before it began."""
        return any(file.name != LOCK_FILE for file in self.path.iterdir())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A context in which no other process may train in this folder.

        Raises:
            TrainingError: another one does, or the folder cannot be made.
        """
        if not self.active:
            yield
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(locked_folder(self.path))
            except OutputError:
                raise TrainingError(f"{self.path}: another process is training there") from None
            except OSError as error:
                raise TrainingError(f"{self.path}: {error.strerror or error}") from error
            yield

    def stored_config(self) -> dict[str, Any]:
        """The configuration that the run was started with, as a layer.

        Raises:
            OSError: there is no run.
            SettingsError: the file is not TOML.
        """
        return read_toml(self.config_file)

    def resumed_config(self, *layers: Mapping[str, Any]) -> TrainConfig:
        """The configuration of the run in this folder, with what ``layers`` change.

        Raises:
            SettingsError: they change a setting that decides the result; or another version of
                facecycle wrote the configuration.
        """
        stored = self.stored_config()
        try:
            before = TrainConfig.from_layers(stored)
        except SettingsError as error:
            raise SettingsError(f"{self.config_file}: {error}") from None
        wanted = TrainConfig.from_layers(stored, *layers)
        now = _flat(wanted.to_dict())
        for key, value in _flat(before.to_dict()).items():
            if value != now[key] and key not in _FREE:
                raise SettingsError(
                    f"{self.path} was started with {key} = {_shown(value)}, not "
                    f"{_shown(now[key])}: leave it out to resume, or begin a new run"
                )
        return wanted

    def begin(self, config: TrainConfig, index: CropIndex) -> None:
        """Write the configuration, and the index if the folder has none."""
        if not self.active:
            return
        with writing(self.config_file):
            self.path.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.config_file) as temporary:
                temporary.write_text(tomli_w.dumps(config.to_dict()), encoding="utf-8")
        if not self.index.exists():
            index.save(self.index)

    def position(self) -> Position | None:
        """Where the run stopped; None if it has saved nothing yet."""
        return read_position(self.path)

    def open_logs(self, position: Position | None, stages: tuple[str, ...]) -> None:
        """Open log and TensorBoard; lines after ``position`` go, because they come again."""
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
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Write a line of ``log.jsonl``, and the same to TensorBoard."""
        if not self.active:
            return
        file = self.path / "log.jsonl"
        row = {"stage": stage, "step": step, **{k: _short(v) for k, v in values.items()}}
        with writing(file), open(file, "a", encoding="ascii") as stream:
            stream.write(json_text(row) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)

    def warn(self, stage: str, step: int, text: str) -> None:
        """Tell the user, and write a line of ``log.jsonl``, that something is wrong."""
        if not self.active:
            return
        self.reporter.note(f"{stage} step {step}: {text}")
        row = {"stage": stage, "step": step, "warning": text}
        file = self.path / "log.jsonl"
        with writing(file), open(file, "a", encoding="ascii") as stream:
            stream.write(json_text(row) + "\n")

    def logged(self, stage: str) -> list[dict[str, Any]]:
        """The lines of ``log.jsonl`` about a stage."""
        file = self.path / "log.jsonl"
        if not file.exists():
            return []
        rows = (json.loads(line) for line in file.read_bytes().splitlines())
        return [row for row in rows if row["stage"] == stage]

    def sample(self, stage: str, step: int, grid: RGBImage, name: str) -> None:
        """Write the sample grid ``samples/NAME``, and the same to TensorBoard."""
        file = self.path / "samples" / name
        with writing(file):
            file.parent.mkdir(exist_ok=True)
            write_image(grid, file, provenance=Provenance("train"))
        if self._board is not None:
            self._board.add_image(f"{stage}/samples", grid, step, dataformats="HWC")

    def write_checkpoint(self, model: FaceCycle, metadata: Mapping[str, Any]) -> None:
        """Replace ``checkpoint.safetensors``."""
        with writing(self.checkpoint):
            save_checkpoint(self.checkpoint, model, metadata)


def open_run(
    path: Path, layers: Sequence[dict[str, Any]], *, resume: bool, preset: str = "small"
) -> TrainConfig:
    """The configuration of a new run, or of the one in ``path`` that is to be resumed.

    Args:
        path: folder of the run.
        layers: what the user set, see :meth:`.TrainConfig.from_layers`.
        resume: whether to continue the run in ``path``; if there is none, a new one begins.
        preset: of a new run, if no layer names one.

    Raises:
        TrainingError: the folder holds something, and ``resume`` is not set.
        SettingsError: a setting is wrong, differs from those of the run, or names no data.
    """
    run = RunFolder(path)
    if resume and run.config_file.exists():
        return run.resumed_config(*layers)
    run.check_unused()
    config = TrainConfig.from_layers(*layers, preset=preset)
    if not config.data:
        nothing = f"nothing to resume in {path}, and " if resume else ""
        raise SettingsError(f"{nothing}no DATA: name a folder of face crops")
    return config


def _is_past(line: bytes, position: Position | None, known: tuple[str, ...]) -> bool:
    try:
        row = json.loads(line)
        stage, step = str(row["stage"]), int(row["step"])
    except (ValueError, KeyError, TypeError):
        return False  # a killed run may leave a part of a line
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
