"""A neutral face: latency for one, throughput for many, `small` against the paper's networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import facecycle_cli as fc
from facecycle_cli.model import FaceCycle

from .conftest import against

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@torch.inference_mode()
def neutral(model: FaceCycle, x: torch.Tensor) -> torch.Tensor:
    """E_exp, D_flow and D_exp: x (N, 3, 64, 64) to the neutral faces."""
    flow, _ = model.decode_flow(model.encode_expression(x))
    return model.de_express(x, flow)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """675 x 900 pixels, one face."""
    return fc.read_image(EXAMPLES / "faces" / "person1_smiling.jpg")


@pytest.fixture(scope="module")
def crops(photo: np.ndarray) -> np.ndarray:
    """(16, 256, 256, 3) uint8."""
    crop = fc.face_crop(photo, fc.CropSettings(256), fc.load_backend())
    return np.repeat(crop[None], 16, axis=0)


@pytest.mark.parametrize(("faces", "limit"), [(1, 0.25), (16, 0.1)])
def test_networks(benchmark, models: dict[str, FaceCycle], faces: int, limit: float) -> None:
    """The three networks: a tenth of the paper's time at batch 16; alone, overhead shows."""
    x = torch.randn(faces, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    call: dict[str, Callable[[], torch.Tensor]] = {
        name: lambda model=model: neutral(model, x) for name, model in models.items()
    }
    ratio = against(
        benchmark, call["small"], call["paper"], per=faces, rounds=7,
        name=f"a neutral face at 64x64, batch {faces}", baseline_name="preset `paper`",
    )  # fmt: skip
    assert ratio <= limit


def test_many_crops(benchmark, models: dict[str, FaceCycle], crops: np.ndarray) -> None:
    """In batches of 16 against one after the other, with the picture at 256x256."""
    model = models["small"]
    ratio = against(
        benchmark,
        lambda: fc.neutralize_crops(model, crops),
        lambda: [fc.neutralize_crops(model, crops[i : i + 1]) for i in range(len(crops))],
        per=len(crops), name="a neutral face at 256x256, batch 16", baseline_name="one by one",
    )  # fmt: skip
    assert ratio < 1.1


def test_photograph(benchmark, models: dict[str, FaceCycle], photo: np.ndarray) -> None:
    """A call of `neutralize` on a photograph against one that opens the networks each time."""
    backend = fc.load_backend()
    ratio = against(
        benchmark,
        lambda: fc.neutralize(photo, model=models["small"], backend=backend),
        lambda: fc.neutralize(photo, model=fc.load(), backend=fc.load_backend()),
        name="`fc.neutralize(photo)`: find, align, move, render",
        baseline_name="networks opened at each call",
    )  # fmt: skip
    assert ratio < 1
