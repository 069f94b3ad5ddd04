"""Short training runs, as ``facecycle train`` makes them: do their losses fall, and how fast?

The data is a folder of crops of the examples' portraits. A run trains the expression stage, with
flows alone first where landmarks guide them, and then the identity stage from its checkpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from facecycle_cli.errors import FacecycleError
from facecycle_cli.model import FaceCycle, save_checkpoint
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.train import train

from . import gpu_faces
from .gpu_steps import Case, Machine, Speed, preset_networks

_FALL, _HELD_OUT_FALL = 0.95, 0.99
"""Shares of what they begin with: the training loss must end below the first, or the held-out
loss, which is the same faces and noise each time, below the second.
"""

_ENDS = 8
"""The first and the last this share of a phase's lines in the log are compared."""

_KEPT = 0.6
"""Share of the speed of the steps that ``train`` must keep: the rest is for data and log."""

_MEASUREMENTS = 3
"""Of the held-out loss, in each stage: one takes as long as many steps. One more is made at the
end.
"""

_START = 5.0
"""Seconds of a stage that take no steps: crops, landmarks, networks, the first step of its kind."""

_SHARES = {"flows": 0.3, "drawn": 0.4, "identity": 0.3}
"""Shares of a run's time."""


@dataclass(frozen=True)
class Plan:
    """How long a run trains.

    Attributes:
        steps: of each part, in their order: ``flows`` (or not), ``drawn``, ``identity``.
        seconds: after which it ends in any case.
    """

    steps: Mapping[str, int]
    seconds: float

    @classmethod
    def of(cls, speeds: Sequence[Speed], seconds: float) -> Plan:
        """As many steps as there is time for, going by the speeds of the preset's cases."""
        whole = sum(_SHARES[speed.case.what] for speed in speeds)
        stepping = max(seconds / 2, seconds - _START * len({speed.case.stage for speed in speeds}))
        faces = _faces(speeds)
        steps = {}
        for speed in speeds:
            what = speed.case.what
            rate = speed.rates.get(faces[what], speed.rate)
            share = _KEPT * _SHARES[what] / whole
            steps[what] = max(2 * _ENDS, int(stepping * share * rate / faces[what]))
        return cls(steps, seconds)


@dataclass(frozen=True)
class Phase:
    """A part of a run in which the same losses fall.

    Attributes:
        case: the steps of the part.
        steps: that were taken.
        rate: faces a second, the median of the log.
        share: of the speed of the steps without the data path; 0 if it was not measured.
        first: training loss at the beginning.
        last: training loss at the end.
        held_out: held-out loss, as often as it was measured.
    """

    case: Case
    steps: int
    rate: float
    share: float
    first: float
    last: float
    held_out: tuple[float, ...]

    @property
    def falls(self) -> bool:
        """Whether the losses fell."""
        held_out = self.held_out
        if len(held_out) > 1 and held_out[-1] < _HELD_OUT_FALL * held_out[0]:
            return True
        return self.last < _FALL * self.first

    @property
    def keeps_up(self) -> bool:
        """Whether the data path lets the steps be as fast as they are."""
        return not self.share or self.share >= _KEPT


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        preset: of its networks.
        phases: those that it reached.
        problems: what went wrong, in words.
    """

    preset: str
    phases: tuple[Phase, ...]
    problems: tuple[str, ...]


def run(speeds: Sequence[Speed], machine: Machine, folder: Path, plan: Plan) -> Outcome:
    """Train one preset.

    Args:
        speeds: of the preset's cases.
        machine: trains.
        folder: an empty one, for data and run.
        plan: how long.
    """
    name, faces = speeds[0].case.preset, _faces(speeds)
    common = _common(speeds[0].case, machine, folder)
    flow_steps = plan.steps.get("flows", 0)
    layers: list[dict[str, Any]] = [
        {
            "stage": "expression",
            "sample_every": max(1, (flow_steps + plan.steps["drawn"]) // _MEASUREMENTS),
            "expression": {
                "batch_size": faces["drawn"],
                "steps": flow_steps + plan.steps["drawn"],
                "flow_steps": flow_steps,
            },
        },
        {
            "stage": "identity",
            "sample_every": max(1, plan.steps["identity"] // _MEASUREMENTS),
            "init": str(folder / "expression" / "checkpoint.safetensors"),
            "identity": {"batch_size": faces["identity"], "steps": plan.steps["identity"]},
        },
    ]
    begun = time.monotonic()
    problems: list[str] = []
    for layer, part in zip(layers, (1 - _SHARES["identity"], 1.0), strict=True):
        deadline = begun + part * plan.seconds
        problems += _train((common, layer), folder / layer["stage"], machine, deadline)
    rows = [row for layer in layers for row in _rows(folder / layer["stage"] / "log.jsonl")]
    problems += [f"{name}: {row['warning']}" for row in rows if "warning" in row]
    phases = []
    for speed in speeds:
        what = speed.case.what
        own = [row for row in rows if _phase(row, flow_steps) == what]
        if sum("loss" in row for row in own) < 2:
            problems.append(f"{name}: the time ended before the part {what}")
            continue
        phases.append(_summary(own, speed, faces[what]))
    return Outcome(name, tuple(phases), tuple(problems))


def _faces(speeds: Sequence[Speed]) -> dict[str, int]:
    """Faces of a step in each part: flows and pictures share a batch size."""
    cases = {speed.case.what: speed.faces for speed in speeds}
    return {**cases, "flows": cases["drawn"]}


def _common(case: Case, machine: Machine, folder: Path) -> dict[str, Any]:
    """Settings of both stages; writes the data, and weights that the run starts from."""
    gpu_faces.write_crops(gpu_faces.read_portraits(case.size), folder / "crops")
    settings: dict[str, Any] = {
        "data": [str(folder / "crops")],
        "preset": case.preset,
        "image_size": case.size,
        "perceptual": "off",  # as in the steps that are measured
        "trunk": "random",
        "amp": "auto",
        "log_every": 1 if machine.device.type == "cpu" else 5,
        "schedule": "cosine",  # the paper's counts epochs, of which there are hundreds here
        "warmup": 50,
        "ema": 0.9,
    }
    networks = machine.networks(case)
    if networks != preset_networks(case):
        torch.manual_seed(0)
        save_checkpoint(folder / "init.safetensors", FaceCycle(networks), {"steps": 0})
        small = {"init": str(folder / "init.safetensors"), "schedule": "constant", "warmup": 0}
        # Networks this small learn in a hundred steps only what is the same in every step.
        plain = {"augmentation": {"color": 0.0, "gray": 0.0}, "weights": {"contrast": 0.0}}
        identity = {"lr": 3e-3, "clip": 0.0, **plain}
        return {**settings, **small, "expression": {"lr": 1e-3}, "identity": identity}
    return settings


def _train(
    layers: Sequence[Mapping[str, Any]], run_folder: Path, machine: Machine, deadline: float
) -> list[str]:
    """Train one stage until it is done or the time is over; what went wrong, if anything."""
    try:
        config = TrainConfig.from_layers(*layers)
        train(
            config,
            run_folder,
            device=machine.device,
            stop=lambda: time.monotonic() > deadline,
        )
    except (FacecycleError, OSError, RuntimeError) as error:
        return [f"{run_folder.name} stage: {error}"]
    return []


def _rows(log: Path) -> list[dict[str, Any]]:
    """The lines of a log; none if there is no log."""
    if not log.is_file():
        return []
    return [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]


def _phase(row: Mapping[str, Any], flow_steps: int) -> str:
    """Which part of a run a line of its log is from."""
    if row["stage"] == "identity":
        return "identity"
    return "flows" if row["step"] <= flow_steps else "drawn"


def _summary(rows: Sequence[Mapping[str, Any]], speed: Speed, faces: int) -> Phase:
    losses = [row["loss"] for row in rows if "loss" in row]
    few = max(1, len(losses) // _ENDS)
    rate = median(row["faces_per_second"] for row in rows if "loss" in row)
    return Phase(
        case=speed.case,
        steps=rows[-1]["step"] - rows[0]["step"] + 1,
        rate=rate,
        share=rate / speed.rates[faces] if speed.case.aim and faces in speed.rates else 0.0,
        first=mean(losses[:few]),
        last=mean(losses[-few:]),
        held_out=tuple(row["held_out_loss"] for row in rows if "held_out_loss" in row),
    )
