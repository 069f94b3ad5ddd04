"""Thresholds: set from labeled pairs, stored in a checkpoint, and what can be wrong with them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sklearn")

from facecycle_cli.errors import EvaluationError, ThresholdError
from facecycle_cli.model import FaceCycle, load
from facecycle_cli.verify.roc import best_threshold
from facecycle_cli.verify.threshold import calibrate, stored_threshold, threshold_at_stored_far
from tests.verify.test_metrics import noisy


class TestCalibration:
    def test_threshold_for_a_rate(self):
        scores, same = noisy(4000, gap=1.5)
        entry = calibrate(scores, same, measured_on="noise", far=0.05)
        assert (scores[~same] >= entry.threshold).mean() == entry.far <= 0.05
        assert entry.far == pytest.approx(0.05, abs=0.002)
        assert entry.measured_on == "noise"
        assert entry.thresholds["0.05"] == entry.threshold
        thresholds = list(entry.thresholds.values())
        assert thresholds == sorted(thresholds)  # fewer false accepts, higher threshold

    def test_of_the_highest_accuracy(self):
        scores, same = noisy(4000, gap=1.5)
        entry = calibrate(scores, same, measured_on="noise")
        assert entry.threshold == pytest.approx(best_threshold(scores, same)[0], abs=1e-6)

    def test_rates_that_the_pairs_cannot_show(self):
        scores, same = noisy(50)
        with pytest.raises(EvaluationError, match=r"cannot show a false-accept rate of 0\.001"):
            calibrate(scores, same, measured_on="noise", far=0.001)

    def test_json(self):
        entry = calibrate(*noisy(4000, gap=1.5), measured_on="noise").to_json()
        assert list(entry) == [
            "threshold", "set_for", "far", "tar", "pairs", "same", "measured_on", "thresholds",
            "logistic",
        ]  # fmt: skip
        assert json.loads(json.dumps(entry)) == entry


class TestStored:
    @pytest.fixture
    def own(self) -> FaceCycle:
        """A model whose metadata may be changed."""
        model = load()
        assert model.checkpoint is not None
        return model

    def test_of_the_embedded_checkpoint(self, model):
        threshold = stored_threshold(model)
        assert threshold is not None
        assert -1 < threshold.value < 1
        assert threshold.measured_on
        assert (
            threshold_at_stored_far(model, 0.01).value > threshold_at_stored_far(model, 0.1).value
        )

    def test_none(self, own):
        own.checkpoint.metadata["verification"] = {}
        assert stored_threshold(own) is None
        with pytest.raises(ThresholdError, match="knows no thresholds"):
            threshold_at_stored_far(own, 0.1)

    def test_an_unknown_rate_names_the_known_ones(self, model):
        with pytest.raises(ThresholdError, match=r"rate of 0\.123 \(there are: .*0\.01"):
            threshold_at_stored_far(model, 0.123)

    @pytest.mark.parametrize(
        "entry",
        [
            *([1], "no", {"threshold": 7}, {"threshold": None}, {"threshold": float("nan")}),
            *({"threshold": 0.1, "far": float("inf")}, {"threshold": 10**400}),
        ],
    )
    def test_damaged(self, own, entry):
        own.checkpoint.metadata["verification"] = entry
        with pytest.raises(ThresholdError, match="damaged"):
            stored_threshold(own)

    @pytest.mark.parametrize(
        "entry",
        [
            [1],
            "no",
            {"thresholds": {"x": 1}},
            {"thresholds": 1},
            {"thresholds": {"0.1": float("nan")}},
        ],
    )
    def test_damaged_rates(self, own, entry):
        own.checkpoint.metadata["verification"] = entry
        with pytest.raises(ThresholdError, match="damaged"):
            threshold_at_stored_far(own, 0.1)
