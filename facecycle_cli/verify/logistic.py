"""From a similarity to a probability: a logistic curve with two numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from facecycle_cli.errors import EvaluationError
from facecycle_cli.verify.roc import Bools, Floats

__all__ = ["Logistic", "fit_logistic", "logistic_from_json", "logistic_of_rates"]

_STEPS = 50
"""Newton's method converges in about ten."""

_STEEPEST = 1000.0
"""Slopes beyond it are of pairs that a threshold separates; cosines have no such precision."""


@dataclass(frozen=True)
class Logistic:
    """Probability that two faces are one person's, where half of all pairs are.

    Attributes:
        slope, intercept: of the log odds, ``slope * cosine + intercept``.
    """

    slope: float
    intercept: float

    def __call__(self, cosine: float) -> float:
        """The probability, 0..1."""
        odds = self.slope * cosine + self.intercept
        return 1 / (1 + math.exp(-odds)) if odds > -500 else 0.0


def fit_logistic(scores: Floats, same: Bools) -> Logistic:
    """Fit the curve to labeled pairs; both kinds count as much, however many there are of each.

    Targets are a little less certain than the labels (Platt, "Probabilistic outputs for support
    vector machines and comparisons to regularized likelihood methods", 1999): pairs that a
    threshold separates have a finite slope, too.

    Args:
        scores: (N,) cosines.
        same: (N,) whether a pair shows the same person; pairs of both kinds.
    """
    positive, negative = int(same.sum()), int((~same).sum())
    targets = np.where(same, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weights = np.where(same, 0.5 / positive, 0.5 / negative)
    inputs = np.column_stack([scores, np.ones(len(scores))])
    found = np.zeros(2)
    for _ in range(_STEPS):
        # Bounded, so that no exponential overflows on the way.
        probability = 1 / (1 + np.exp(-np.clip(inputs @ found, -500, 500)))
        gradient = inputs.T @ (weights * (probability - targets))
        curvature = weights * probability * (1 - probability)
        hessian = inputs.T @ (curvature[:, None] * inputs) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        found -= step
        if float(np.abs(step).max()) < 1e-9:
            break
    slope = float(np.clip(found[0], -_STEEPEST, _STEEPEST))
    return Logistic(slope, float(found[1]))


def logistic_of_rates(far: Mapping[float, float], threshold: float, tar: float) -> Logistic:
    """The curve that a few rates of accepted pairs imply.

    It takes both kinds of pairs for normally distributed with one variance, whose log odds are a
    straight line: the mean and the variance are those of the different pairs at ``far``, and the
    mean of the same pairs follows from ``tar``.

    Args:
        far: false-accept rates, 0..1, each with its threshold; at least two different ones.
        threshold, tar: a threshold and the share of the same pairs that it accepts.

    Raises:
        EvaluationError: they imply no such curve.
    """
    normal = NormalDist()
    points = [(normal.inv_cdf(1 - rate), value) for rate, value in far.items() if 0 < rate < 1]
    if len({x for x, _ in points}) < 2 or not 0 < tar < 1:
        raise EvaluationError("too few rates are known")
    quantiles, values = np.array(points).T
    deviation, mean = (float(v) for v in np.polyfit(quantiles, values, 1))
    mean_same = threshold - deviation * normal.inv_cdf(1 - tar)
    if deviation <= 0 or mean_same <= mean:
        raise EvaluationError("the rates are of no use")
    slope = (mean_same - mean) / deviation**2
    return Logistic(slope, -slope * (mean_same + mean) / 2)


def logistic_from_json(entry: Any) -> Logistic:
    """The curve as metadata hold it, which may hold anything.

    Raises:
        TypeError, ValueError, KeyError: they hold none.
    """
    slope, intercept = float(entry["slope"]), float(entry["intercept"])
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError("not finite")
    return Logistic(slope, intercept)
