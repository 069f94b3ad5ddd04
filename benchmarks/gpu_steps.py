"""How fast the steps of each preset and stage are: faces and floating point operations a second.

A step is what ``train`` does with a batch that is there: augmentation, networks, losses, backward
pass, optimizer and average. The data path is left out; ``gpu_runs.py`` measures it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from facecycle_cli.model import FaceCycle, ModelConfig, preset
from facecycle_cli.training.config import StageName, TrainConfig
from facecycle_cli.training.data.batches import Batch
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.loop import Learner, half_type
from facecycle_cli.training.stages import STAGES
from facecycle_cli.types import PresetName

from . import gpu_faces

_WARM = 3
"""Steps before the clock: cuDNN tries its algorithms in the first of a size."""

_COUNTED = 4
"""Faces of the step whose operations are counted."""

_FOREVER = 1 << 40
"""Steps of a warm-up that does not end."""


@dataclass(frozen=True)
class Case:
    """Steps of one kind.

    Attributes:
        preset: of the networks.
        size: side of the faces in pixels.
        stage: that takes the steps.
        what: of the stage: ``flows``, ``drawn`` or ``identity``.
        faces: numbers of faces of a step, to choose the fastest from.
        aim: faces a second on an H100 or H200; 0 if there is none.
        compiled: whether the step is measured compiled, too: that takes a minute or so, and pays
            where operations on single values take most of the time.
    """

    preset: PresetName
    size: int
    stage: StageName
    what: str
    faces: tuple[int, ...]
    aim: float = 0.0
    compiled: bool = False

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.preset} at {self.size}, {self.what}"

    @property
    def guided(self) -> bool:
        """Whether landmarks guide the flows."""
        return self.preset == "small" and self.stage == "expression"


CASES = (
    Case("small", 128, "expression", "flows", (512, 1024), 12_000),
    Case("small", 128, "expression", "drawn", (256, 512), 4_000, compiled=True),
    Case("small", 128, "identity", "identity", (256, 512)),
    Case("paper", 64, "expression", "drawn", (128, 256), 2_500),
    Case("paper", 64, "identity", "identity", (128, 256), 3_000),
)
"""What is measured, with the aims for one H100 or H200."""

QUICK_CASES = tuple(replace(case, size=64, faces=(8,), aim=0.0, compiled=False) for case in CASES)
"""The same for networks that are as small as can be, without aims and compiler."""


@dataclass(frozen=True)
class Speed:
    """How fast the steps of a case are.

    Attributes:
        case: what was measured.
        rates: number of faces of a step -> faces a second.
        flops: floating point operations of a face, forward and backward.
        compiled: faces a second of the compiled step with the fastest number of faces; 0 if it
            was not measured.
    """

    case: Case
    rates: Mapping[int, float]
    flops: float
    compiled: float = 0.0

    @property
    def faces(self) -> int:
        """The fastest number of faces of a step."""
        return max(self.rates, key=self.rates.__getitem__)

    @property
    def rate(self) -> float:
        """Faces a second with this number, not compiled."""
        return self.rates[self.faces]

    @property
    def teraflops(self) -> float:
        """10^12 floating point operations a second."""
        return self.rate * self.flops / 1e12

    @property
    def reached(self) -> bool:
        """Whether the aim is reached, if there is one: compiled or not."""
        return max(self.rate, self.compiled) >= self.case.aim


@dataclass(frozen=True)
class Machine:
    """Where and how steps are measured.

    Attributes:
        device: takes the steps.
        seconds: measured time for each number of faces.
        compile: whether the steps that are marked so are measured compiled, too.
        networks: gives the networks of a case; those of its preset, or smaller ones.
    """

    device: torch.device
    seconds: float
    compile: bool
    networks: Callable[[Case], ModelConfig]


def preset_networks(case: Case) -> ModelConfig:
    """The networks of the case's preset."""
    return preset(case.preset, case.size)


def measure(case: Case, machine: Machine) -> Speed:
    """The speed of a case with its fastest number of faces.

    Raises:
        RuntimeError: not even the smallest number of faces fits into memory.
    """
    portraits = gpu_faces.read_portraits(case.size)

    def batch(faces: int) -> Batch:
        return gpu_faces.make_batch(portraits, faces, machine.device, guided=case.guided)

    learner = make_learner(case, machine, _COUNTED)
    with FlopCounterMode(display=False) as counter:
        learner.learn(batch(_COUNTED))
    flops = counter.get_total_flops() / _COUNTED

    rates: dict[int, float] = {}
    for faces in case.faces:
        try:
            rates[faces] = _rate(make_learner(case, machine, faces), batch(faces), machine)
        except torch.cuda.OutOfMemoryError:
            break  # larger ones do not fit either
    if not rates:
        raise RuntimeError(f"{case.name}: {case.faces[0]} faces do not fit into memory")
    speed = Speed(case, rates, flops)
    if machine.compile and case.compiled:
        learner = make_learner(case, machine, speed.faces, compiled=True)
        speed = replace(speed, compiled=_rate(learner, batch(speed.faces), machine))
    return speed


def make_learner(case: Case, machine: Machine, faces: int, *, compiled: bool = False) -> Learner:
    """New networks and the loop over their steps, set up as ``train`` does.

    There is no perceptual loss: its weights may be missing, and the aims were set without it.
    """
    layer = {"preset": case.preset, "image_size": case.size, "batch_size": faces}
    config = TrainConfig.from_layers({**layer, "compile": compiled})
    torch.manual_seed(0)
    model = FaceCycle(machine.networks(case)).train().to(machine.device)
    model.to(memory_format=torch.channels_last)
    stage = STAGES[case.stage](model, config.of(case.stage))
    stage.warm_up_steps = _FOREVER if case.what == "flows" else 0
    half = half_type("auto", machine.device)
    return Learner(stage, config, 1_000_000, Processes(), half)


def _rate(learner: Learner, batch: Batch, machine: Machine) -> float:
    """Faces a second."""

    def seconds(first: int, steps: int) -> float:
        wait(machine.device)
        begun = time.perf_counter()
        for step in range(first, first + steps):
            learner.learn(replace(batch, step=step))
        wait(machine.device)
        return time.perf_counter() - begun

    seconds(0, _WARM)
    one = seconds(_WARM, 1)
    steps = max(1, math.ceil(machine.seconds / one))
    return steps * learner.settings.batch_size / seconds(_WARM + 1, steps)


def wait(device: torch.device) -> None:
    """Return when the device has done all that it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
