"""How well similarities tell same from different persons, as LFW's protocol reports it.

The curves are scikit-learn's; here is what faces add to them: accuracy at thresholds learned on
other folds (Huang et al., "Labeled Faces in the Wild", 2007), rates at fixed false-accept rates,
and every number per group at a common threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecycle_cli.errors import EvaluationError
from facecycle_cli.system import import_extra

__all__ = [
    "FALSE_ACCEPT_RATES",
    "Curve",
    "best_threshold",
    "calibrate",
    "cross_validate",
    "equal_error_rate",
    "random_folds",
    "roc",
    "tar_at_far",
    "threshold_at_far",
    "verification_metrics",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3)
FOLDS = 10
_KEPT_RATES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)
"""False-accept rates whose thresholds :func:`calibrate` keeps, where the pairs can show them."""


@dataclass(frozen=True)
class Curve:
    """A receiver operating characteristic: what accepting from each threshold up leads to.

    Attributes:
        far: (K,) share of the different pairs that is accepted, rising from 0 to 1.
        tar: (K,) share of the same pairs that is accepted, rising from 0 to 1.
        thresholds: (K,) falling, the first infinite (nothing is accepted).
        auc: area under the curve.
    """

    far: Floats
    tar: Floats
    thresholds: Floats
    auc: float


def roc(similarities: ArrayLike, same: ArrayLike) -> Curve:
    """The curve of all distinct thresholds.

    Raises:
        EvaluationError: nothing to compare, one kind of pair only, or values that are not finite.
    """
    scores, labels = _checked(similarities, same)
    metrics = import_extra("sklearn.metrics")
    far, tar, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    return Curve(far, tar, thresholds, float(metrics.auc(far, tar)))


def _checked(similarities: ArrayLike, same: ArrayLike) -> tuple[Floats, Bools]:
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


def equal_error_rate(curve: Curve) -> float:
    """Where as many different pairs are accepted as same pairs are rejected (interpolated)."""
    gap = curve.far - (1 - curve.tar)  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    step = gap[after] - gap[before]
    weight = -gap[before] / step if step > 0 else 0.0
    return float(curve.far[before] + weight * (curve.far[after] - curve.far[before]))


def tar_at_far(curve: Curve, far: float) -> float:
    """The most same pairs that can be accepted with at most ``far`` of the different ones."""
    return float(curve.tar[curve.far <= far].max())


def threshold_at_far(curve: Curve, far: float) -> float:
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
    scores, labels = _checked(similarities, same)
    return _best_threshold(scores, labels)


def _best_threshold(
    scores: Floats, labels: Bools, *, balanced: bool = False
) -> tuple[float, float]:
    """As :func:`best_threshold`; ``balanced``: both kinds of pairs count as much, however many
    there are of them.
    """
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


def random_folds(same: ArrayLike, seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """A fold (0 .. count-1) for each pair, with as many same and different ones in each."""
    labels = np.asarray(same, bool)
    folds = np.empty(len(labels), np.int64)
    rng = np.random.default_rng(seed)
    for kind in (True, False):
        members = rng.permutation(np.flatnonzero(labels == kind))
        folds[members] = np.arange(len(members)) % count
    return folds


@dataclass(frozen=True)
class CrossValidation:
    """Decisions for every pair, each at a threshold that has not seen its fold.

    Attributes:
        accepted: (N,) which pairs were called the same person.
        accuracies: per fold.
        thresholds: per fold.
    """

    accepted: Bools
    accuracies: Floats
    thresholds: Floats

    @property
    def accuracy(self) -> float:
        """Mean over the folds."""
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, as LFW's tables print it."""
        return float(self.accuracies.std(ddof=1) / math.sqrt(len(self.accuracies)))


def cross_validate(
    similarities: ArrayLike, same: ArrayLike, folds: Sequence[int] | NDArray[np.int64]
) -> CrossValidation:
    """Decide on each fold with the best threshold of all others.

    Raises:
        EvaluationError: fewer than two folds, or what is left without one holds one kind of pair.
    """
    scores, labels = _checked(similarities, same)
    members = np.asarray(folds)
    names = np.unique(members)
    if len(names) < 2:
        raise EvaluationError("cross-validation needs at least two folds")
    accepted = np.zeros(len(scores), bool)
    accuracies, thresholds = [], []
    for name in names:
        inside = members == name
        threshold, _ = best_threshold(scores[~inside], labels[~inside])
        accepted[inside] = scores[inside] >= threshold
        accuracies.append(float((accepted[inside] == labels[inside]).mean()))
        thresholds.append(threshold)
    return CrossValidation(accepted, np.array(accuracies), np.array(thresholds))


def calibrate(
    similarities: ArrayLike, same: ArrayLike, *, measured_on: str, far: float | None = None
) -> dict[str, Any]:
    """The entry ``verification`` of a checkpoint's metadata, from labeled pairs.

    Args:
        similarities: (N,) of pairs that the model has not been trained on.
        same: (N,) whether they show the same person.
        measured_on: what the pairs are, in words.
        far: false-accept rate that the threshold is set for; None: the threshold at which same
            and different pairs are told apart best, both kinds counting as much.

    Returns:
        ``threshold``; ``set_for``, in words; ``far`` and ``tar``, the rates measured at it;
        ``pairs`` and how many of them are of the ``same`` person; ``measured_on``; and
        ``thresholds``: for a range of false-accept rates (as strings), what ``--far`` looks up.

    Raises:
        EvaluationError: see :func:`roc`; or there are too few pairs for ``far``.
    """
    curve = roc(similarities, same)
    scores, labels = _checked(similarities, same)
    different = int((~labels).sum())
    if far is None:
        threshold, _ = _best_threshold(scores, labels, balanced=True)
        set_for = "best balanced accuracy"
    else:
        _check_far(far, different)
        threshold = threshold_at_far(curve, far)
        set_for = f"a false-accept rate of {far:g}"
    rates = {r for r in (*_KEPT_RATES, far or 0.0) if 0 < r < 1 and r * different >= 1}
    return {
        "threshold": threshold,
        "set_for": set_for,
        "far": float((scores[~labels] >= threshold).mean()),
        "tar": float((scores[labels] >= threshold).mean()),
        "pairs": len(scores),
        "same": len(scores) - different,
        "measured_on": measured_on,
        "thresholds": {
            f"{rate:g}": threshold_at_far(curve, rate) for rate in sorted(rates, reverse=True)
        },
    }


def _check_far(far: float, different: int) -> None:
    if far * different < 1:
        raise EvaluationError(
            f"{different} pairs of different persons cannot show a false-accept rate of {far:g}"
        )


def verification_metrics(
    similarities: ArrayLike,
    same: ArrayLike,
    *,
    folds: Sequence[int] | NDArray[np.int64] | None = None,
    groups: Sequence[str | None] | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All numbers of a set of labeled pairs, ready for JSON.

    Args:
        similarities: (N,), higher means more alike.
        same: (N,) whether a pair shows the same person.
        folds: (N,) which fold each pair belongs to; None: ten folds drawn under ``seed``, each with
            as many same and different pairs (fewer folds if there are fewer pairs).
        groups: (N,) names; every number is then also given per group, at common thresholds.
        threshold: a fixed one to report on as well.
        seed: of the folds.

    Returns:
        counts; ``accuracy`` and ``accuracy_standard_error`` over the folds, thresholds from the
        other folds; ``auc``; ``eer``; ``tar_at_far`` (None where there are too few different pairs
        to measure it); ``best_threshold`` and its ``best_accuracy`` (chosen on the same pairs:
        optimistic); ``at_threshold`` for the fixed one; ``groups``.

    Raises:
        EvaluationError: see :func:`roc`.
    """
    scores, labels = _checked(similarities, same)
    given = folds is not None
    if folds is None:
        count = min(FOLDS, int(labels.sum()), int((~labels).sum()))
        folds = random_folds(labels, seed, count) if count > 1 else None
    result = _counts(labels) | _curve_metrics(scores, labels)
    best, best_accuracy = _best_threshold(scores, labels)
    result |= {"best_threshold": best, "best_accuracy": best_accuracy}
    if folds is None:  # a single pair of a kind: nothing to learn a threshold from but itself
        accepted = scores >= best
        result |= {"accuracy": best_accuracy, "accuracy_standard_error": None, "folds": None}
    else:
        validation = cross_validate(scores, labels, folds)
        accepted = validation.accepted
        result |= {
            "accuracy": validation.accuracy,
            "accuracy_standard_error": validation.standard_error,
            "folds": {
                "given": given,
                "accuracies": validation.accuracies.tolist(),
                "thresholds": validation.thresholds.tolist(),
            },
        }
    if threshold is not None:
        result["at_threshold"] = _rates(scores >= threshold, labels) | {"threshold": threshold}
    if groups is not None and any(groups):
        result["groups"] = _per_group(scores, labels, accepted, groups, threshold)
    return result


def _counts(labels: Bools) -> dict[str, Any]:
    same = int(labels.sum())
    return {"pairs": len(labels), "same": same, "different": len(labels) - same}


def _curve_metrics(scores: Floats, labels: Bools) -> dict[str, Any]:
    curve = roc(scores, labels)
    different = int((~labels).sum())
    return {
        "auc": curve.auc,
        "eer": equal_error_rate(curve),
        "tar_at_far": {
            f"{far:g}": tar_at_far(curve, far) if far * different >= 1 else None
            for far in FALSE_ACCEPT_RATES
        },
    }


def _rates(accepted: Bools, labels: Bools) -> dict[str, Any]:
    same, different = accepted[labels], accepted[~labels]
    return {
        "accuracy": float((accepted == labels).mean()),
        "tar": float(same.mean()) if same.size else None,
        "far": float(different.mean()) if different.size else None,
    }


def _per_group(
    scores: Floats,
    labels: Bools,
    accepted: Bools,
    groups: Sequence[str | None],
    threshold: float | None,
) -> dict[str, Any]:
    names = np.array([name or "" for name in groups])
    result: dict[str, Any] = {}
    for name in sorted(set(names.tolist())):
        inside = names == name
        part = labels[inside]
        numbers = _counts(part)
        if numbers["same"] and numbers["different"]:
            numbers |= _curve_metrics(scores[inside], part)
        else:
            numbers |= {"auc": None, "eer": None, "tar_at_far": None}
        numbers |= _rates(accepted[inside], part)
        if threshold is not None:
            fixed = _rates(scores[inside] >= threshold, part)
            numbers["at_threshold"] = fixed | {"threshold": threshold}
        result[name or "(none)"] = numbers
    return result
