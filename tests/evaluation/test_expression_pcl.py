"""The linear evaluation without a validation split."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.expression_pcl import (
    LayerSettings,
    fit_linear_layer,
    pcl_extractor,
)
from facecycle_cli.model import load

CLASSES = ("happy", "neutral", "sad")
QUICK = LayerSettings(epochs=30, batch=32)


@pytest.fixture(scope="module")
def clouds():
    """Three classes about one center each: features (N, 6), and their names."""
    rng = np.random.default_rng(0)
    names = [CLASSES[i % 3] for i in range(150)]
    centers = 3 * np.eye(3, 6)
    points = np.stack([centers[CLASSES.index(name)] for name in names])
    return (points + rng.normal(size=points.shape)).astype(np.float32), names


def test_finds_what_is_linear(clouds):
    features, names = clouds
    layer = fit_linear_layer(
        features[:120], names[:120], features[120:], names[120:], settings=QUICK
    )
    right = [a == b for a, b in zip(layer.predict(features[120:]), names[120:], strict=True)]
    assert np.mean(right) > 0.85
    assert layer.best_accuracy >= np.mean(right)
    assert 1 <= layer.best_epoch <= QUICK.epochs


def test_the_test_split_chooses_nothing(clouds):
    features, names = clouds
    one = fit_linear_layer(features, names, features[:9], names[:9], settings=QUICK)
    other = fit_linear_layer(features, names, features[:9], ["gone"] * 9, settings=QUICK)
    assert (one.weights == other.weights).all()
    assert (one.bias == other.bias).all()
    assert other.best_accuracy == 0


def test_the_seed_decides(clouds):
    features, names = clouds
    layers = [
        fit_linear_layer(features, names, features, names, seed=seed, settings=QUICK)
        for seed in (0, 0, 1)
    ]
    assert (layers[0].weights == layers[1].weights).all()
    assert (layers[0].weights != layers[2].weights).any()


def test_a_single_class_is_refused(clouds):
    features, _ = clouds
    with pytest.raises(DataError, match="two classes"):
        fit_linear_layer(features, ["sad"] * len(features), features, ["sad"] * len(features))


def test_the_features_are_those_of_100_pixels():
    model = load()
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    features = pcl_extractor(model)(crops)
    side = 7 if model.config.image_size == 64 else 4  # of the last map
    assert features.shape == (2, side**2 * model.config.encoder_features)
    assert np.isfinite(features).all()
