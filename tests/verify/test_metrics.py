"""Verification metrics against scikit-learn and against cases with known answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("sklearn")

from sklearn.metrics import accuracy_score, roc_auc_score

from facecycle_cli.errors import EvaluationError
from facecycle_cli.verify import metrics as v
from facecycle_cli.verify.roc import (
    best_threshold,
    equal_error_rate,
    roc,
    tar_at_far,
    threshold_at_far,
)


def noisy(count: int = 400, seed: int = 0, gap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.5
    return rng.normal(size=count) + gap * same, same


class TestKnownAnswers:
    def test_perfect(self):
        scores = np.r_[np.linspace(0.6, 0.9, 50), np.linspace(-0.2, 0.4, 50)]
        same = np.arange(100) < 50
        numbers = v.verification_metrics(scores, same)
        assert numbers.accuracy == numbers.auc == numbers.best_accuracy == 1
        assert numbers.eer == 0
        assert numbers.accuracy_standard_error == 0
        assert numbers.best_threshold == pytest.approx(0.5)
        assert numbers.tar_at_far["0.1"] == 1

    def test_inverted(self):
        scores = np.r_[np.linspace(-0.2, 0.4, 50), np.linspace(0.6, 0.9, 50)]
        same = np.arange(100) < 50
        numbers = v.verification_metrics(scores, same)
        assert numbers.auc == 0
        assert numbers.eer == pytest.approx(1)
        assert numbers.best_accuracy == 0.5  # nobody is the same person: half of it is right
        assert numbers.tar_at_far["0.1"] == 0

    def test_random(self):
        scores, same = noisy(20_000, gap=0)
        numbers = v.verification_metrics(scores, same)
        assert numbers.auc == pytest.approx(0.5, abs=0.02)
        assert numbers.eer == pytest.approx(0.5, abs=0.02)
        assert numbers.accuracy == pytest.approx(0.5, abs=0.02)
        assert numbers.tar_at_far["0.01"] == pytest.approx(0.01, abs=0.005)

    def test_all_tied(self):
        numbers = v.verification_metrics(np.ones(40), np.arange(40) < 20)
        assert numbers.auc == numbers.eer == 0.5
        assert numbers.tar_at_far["0.1"] == 0  # one step: accept all or none
        assert numbers.accuracy == 0.5

    def test_by_hand(self):
        # Falling: S D S S D D; at each place one more is accepted.
        scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
        same = [True, False, True, True, False, False]
        curve = roc(scores, same)
        np.testing.assert_allclose(curve.far, [0, 0, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 1])
        np.testing.assert_allclose(curve.tar, [0, 1 / 3, 1 / 3, 2 / 3, 1, 1, 1])
        assert curve.auc == pytest.approx(7 / 9)  # 7 of 9 same/different couples in order
        assert equal_error_rate(curve) == pytest.approx(1 / 3)
        assert tar_at_far(curve, 0.1) == pytest.approx(1 / 3)
        assert tar_at_far(curve, 0.34) == 1
        assert best_threshold(scores, same) == (pytest.approx(0.55), pytest.approx(5 / 6))

    def test_middle_of_equally_good_thresholds(self):
        # Both 0.85 and 0.25 make one error; so does 0.55, between them.
        scores = [0.9, 0.8, 0.7, 0.4, 0.3, 0.2]
        same = [True, False, True, False, True, False]
        threshold, accuracy = best_threshold(scores, same)
        assert accuracy == pytest.approx(4 / 6)
        assert threshold == pytest.approx(0.55)


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_of_pair_is_said_plainly(kind):
    with pytest.raises(EvaluationError, match=r"^all pairs are of .*need both kinds$"):
        v.verification_metrics([0.1, 0.2, 0.3], [kind] * 3)


@pytest.mark.parametrize(
    ("scores", "same", "words"),
    [
        ([], [], "no pairs"),
        ([0.1, np.nan], [True, False], "not a finite number"),
        ([0.1], [True, False], "do not fit"),
    ],
)
def test_unusable_input(scores, same, words):
    with pytest.raises(EvaluationError, match=words):
        roc(scores, same)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_against_scikit_learn(data):
    count = data.draw(st.integers(2, 60))
    # Few distinct values: ties are where implementations differ.
    scores = data.draw(arrays(np.float64, count, elements=st.integers(-5, 5).map(float)))
    same = data.draw(arrays(np.bool_, count))
    same[0], same[1] = True, False
    curve = roc(scores, same)
    assert curve.auc == pytest.approx(roc_auc_score(same, scores))
    threshold, accuracy = best_threshold(scores, same)
    assert accuracy == pytest.approx(accuracy_score(same, scores >= threshold))
    candidates = np.r_[scores - 0.5, scores + 0.5]
    assert accuracy == pytest.approx(max(((scores >= t) == same).mean() for t in candidates))
    rate = data.draw(st.floats(0, 1))
    limit = threshold_at_far(curve, rate)
    assert (scores[~same] >= limit).mean() <= rate
    assert (scores[same] >= limit).mean() == pytest.approx(tar_at_far(curve, rate))
    assert 0 <= equal_error_rate(curve) <= 1


def test_equal_error_rate_is_where_the_errors_meet():
    scores, same = noisy(50_000, gap=2.0)
    curve = roc(scores, same)
    rate = equal_error_rate(curve)
    at = np.argmin(np.abs(curve.far - rate))
    assert curve.far[at] == pytest.approx(1 - curve.tar[at], abs=1e-3)
    assert rate == pytest.approx(0.1587, abs=0.005)  # Phi(-1): two normals two deviations apart


class TestCrossValidation:
    def test_thresholds_come_from_the_other_folds(self):
        # The second fold's similarities are shifted: thresholds of one fail on the other.
        scores = np.r_[0.1, 0.9, 5.1, 5.9]
        same = np.array([False, True, False, True])
        result = v.cross_validate(scores, same, [0, 0, 1, 1])
        np.testing.assert_allclose(result.thresholds, [5.5, 0.5])
        np.testing.assert_allclose(result.accuracies, [0.5, 0.5])
        assert result.accepted.tolist() == [False, False, True, True]

    def test_mean_and_standard_error(self):
        scores, same = noisy(500)
        folds = np.arange(500) % 10
        result = v.cross_validate(scores, same, folds)
        by_hand = [
            accuracy_score(
                same[folds == k],
                scores[folds == k] >= best_threshold(scores[folds != k], same[folds != k])[0],
            )
            for k in range(10)
        ]
        assert result.accuracy == pytest.approx(np.mean(by_hand))
        assert result.standard_error == pytest.approx(np.std(by_hand, ddof=1) / np.sqrt(10))

    def test_drawn_folds_are_balanced_and_reproducible(self):
        same = np.arange(1000) < 500
        folds = v.random_folds(same, seed=3)
        np.testing.assert_array_equal(folds, v.random_folds(same, seed=3))
        assert (folds != v.random_folds(same, seed=4)).any()
        for fold in range(10):
            assert (same[folds == fold]).sum() == (~same[folds == fold]).sum() == 50

    def test_one_fold_is_no_cross_validation(self):
        with pytest.raises(EvaluationError, match="two folds"):
            v.cross_validate(*noisy(10), [0] * 10)

    def test_two_pairs(self):
        numbers = v.verification_metrics([0.9, 0.1], [True, False])
        assert numbers.accuracy == 1
        assert numbers.folds is None
        assert numbers.accuracy_standard_error is None


class TestGroups:
    def test_every_number_per_group_with_counts(self):
        easy, same = noisy(300, gap=6.0)
        hard, same_hard = noisy(200, seed=1, gap=0.0)
        numbers = v.verification_metrics(
            np.r_[easy, hard], np.r_[same, same_hard], groups=["easy"] * 300 + ["hard"] * 200
        )
        groups = numbers.groups
        assert [groups[g].pairs for g in ("easy", "hard")] == [300, 200]
        assert groups["easy"].rates.accuracy > 0.95
        assert groups["hard"].curve.auc == pytest.approx(roc_auc_score(same_hard, hard))
        mixed = (300 * groups["easy"].rates.accuracy + 200 * groups["hard"].rates.accuracy) / 500
        assert mixed == pytest.approx(numbers.accuracy, abs=0.01)

    def test_a_group_of_one_kind_has_the_rates_that_it_can_have(self):
        numbers = v.verification_metrics(
            [0.9, 0.8, 0.1, 0.2, 0.7, 0.3],
            [True, True, False, False, True, False],
            groups=["a", "a", "a", "a", "b", None],
            threshold=0.5,
        )
        assert numbers.groups["b"].curve is None
        assert numbers.groups["b"].rates.far is None
        assert numbers.groups["b"].at_threshold.tar == 1
        assert numbers.groups["(none)"].pairs == 1


def test_rates_that_the_pairs_cannot_show():
    numbers = v.verification_metrics(*noisy(50))
    assert numbers.tar_at_far["0.001"] is None
    assert numbers.tar_at_far["0.1"] is not None


class TestJson:
    COUNTS = ("pairs", "same", "different")
    CURVE = ("auc", "eer", "tar_at_far")

    def test_keys_and_their_order(self):
        numbers = v.verification_metrics(*noisy()).to_json()
        assert tuple(numbers) == (
            *self.COUNTS, *self.CURVE, "best_threshold", "best_accuracy", "accuracy",
            "accuracy_standard_error", "folds",
        )  # fmt: skip
        assert tuple(numbers["folds"]) == ("given", "accuracies", "thresholds")

    def test_threshold_and_groups_only_where_there_are_any(self):
        scores, same = noisy()
        groups = ["one"] * 399 + [None]
        numbers = v.verification_metrics(scores, same, groups=groups, threshold=0.5).to_json()
        assert list(numbers)[-2:] == ["at_threshold", "groups"]
        rates = ("accuracy", "tar", "far")
        assert tuple(numbers["at_threshold"]) == (*rates, "threshold")
        for group in numbers["groups"].values():
            assert tuple(group) == (*self.COUNTS, *self.CURVE, *rates, "at_threshold")
        assert numbers["groups"]["(none)"]["tar_at_far"] is None

    def test_is_what_json_can_hold(self):
        numbers = v.verification_metrics(*noisy(), threshold=0.5).to_json()
        assert json.loads(json.dumps(numbers)) == numbers
