"""Which threshold decides about a list of pairs, and the checkpoint that carries it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn")

from facecycle_cli.errors import CheckpointError, EvaluationError, ThresholdError
from facecycle_cli.model import load
from facecycle_cli.verify.decision import DecisionRule, write_calibrated
from facecycle_cli.verify.pairs import Matches, Pair
from facecycle_cli.verify.threshold import calibrate, stored_threshold


@pytest.fixture
def matches() -> Matches:
    """Four different pairs below four same ones, and one that could not be compared."""
    values = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9, np.nan])
    labels = [False] * 4 + [True] * 5
    pairs = [Pair(f"a{i}", f"b{i}", same) for i, same in enumerate(labels)]
    problems = {"a8": FileNotFoundError(2, "gone")}
    return Matches(pairs, {"identity": values, "raw": values[::-1]}, problems, 18, 18)


def test_the_given_one_goes_before_the_stored_one(model):
    stored = stored_threshold(model)
    assert DecisionRule(0.25).fixed(model) == 0.25
    assert DecisionRule().fixed(model) == stored.value
    assert DecisionRule(far=0.1).at_stored_far(model) != stored.value
    with pytest.raises(ThresholdError, match="there are:"):
        DecisionRule(far=0.123).at_stored_far(model)


def test_pairs_choose_only_where_they_are_asked(matches):
    def threshold(rule: DecisionRule) -> float:
        found = rule.statistics(matches, "identity", 0.45, measured_on="these", seed=0)
        assert set(found.baselines) == {"raw"}
        assert found.metrics.pairs == 8
        return found.threshold

    assert threshold(DecisionRule()) == 0.45
    assert 0.3 < threshold(DecisionRule(calibrated=True)) < 0.7
    assert 0.3 < threshold(DecisionRule(far=0.25)) < 0.6
    with pytest.raises(EvaluationError, match=r"rate of 0\.01"):
        threshold(DecisionRule(far=0.01))


def test_a_threshold_that_accepts_nothing_can_be_stored(tmp_path):
    model = load()
    entry = calibrate([0.5, 1.0], [True, False], measured_on="two pairs")
    assert entry.threshold > 1
    path = tmp_path / "new" / "c.safetensors"
    write_calibrated(path, entry, model, aligner="mesh")
    stored = load(path).checkpoint.metadata["verification"]
    assert stored["threshold"] == 1.0
    assert stored["weights_sha256"] == model.checkpoint.sha256
    assert all(-1 <= value <= 1 for value in stored["thresholds"].values())


def test_networks_from_no_checkpoint(tmp_path):
    model = load()
    model.checkpoint = None
    entry = calibrate([0.5, 0.1], [True, False], measured_on="two pairs")
    with pytest.raises(CheckpointError, match="weights of a checkpoint"):
        write_calibrated(tmp_path / "c.safetensors", replace(entry), model, aligner="mesh")
