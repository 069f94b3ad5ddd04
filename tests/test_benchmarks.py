"""The GPU benchmark runs, on the CPU too, and where packages are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import bare, gpu
from facecycle_cli.training import layers
from facecycle_cli.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]

WITHOUT_PACKAGES = """
import io, sys
import numpy as np
from PIL import Image

sys.modules.update(imageio=None, psutil=None, tomli_w=None)  # as if they were not installed
from benchmarks import gpu
assert gpu.STOOD_IN == ["imageio", "psutil", "tomli_w"], gpu.STOOD_IN

from facecycle_cli.media.images import encode_image, read_image
picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
stream = io.BytesIO()
Image.fromarray(picture).save(stream, "png")
assert (read_image(stream.getvalue()) == picture).all()
assert (read_image(encode_image(picture, provenance=None)) == picture).all()

from facecycle_cli.training.data.frames import fits_in_memory
assert fits_in_memory(1, 8, 1) and not fits_in_memory(10**9, 1000, 1)
"""


@pytest.mark.slow
def test_the_gpu_benchmark_holds_on_the_cpu(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are then always added in the same order
    said = []
    try:
        code = gpu.main(
            ["--device", "cpu", "--quick", "--out", str(tmp_path / "gpu.md")], said.append
        )
    finally:
        torch.set_num_threads(before)
    assert said[-1] == "Verdict: all checks hold"
    assert code == 0
    table = (tmp_path / "gpu.md").read_text()
    for row in ("reduced products", "small at 64, flows", "paper at 64, identity"):
        assert f"\n| {row} |" in table


def test_a_failure_is_in_the_verdict(monkeypatch):
    said = []
    monkeypatch.setattr(gpu.exact_losses, "TOLERANCE", 0.0)
    monkeypatch.setattr(gpu, "measure_steps", lambda *_: [])
    assert gpu.main(["--device", "cpu", "--quick"], said.append) == 1
    assert said[-1].startswith("Verdict: FAILED: not exact with reduced products: ssim")


def test_packages_of_a_bare_machine():
    subprocess.run([sys.executable, "-c", WITHOUT_PACKAGES], cwd=ROOT, check=True)


def test_the_settings_of_a_run_without_their_package():
    settings = TrainConfig.from_layers({"data": ['a "folder"\\', "ä"]}, preset="paper").to_dict()
    written = layers.tomllib.loads(bare._toml(settings))
    assert TrainConfig.from_layers(written).to_dict() == settings
