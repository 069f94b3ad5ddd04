"""Two processes see what one sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facecycle_cli.errors import DataError, SettingsError, TrainingError
from facecycle_cli.training.distributed import Processes
from tests.cli.call import call
from tests.training.processes import train_together

ROOT = Path(__file__).resolve().parents[2]


def run_twice_at_once(arguments):
    """``facecycle train`` in two processes that torchrun starts."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, "-m", "facecycle_cli", "train", *map(str, arguments)]
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def losses(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "faces_per_second"} for row in rows]


@pytest.fixture(scope="module")
def common(clips, tiny_checkpoint):
    """Options of a run of four steps of each stage, with all that processes tell each other."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    options = [
        clips, "--init", tiny_checkpoint, "--perceptual", "off", "--steps", 4, "--batch-size", 8,
        "--workers", 0, "--set", "log_every=1", "--set", "sample_every=4", "--set", "ema=0.9",
        "--set", "lr=1e-3", "--device", "cpu", "--set", "identity.code_steps=2",
        "--set", "identity.weights.contrast=1", "--set", "identity.options.reenact=0.5",
    ]  # fmt: skip
    return [str(option) for option in options]


def assert_same_losses(one, two):
    expected, found = losses(one), losses(two)
    assert len(found) == len(expected) == 8  # four steps of each stage
    for a, b in zip(expected, found, strict=True):
        assert b.pop("stage") == a.pop("stage")
        assert b == pytest.approx(a, rel=1e-4, abs=1e-4)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_two_processes_have_the_losses_of_one(tmp_path, common):
    one = call("train", *common, "-o", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    first, second = train_together(2, [*common, "-o", str(tmp_path / "two")], tmp_path)
    assert first[0] == 0, first[2]
    assert second[0] == 0, second[2]
    assert first[1] == f"{tmp_path / 'two' / 'checkpoint.safetensors'}\n"
    assert second[1] == "", "said once"
    assert_same_losses(tmp_path / "one", tmp_path / "two")


@pytest.mark.full  # torchrun only sets the variables that the test above sets
@pytest.mark.slow
def test_torchrun_starts_two_processes(tmp_path, common):
    one = call("train", *common, "-o", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    two = run_twice_at_once([*common, "-o", tmp_path / "two"])
    assert two.returncode == 0, two.stderr
    assert two.stdout == f"{tmp_path / 'two' / 'checkpoint.safetensors'}\n"  # said once
    assert_same_losses(tmp_path / "one", tmp_path / "two")


def test_more_processes_than_data(tmp_path, clips, tiny_checkpoint, monkeypatch):
    from facecycle_cli.training.run import open_run
    from facecycle_cli.training.train import train

    def alone(size, **settings):
        """What the first of ``size`` processes finds, before it waits for the others."""
        monkeypatch.setattr(
            Processes, "from_environment", classmethod(lambda cls: cls(0, size, 0, size))
        )
        monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
        monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
        layer = {"data": [str(clips)], "init": str(tiny_checkpoint), "perceptual": "off"}
        config = open_run(tmp_path / "run", [{**layer, **settings}], resume=False)
        train(config, tmp_path / "run", device=torch.device("cpu"))

    with pytest.raises(DataError, match="9 processes, but only 8 clips or persons to draw from"):
        alone(9, batch_size=36)
    with pytest.raises(SettingsError, match="the batch size must be a multiple of 6"):
        alone(3, batch_size=8)
    assert not (tmp_path / "run").exists()


def test_who_is_who(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Processes.from_environment() == Processes(0, 1, 0, 1)
    for name, value in {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    found = Processes.from_environment()
    assert found == Processes(5, 8, 1, 4)
    assert not found.is_first
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert found.device(torch.device("cuda")) == torch.device("cuda", 1)
    assert found.device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match="4 processes on a machine with 2 GPUs"):
        found.device(torch.device("cuda"))
