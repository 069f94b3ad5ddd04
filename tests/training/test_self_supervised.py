"""The paper's setting stays the paper's: pictures alone, no landmarks, persons or posed faces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from facecycle_cli.faces import mesh
from facecycle_cli.model import FaceCycle, save_checkpoint
from facecycle_cli.training import neutral_fit, stages, supply
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.data import index
from facecycle_cli.training.run import open_run
from facecycle_cli.training.stages import STAGES
from facecycle_cli.training.train import train
from tests.training.conftest import TINY

QUICK = {
    "preset": "paper", "steps": 2, "batch_size": 4, "perceptual": "off", "workers": 0,
    "sample_every": 1000, "holdout": 0,
}  # fmt: skip


class UsedError(Exception):
    """Something was used that the paper does without."""


def use(*args, **kwargs):
    raise UsedError


@pytest.fixture
def forbidden(monkeypatch):
    """Landmarks, contrast between persons, and posed expressions end the run."""
    monkeypatch.setattr(mesh.FaceMesh, "__init__", use)
    monkeypatch.setattr(index.CropIndex, "read_landmarks", use)
    monkeypatch.setattr(stages, "contrast_loss", use)
    monkeypatch.setattr(supply, "fit_neutral_shape", use)
    monkeypatch.setattr(neutral_fit, "find_posed", use)


@pytest.fixture
def run(clips, tmp_path):
    """Trains both stages of the preset, of networks as small as can be; gives the run's folder."""
    start = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    network = FaceCycle(replace(TINY, preset="paper"))
    save_checkpoint(start, network, {"stage": "expression", "steps": 0})

    def train_with(**settings):
        folder = tmp_path / "run"
        layer = {**QUICK, "data": [str(clips)], "init": str(start), **settings}
        outcome = train(open_run(folder, [layer], resume=False), folder, device=torch.device("cpu"))
        assert outcome.finished
        return folder

    return train_with


def test_the_preset_weighs_nothing_that_is_not_in_the_paper():
    config = TrainConfig.from_layers({}, preset="paper")
    assert config.neutral == ()
    for name in config.stages:
        settings = config.of(name)
        assert not STAGES[name].is_guided(settings)
        assert (settings.flow_steps, settings.contrast_steps) == (0, 0)
        for weight in ("guide", "contrast", "average", "smoothness", "folding", "gauge"):
            assert getattr(settings.weights, weight) == 0, weight


class Unused:
    """Ends the run whatever is done with it."""

    __getattribute__ = use


def test_a_run_uses_no_landmarks_no_persons_and_no_posed_faces(run, forbidden, monkeypatch):
    made, seen = stages.StepInputs.__new__, []

    def without_persons(cls, *args, **kwargs):
        inputs = made(cls, *args, **kwargs)
        seen.append(inputs.guide)
        return inputs._replace(persons=Unused())

    monkeypatch.setattr(stages.StepInputs, "__new__", without_persons)
    folder = run()
    assert len(seen) >= 4  # two steps of either stage
    assert all(guide is None for guide in seen)
    assert not (folder / "landmarks.npz").exists()
    assert not (folder / "neutral_shape.npz").exists()


@pytest.mark.parametrize(
    "settings",
    [{"weights": {"guide": 1.0}}, {"stage": "identity", "weights": {"contrast": 1.0}}],
    ids=["landmarks", "persons"],
)
def test_what_the_run_above_would_have_noticed(run, forbidden, settings):
    with pytest.raises(UsedError):
        run(**settings)
