"""Linear probes against scikit-learn, and on features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")

from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import confusion_matrix, recall_score

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.expression import classification_metrics
from facecycle_cli.evaluation.probes import (
    cross_validated_regression,
    expression_extractor,
    fit_classifier,
    regress,
    standardizer,
)

CLASSES = ("angry", "happy", "sad")


def blobs(count: int, spread: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Three classes around three points, in ten dimensions of very different scale."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    centers = np.zeros((3, 10))
    centers[np.arange(3), np.arange(3)] = 3
    features = centers[labels] + spread * rng.normal(size=(count, 10))
    return (features * np.logspace(-2, 2, 10)).astype(np.float32), [CLASSES[i] for i in labels]


def test_agrees_with_scikit_learn():
    train, labels = blobs(300, 1.5)
    test, truth = blobs(200, 1.5, seed=1)
    ours = fit_classifier(train, labels, test, truth, strengths=[0.03])
    standardize = standardizer(train).transform
    theirs = LogisticRegression(C=1 / (0.03 * 300), max_iter=2000, tol=1e-8)
    theirs.fit(standardize(train), labels)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=2e-3)
    assert ours.predict(test) == theirs.predict(standardize(test)).tolist()


def test_penalty_path_starts_anywhere_and_ends_the_same():
    train, labels = blobs(300, 1.5)
    path = fit_classifier(train, labels, train, labels, strengths=[1.0, 0.1, 0.01])
    alone = fit_classifier(train, labels, train, labels, strengths=[path.strength])
    np.testing.assert_allclose(path.weights, alone.weights, atol=2e-3)


def test_penalty_is_chosen_on_the_validation_split():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(60, 50)).astype(np.float32)  # more noise than 60 pictures can hold
    labels = [("a", "b")[int(x[0] + rng.normal() > 0)] for x in train]
    held_out = rng.normal(size=(400, 50)).astype(np.float32)
    truth = [("a", "b")[int(x[0] > 0)] for x in held_out]
    chosen = fit_classifier(train, labels, held_out, truth)
    weakest = fit_classifier(train, labels, held_out, truth, strengths=[1e-4])
    assert chosen.strength > 1e-3
    accuracies = chosen.validation_accuracy
    assert accuracies[f"{chosen.strength:g}"] == max(accuracies.values())
    assert max(accuracies.values()) > weakest.validation_accuracy["0.0001"]


def test_constant_and_doubled_features():
    train, labels = blobs(200, 0.3)
    train = np.concatenate([train, train[:, :3], np.ones((200, 2), np.float32)], axis=1)
    classifier = fit_classifier(train, labels, train, labels)
    assert np.isfinite(classifier.weights).all()
    assert classifier.predict(train) == labels


def test_one_class():
    with pytest.raises(DataError, match="two classes"):
        fit_classifier(np.zeros((4, 2), np.float32), ["a"] * 4, np.zeros((1, 2), np.float32), ["a"])


def test_nothing_to_choose_with():
    with pytest.raises(DataError, match="validation"):
        fit_classifier(np.eye(2, dtype=np.float32), ["a", "b"], np.empty((0, 2), np.float32), [])


def test_classification_metrics_against_scikit_learn():
    rng = np.random.default_rng(0)
    truth = [CLASSES[i] for i in rng.integers(3, size=200)]
    predicted = [CLASSES[i] for i in rng.integers(3, size=200)]
    numbers = classification_metrics(truth, predicted)
    assert numbers.confusion == confusion_matrix(truth, predicted, labels=CLASSES).tolist()
    assert numbers.macro_recall == pytest.approx(recall_score(truth, predicted, average="macro"))
    assert numbers.accuracy == np.mean([a == b for a, b in zip(truth, predicted, strict=True)])


def test_classification_metrics_by_hand():
    numbers = classification_metrics(["a", "a", "a", "b"], ["a", "a", "b", "c"])
    assert numbers.accuracy == 0.5
    assert numbers.recall == {"a": pytest.approx(2 / 3), "b": 0}
    assert numbers.macro_recall == pytest.approx(1 / 3)  # c never occurs: it has no recall
    assert numbers.class_counts == {"a": 3, "b": 1, "c": 0}
    with pytest.raises(DataError, match="no pictures"):
        classification_metrics([], [])


class TestRegression:
    def test_recovers_a_linear_map(self):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(300, 8)).astype(np.float32)
        targets = features @ rng.normal(size=(8, 3)) * 20 + [1, -5, 30]
        sources = [str(i // 3) for i in range(300)]
        predicted = cross_validated_regression(features, targets, sources)
        assert np.abs(predicted - targets).max() < 0.1

    def test_persons_are_not_on_both_sides(self):
        # Features say who somebody is and nothing else: a regression that has seen him is perfect.
        rng = np.random.default_rng(0)
        persons = np.repeat(np.arange(20), 10)
        features = np.eye(20, dtype=np.float32)[persons]
        targets = rng.normal(size=20)[persons][:, None] * 30
        predicted = cross_validated_regression(features, targets, [str(p) for p in persons])
        spread = np.abs(targets - targets.mean()).mean()
        assert np.abs(predicted - targets).mean() > 0.8 * spread
        mixed = cross_validated_regression(features, targets, [str(i) for i in range(200)])
        assert np.abs(mixed - targets).mean() < 0.1 * spread

    def test_is_ridge_regression(self):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(50, 5)).astype(np.float32)
        targets = rng.normal(size=(50, 3))
        standardize = standardizer(features).transform
        candidates = [
            Ridge(alpha).fit(standardize(features), targets).predict(standardize(features))
            for alpha in np.logspace(-1, 5, 13)
        ]
        ours = regress(features, targets, features)
        assert min(np.abs(ours - candidate).max() for candidate in candidates) < 1e-3

    def test_one_person(self):
        with pytest.raises(DataError, match="two persons or videos"):
            cross_validated_regression(np.zeros((3, 2)), np.zeros((3, 1)), ["a"] * 3)


@pytest.mark.parametrize(("kind", "length"), [("code", 256), ("conv", 1536)])
def test_features_of_a_face_and_of_its_mirror_image(model, kind, length):
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    flipped = np.ascontiguousarray(crops[:, :, ::-1])
    plain, both = (expression_extractor(model, kind, mirrored=m) for m in (False, True))
    assert plain(crops).shape == both(crops).shape == (3, length)
    assert np.allclose(both(crops), (plain(crops) + plain(flipped)) / 2, atol=1e-5)
    assert np.allclose(both(crops), both(flipped), atol=1e-5)
    if kind == "code":
        with torch.inference_mode():
            expected = model.encode_expression(model.to_input(crops)).numpy()
        assert np.allclose(plain(crops), expected, atol=1e-5)
