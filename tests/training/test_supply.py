"""Where crops stay changes how fast batches come, not what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from facecycle_cli.errors import TrainingError
from facecycle_cli.model import FaceCycle
from facecycle_cli.training import landmarks, supply
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data.batches import Share
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.pairs import PairSampler
from facecycle_cli.training.distributed import Processes
from facecycle_cli.training.neutral_shape import NeutralShape
from facecycle_cli.training.run import RunFolder
from facecycle_cli.training.stages import ExpressionStage, IdentityStage, StageResources
from facecycle_cli.training.supply import Supply
from tests.training.conftest import TINY, people, write_clip

CPU = torch.device("cpu")

STRONG = {
    "rotation": 10.0, "shift": 0.05, "color": 0.3, "gray": 0.3, "coarse": 0.5, "light": 0.3,
    "cover": 0.4, "tone": 0.3, "tint": 0.2, "surroundings": 0.4,
}  # fmt: skip
"""Strengths with which every augmentation occurs."""


@pytest.fixture(scope="module")
def data(tmp_path_factory, face_crops):
    """Three folders with five crops each: faces; no faces; faces, two of them broken."""
    root = tmp_path_factory.mktemp("supplied")
    write_clip(root / "b", 5, 3)
    for name in ("a", "c"):
        (root / name).mkdir()
        for i in range(5):
            crop = np.roll(face_crops[i % 2], i, axis=1)
            Image.fromarray(crop).save(root / name / f"{i}.png")
    for i in (1, 2):
        (root / "c" / f"{i}.png").write_bytes(b"broken")
    return root


@pytest.fixture
def open_supply(tmp_path, data, face_landmarks):
    """Opens the data of a run that has a neutral shape already."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    NeutralShape.fit(people(face_landmarks)).save(run.neutral_shape)
    index = find_crops([data])

    def open_with(device=CPU, **settings):
        layer = {"weights": {"guide": 1.0}, "steps": 3, "batch_size": 8, **settings}
        config = TrainConfig.from_layers(layer)
        sampler = PairSampler(index, "mixed", seed=1)
        return Supply.open(config, index, sampler, run, Processes(), device)

    return open_with


def step_inputs(supply, kind=ExpressionStage, share=None, device=CPU, count=6, waits="default"):
    """What a stage computes with; ``waits`` is what CUDA does if it is waited for."""
    torch.manual_seed(0)
    config = TrainConfig.from_layers(
        {"weights": {"guide": 1.0}, "augmentation": STRONG, "batch_size": 8}
    )
    resources = StageResources(guides=supply.guides)
    stage = kind(FaceCycle(TINY).to(device), config.of(kind.name), resources)
    share = share or Share(4, 0, 4)
    batches = supply.batches(share, range(count), guided=stage.guides is not None)
    if device.type != "cuda":
        return [stage.inputs(batch, share, seed=5) for batch in batches]
    torch.cuda.set_sync_debug_mode(waits)
    try:
        return [stage.inputs(batch, share, seed=5) for batch in batches]
    finally:
        torch.cuda.set_sync_debug_mode("default")


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        for name, value in x._asdict().items():
            other = getattr(y, name)
            assert type(value) is type(other), name
            parts = value if isinstance(value, tuple) else (value,)
            others = other if isinstance(other, tuple) else (other,)
            for one, another in zip(parts, others, strict=True):
                if not isinstance(one, torch.Tensor):
                    assert one == another
                else:
                    assert torch.equal(one, another), name


@pytest.mark.parametrize("workers", [0, 2])
def test_the_device_gives_what_memory_and_disk_give(open_supply, workers):
    disk = open_supply(cache="disk", workers=0, steps=1)  # landmarks are measured when drawn
    wanted = step_inputs(disk)
    assert any((inputs.guide.weight > 0).any() for inputs in wanted)
    assert not all((inputs.guide.weight > 0).any(1).all() for inputs in wanted)
    device = open_supply(cache="device", workers=workers)
    assert device.resident is not None
    assert_same(step_inputs(device), wanted)
    assert_same(step_inputs(open_supply(cache="ram", workers=workers)), wanted)
    assert set(device.store.broken) == {11, 12}
    assert disk.store.broken


def test_each_process_gets_its_share_on_the_device(open_supply):
    supply = open_supply(cache="device", workers=0)
    whole = step_inputs(supply)
    part = step_inputs(supply, share=Share.of(4, 1, 2))
    for all_of_it, half in zip(whole, part, strict=True):
        rows = torch.unflatten(all_of_it.x, 0, (2, 4))[:, 2:].flatten(0, 1)
        assert torch.equal(half.x, rows)
        assert torch.equal(half.guide.source, all_of_it.guide.source[[2, 3, 6, 7]])


def test_a_stage_without_guidance_gets_no_landmarks(open_supply):
    for cache in ("device", "ram"):
        inputs = step_inputs(open_supply(cache=cache, workers=1), IdentityStage)
        assert all(step.guide is None for step in inputs)


def test_landmarks_are_measured_once(open_supply, monkeypatch):
    measured = []
    read = landmarks.LandmarkReader.__call__

    def counting(self, crop):
        measured.append(crop)
        return read(self, crop)

    monkeypatch.setattr(landmarks.LandmarkReader, "__call__", counting)
    first = step_inputs(open_supply(cache="device", workers=1))
    assert len(measured) == 13  # two of the fifteen are broken
    again = step_inputs(open_supply(cache="ram", workers=1))
    assert len(measured) == 13
    assert_same(first, again)


def test_a_short_run_measures_only_what_it_draws(open_supply, monkeypatch):
    measure = landmarks.LandmarkTable.measure
    called = []
    monkeypatch.setattr(
        landmarks.LandmarkTable, "measure", lambda *a: called.append(a) or measure(*a)
    )
    open_supply(cache="ram", steps=1)  # eight of fifteen crops
    assert not called
    open_supply(cache="ram", steps=2)
    assert called


def test_without_guidance_nothing_is_measured(open_supply, monkeypatch):
    monkeypatch.setattr(landmarks, "LandmarkReader", None)
    supply = open_supply(cache="device", weights={"guide": 0.0})
    assert supply.guides is None
    assert supply.resident.landmarks is None


def test_where_crops_stay(open_supply, data, monkeypatch):
    index = find_crops([data])
    each = 80 * 80 * 3
    free = {}
    monkeypatch.setattr(supply, "device_memory", lambda device: free[device.type])
    monkeypatch.setattr(supply, "fits_in_memory", lambda *a: free["ram"])

    def place(device, cache="auto"):
        config = TrainConfig.from_layers({"cache": cache})
        return supply._place(config, index, each, Processes(), torch.device(device))

    free |= {"cpu": 10**12, "cuda": 3 * 15 * each, "ram": True}
    assert place("cpu") == "ram"  # where only the user says that it is to be the device
    assert place("cpu", "device") == "device"
    assert place("cuda") == "device"
    assert place("cuda", "ram") == "ram"
    free |= {"cuda": 2 * 15 * each}  # the networks need room, too
    assert place("cuda") == "ram"
    assert place("cuda", "device") == "device"
    free |= {"ram": False}
    assert place("cuda") == "disk"
    free |= {"cuda": 14 * each}
    with pytest.raises(TrainingError, match=r"cache device: 15 crops take .* GB free; use cache"):
        place("cuda", "device")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cache", ["device", "ram"])
def test_a_gpu_makes_the_same_inputs_without_being_waited_for(open_supply, cache):
    cuda = torch.device("cuda")
    wanted = step_inputs(open_supply(cache="disk", workers=0))
    supplied = open_supply(cuda, cache=cache, workers=2)
    step_inputs(supplied, device=cuda, count=1)  # whatever a first step waits for
    found = step_inputs(supplied, device=cuda, waits="error")
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.x.cpu(), b.x, atol=0.02, rtol=0)
        for one, another in zip(a.guide, b.guide, strict=True):
            torch.testing.assert_close(one.cpu(), another, atol=1e-4, rtol=0)
