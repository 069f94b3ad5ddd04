"""The GPU benchmark: its verdict, and what it does where packages are missing.

The whole of it depends on how fast a machine is: python benchmarks/gpu.py --device cpu --quick.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_failure_is_in_the_verdict(monkeypatch):
    said = []
    monkeypatch.setattr(gpu.exact_losses, "TOLERANCE", 0.0)
    monkeypatch.setattr(gpu, "measure_steps", lambda *_: [])
    assert gpu.main(["--device", "cpu", "--quick"], said.append) == 1
    assert said[-1].startswith("Verdict: FAILED: not exact with float32: ssim")


def test_packages_of_a_bare_machine():
    subprocess.run([sys.executable, "-c", WITHOUT_PACKAGES], cwd=ROOT, check=True)


def test_the_settings_of_a_run_without_their_package():
    settings = TrainConfig.from_layers({"data": ['a "folder"\\', "ä"]}, preset="paper").to_dict()
    written = layers.tomllib.loads(bare._toml(settings))
    assert TrainConfig.from_layers(written).to_dict() == settings
