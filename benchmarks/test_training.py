"""A training step of the preset ``paper`` against the formulas written down one by one.

Networks, batch, noise and losses are the same on both sides (they are compared below). Ours runs in
float32, and with ``--amp`` if this processor multiplies bf16 faster. Times are processor seconds on
one thread: a step is all arithmetic, and other work of the machine must not count.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.networks import Noise
from facecycle_cli.training.config import StageConfig, StageName
from facecycle_cli.training.loop import autocast, half_type
from facecycle_cli.training.perceptual import CHANNELS, PerceptualLoss, Vgg19
from facecycle_cli.training.stages import STAGES, StageResources, StepInputs

from . import straightforward
from .conftest import against

CPU, GPU = 4, 32
"""Faces of a step on each device."""

STRAIGHT: dict[StageName, Callable[..., Tensor]] = {
    "expression": straightforward.expression_loss,
    "identity": straightforward.identity_loss,
}


@pytest.fixture(scope="module")
def perceptual() -> PerceptualLoss:
    """VGG-19 with random weights, which take the same time as the published ones."""
    source = torch.Generator().manual_seed(1)
    state = {}
    for number, (inputs, outputs) in CHANNELS.items():
        weight = torch.randn(outputs, inputs, 3, 3, generator=source)
        state[f"features.{number}.weight"] = weight * (2 / (9 * inputs)) ** 0.5
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    return PerceptualLoss(Vgg19(state))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def step(model: torch.nn.Module, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Forward and backward pass; the optimizer, which is the same on both sides, is left out."""

    def run() -> Tensor:
        model.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        return value.detach()

    return run


def synchronized(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A call that returns when the GPU is done."""

    def wait() -> Tensor:
        value = run()
        torch.cuda.synchronize()
        return value

    return wait


def on_device(noise: Noise, device: torch.device) -> Noise:
    """The same noise on the device."""
    half, quarter = noise
    return half.to(device), quarter.to(device)


def steps(
    model: FaceCycle,
    perceptual: PerceptualLoss,
    name: StageName,
    precision: str,
    device: torch.device,
    faces: int,
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Our step and the straightforward one, on equal networks and the same batch."""
    half = half_type("auto", device) if precision == "--amp" else None
    if precision == "--amp" and half is None:
        pytest.skip("this processor multiplies no bf16")
    source = torch.Generator().manual_seed(0)
    coarse = torch.randn(faces, 3, 12, 12, generator=source)
    x = F.interpolate(coarse, (64, 64), mode="bicubic").to(device)
    noises = [on_device(model.random_noise(faces, source), device) for _ in range(2)]

    plain, plain_perceptual = (m.to(device) for m in copy.deepcopy((model, perceptual)))
    plain.requires_grad_(True)  # as modules come: whoever wants no gradients has to say so
    plain_perceptual.requires_grad_(True)
    theirs = step(plain, lambda: STRAIGHT[name](plain, plain_perceptual, x, *noises))

    model, perceptual = (
        m.to(device, memory_format=torch.channels_last) for m in copy.deepcopy((model, perceptual))
    )
    stage = STAGES[name](model, StageConfig(), StageResources(perceptual))
    inputs = StepInputs(x, *noises)

    def loss() -> Tensor:
        with autocast(device, half):
            return stage(inputs)["loss"]

    return step(model, loss), theirs


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("precision", ["float32", "--amp"])
@pytest.mark.parametrize("name", ["expression", "identity"])
def test_step(
    benchmark,
    models: dict[str, FaceCycle],
    perceptual: PerceptualLoss,
    name: StageName,
    precision: str,
) -> None:
    """At most 0.6 of the time with ``--amp``; in float32 only repeated work can be saved."""
    half = precision == "--amp"
    ours, theirs = steps(models["paper"], perceptual, name, precision, torch.device("cpu"), CPU)
    torch.testing.assert_close(ours(), theirs(), rtol=0.02 if half else 1e-4, atol=0)
    ratio = against(
        benchmark, ours, theirs, rounds=3, per=CPU, warm=True,
        timer=time.process_time,
        name=f"{name} step of `paper`, per face, {precision}", baseline_name="formula by formula",
    )  # fmt: skip
    assert ratio <= (0.6 if half else 0.85)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "--amp"])
@pytest.mark.parametrize("name", ["expression", "identity"])
def test_step_on_a_gpu(
    benchmark,
    models: dict[str, FaceCycle],
    perceptual: PerceptualLoss,
    name: StageName,
    precision: str,
) -> None:
    """The paper's batch of 32 faces."""
    device = torch.device("cuda")
    runs = steps(models["paper"], perceptual, name, precision, device, GPU)
    ours, theirs = map(synchronized, runs)
    # Convolutions round to TF32 on both sides, but not to the same numbers.
    torch.testing.assert_close(ours(), theirs(), rtol=0.02, atol=0)
    ratio = against(
        benchmark, ours, theirs, rounds=20, per=GPU,
        name=f"{name} step of `paper`, per face, {precision}, {torch.cuda.get_device_name()}",
        baseline_name="formula by formula",
    )  # fmt: skip
    assert ratio <= 0.85
