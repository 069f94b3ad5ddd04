"""What verification's whitening is measured on, and how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.config import VerifierConfig
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.whitening import Whitener
from tests.training.conftest import TINY, write_clip

NOBODY = np.array([], np.int64)


@pytest.fixture
def store(tmp_path):
    """Six people with one picture each, and two with three."""
    for person in range(8):
        write_clip(tmp_path / f"person{person}", 3 if person > 5 else 1, seed=person)
    return FrameStore(find_crops([tmp_path]), 32, keep=False)


class Watched(FaceCycle):
    """Remembers what its embedding was fitted to."""

    def __init__(self, compares="code"):
        torch.manual_seed(0)
        super().__init__(replace(TINY, verifier=VerifierConfig(compares, 4)))
        self.given = []
        fit = self.verifier.fit
        self.verifier.fit = lambda *what: (self.given.append(what), fit(*what))


def test_one_picture_of_everybody_and_several_of_some(store):
    model = Watched("neutral")
    before = model.verifier.matrix.clone()
    Whitener(store, NOBODY, seed=0).fit(model)
    ((faces, within),) = model.given
    assert faces.shape == (8, model.config.verifier_inputs)
    assert within.shape == (6, model.config.verifier_inputs)
    for person in within.chunk(2):
        assert person.abs().max() > 0
        assert person.mean(0).abs().max() < 1e-5  # less the person's own mean
    assert not torch.equal(model.verifier.matrix, before)


def test_who_is_held_out_is_left_alone(store):
    model = Watched()
    Whitener(store, np.flatnonzero(store.index.sizes > 1), seed=0).fit(model)
    ((faces, within),) = model.given
    assert len(faces) == 6
    assert within is None


def test_too_few_faces_change_nothing(store):
    model = Watched()
    Whitener(store, np.arange(4), seed=0).fit(model)
    assert not model.given


@pytest.mark.parametrize(("compared", "times"), [("neutral", 1), ("code", 3)])
def test_what_does_not_learn_is_measured_once(store, compared, times):
    model, whitener = Watched(compared), Whitener(store, NOBODY, seed=0)
    for _ in range(3):
        whitener.fit(model)
    assert len(model.given) == times
