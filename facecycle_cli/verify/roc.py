"""What each threshold accepts of same and of different pairs, and which threshold is best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecycle_cli.errors import EvaluationError
from facecycle_cli.system import import_extra

__all__ = [
    "Bools",
    "Floats",
    "RocCurve",
    "balanced_threshold",
    "best_threshold",
    "checked_pairs",
    "equal_error_rate",
    "roc",
    "tar_at_far",
    "threshold_at_far",
]

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class RocCurve:
    """A receiver operating characteristic: the rates of every threshold.

    Attributes:
        far: (K,) share of the different pairs that are accepted, rising from 0 to 1.
        tar: (K,) share of the same pairs that are accepted, rising from 0 to 1.
        thresholds: (K,) falling; the first is infinite (nothing is accepted).
        auc: area under the curve.
    """

    far: Floats
    tar: Floats
    thresholds: Floats
    auc: float


def roc(similarities: ArrayLike, same: ArrayLike) -> RocCurve:
    """The curve of all distinct thresholds.

    Args:
        similarities: (N,), higher means more alike.
        same: (N,) whether a pair shows the same person.

    Raises:
        EvaluationError: nothing to compare, one kind of pair only, or values that are not finite.
    """
    scores, labels = checked_pairs(similarities, same)
    metrics = import_extra("sklearn.metrics")
    far, tar, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    return RocCurve(far, tar, thresholds, float(metrics.auc(far, tar)))


def checked_pairs(similarities: ArrayLike, same: ArrayLike) -> tuple[Floats, Bools]:
    """The similarities and labels (N,) as arrays.

    Raises:
        EvaluationError: see :func:`roc`.
    """
    scores, labels = np.asarray(similarities, np.float64), np.asarray(same, bool)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise EvaluationError(f"{labels.size} labels do not fit {scores.size} similarities")
    if not scores.size:
        raise EvaluationError("there are no pairs to evaluate")
    if not np.isfinite(scores).all():
        raise EvaluationError("a similarity is not a finite number")
    if labels.all() or not labels.any():
        kind = "the same person" if labels.all() else "different persons"
        raise EvaluationError(f"all pairs are of {kind}; accuracy and ROC need both kinds")
    return scores, labels


def equal_error_rate(curve: RocCurve) -> float:
    """The rate at which as many different pairs are accepted as same pairs are rejected.

    Between two thresholds it is interpolated.
    """
    gap = curve.far - (1 - curve.tar)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    step = gap[after] - gap[before]
    weight = -gap[before] / step if step > 0 else 0.0
    return float(curve.far[before] + weight * (curve.far[after] - curve.far[before]))


def tar_at_far(curve: RocCurve, far: float) -> float:
    """The most same pairs that can be accepted with at most ``far`` of the different ones."""
    return float(curve.tar[curve.far <= far].max())


def threshold_at_far(curve: RocCurve, far: float) -> float:
    """The lowest threshold that accepts at most ``far`` of the different pairs.

    It lies halfway to the next similarity below, which would be one false accept too many.
    """
    last = int(np.flatnonzero(curve.far <= far).max())
    high = float(curve.thresholds[last])
    if last + 1 == len(curve.thresholds):
        return high
    low = float(curve.thresholds[last + 1])
    return math.nextafter(low, math.inf) if math.isinf(high) else (high + low) / 2


def best_threshold(similarities: ArrayLike, same: ArrayLike) -> tuple[float, float]:
    """The threshold of the highest accuracy, and that accuracy.

    Of equally good thresholds the middle one, halfway between the neighboring similarities.
    Accuracy counts pairs, as LFW's does; "same" from the threshold up.
    """
    scores, labels = checked_pairs(similarities, same)
    return _best_threshold(scores, labels)


def balanced_threshold(similarities: ArrayLike, same: ArrayLike) -> float:
    """As :func:`best_threshold`, but both kinds of pairs count as much, however many there are."""
    scores, labels = checked_pairs(similarities, same)
    return _best_threshold(scores, labels, balanced=True)[0]


def _best_threshold(
    scores: Floats, labels: Bools, *, balanced: bool = False
) -> tuple[float, float]:
    order = np.argsort(scores, kind="stable")
    scores, labels = scores[order], labels[order]
    same = int(labels.sum())
    different = len(labels) - same
    distinct = np.flatnonzero(np.diff(scores)) + 1
    cuts = np.concatenate(([0], distinct, [len(scores)]))  # "same" from scores[cut] up
    rejected_same = np.concatenate(([0], np.cumsum(labels)))[cuts]
    weights = (different, same) if balanced else (1, 1)  # whole numbers: ties stay ties
    correct = (same - rejected_same) * weights[0] + (cuts - rejected_same) * weights[1]
    best = np.flatnonzero(correct == correct.max())
    cut = int(cuts[best[len(best) // 2]])
    if cut == 0:
        threshold = scores[0] - 1e-6
    elif cut == len(scores):
        threshold = scores[-1] + 1e-6
    else:
        threshold = (scores[cut - 1] + scores[cut]) / 2
    everything = same * weights[0] + different * weights[1]
    return float(threshold), float(correct.max() / everything)
