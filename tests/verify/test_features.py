"""Features of many crops, also where some are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError
from facecycle_cli.portrait.crops import FaceCrop, FailedCrop
from facecycle_cli.verify.features import extract_features


def gray(name: str, value: int) -> FaceCrop:
    return FaceCrop(name, np.full((4, 4, 3), value, np.uint8))


def mean(crops: np.ndarray) -> np.ndarray:
    return crops.mean(axis=(1, 2))


def broken(crops: np.ndarray) -> np.ndarray:
    """As `mean`, and not finite for one shade."""
    values = mean(crops)
    return np.where(values == 7, np.inf, values)


def test_a_row_for_each_crop():
    failed = FailedCrop("no", NoFaceError("no face found"))
    found = extract_features([gray("a", 1), failed, gray("b", 2)], {"mean": mean})
    assert found.rows.tolist() == [0, -1, 1]
    assert found.features["mean"].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert list(found.problems) == [1]


@pytest.mark.parametrize("first", [7, 3])
def test_features_that_are_not_finite_are_a_problem_of_their_picture(first):
    failed = FailedCrop("no", NoFaceError("no face found"))
    crops = [gray("a", first), gray("b", 7), failed, gray("c", 9)]
    found = extract_features(crops, {"broken": broken, "mean": mean})
    good = [
        i for i, crop in enumerate(crops) if isinstance(crop, FaceCrop) and crop.crop.min() != 7
    ]
    for values in found.features.values():
        assert np.isfinite(values).all()
        assert values[found.rows[good]].tolist() == [[crops[i].crop.min()] * 3 for i in good]
    assert [i for i, row in enumerate(found.rows) if row < 0] == list(found.problems)
    assert "not finite" in str(found.problems[1])
    assert found.problems[2] is failed.problem


def test_nothing_is_finite():
    found = extract_features([gray("a", 7), gray("b", 7)], {"broken": broken})
    assert found.rows.tolist() == [-1, -1]
    assert found.features["broken"].shape == (0, 3)
    assert list(found.problems) == [0, 1]
