"""How well similarities tell same from different persons, as LFW's protocol reports it.

The curves are scikit-learn's; here is what faces add to them: accuracy at thresholds learned on
other folds (Huang et al., "Labeled Faces in the Wild", 2007), rates at fixed false-accept rates,
and every number per group at a common threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facecycle_cli.errors import EvaluationError
from facecycle_cli.verify.roc import (
    Bools,
    Floats,
    best_threshold,
    checked_pairs,
    equal_error_rate,
    roc,
    tar_at_far,
)

__all__ = [
    "FALSE_ACCEPT_RATES",
    "CurveMetrics",
    "FixedThreshold",
    "GroupMetrics",
    "Rates",
    "VerificationMetrics",
    "cross_validate",
    "random_folds",
    "verification_metrics",
]

FALSE_ACCEPT_RATES = (1e-1, 1e-2, 1e-3)
"""The rates that true accepts are reported at."""

FOLDS = 10
"""Of a cross-validation whose pairs bring no folds, as in LFW's protocol."""


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
    """Decide on each fold with the best threshold of all other folds.

    Raises:
        EvaluationError: fewer than two folds, or what is left without one holds one kind of pair.
    """
    scores, labels = checked_pairs(similarities, same)
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


@dataclass(frozen=True)
class Rates:
    """What a decision about each pair leads to.

    Attributes:
        accuracy: share of the pairs that are decided rightly.
        tar: share of the same pairs that are accepted; None if there are none.
        far: share of the different pairs that are accepted; None if there are none.
    """

    accuracy: float
    tar: float | None
    far: float | None


@dataclass(frozen=True)
class FixedThreshold(Rates):
    """The rates at a threshold that was given.

    Attributes:
        threshold: minimum similarity that is accepted.
    """

    threshold: float


@dataclass(frozen=True)
class Folds:
    """What each fold of a cross-validation gave.

    Attributes:
        given: the folds are the list's; otherwise they were drawn.
        accuracies: for each fold.
        thresholds: for each fold, learned on the other ones.
    """

    given: bool
    accuracies: list[float]
    thresholds: list[float]


@dataclass(frozen=True)
class CurveMetrics:
    """What a curve says without any threshold.

    Attributes:
        auc: area under the curve.
        eer: equal error rate.
        tar_at_far: the most same pairs accepted at each of :data:`FALSE_ACCEPT_RATES` (as text);
            None where there are too few different pairs to measure it.
    """

    auc: float
    eer: float
    tar_at_far: dict[str, float | None]


@dataclass(frozen=True)
class GroupMetrics:
    """Numbers of one group of persons, at the thresholds that all groups have in common.

    Attributes:
        pairs: how many pairs there are.
        same: how many of them show the same person.
        different: how many do not.
        curve: None where the group has pairs of one kind only.
        rates: at the thresholds of the cross-validation.
        at_threshold: at the fixed threshold; None if none was given.
    """

    pairs: int
    same: int
    different: int
    curve: CurveMetrics | None
    rates: Rates
    at_threshold: FixedThreshold | None

    def to_json(self) -> dict[str, Any]:
        """One flat object; what could not be measured is None."""
        curve = asdict(self.curve) if self.curve else dict.fromkeys(("auc", "eer", "tar_at_far"))
        counts = {"pairs": self.pairs, "same": self.same, "different": self.different}
        fixed = {"at_threshold": asdict(self.at_threshold)} if self.at_threshold else {}
        return counts | curve | asdict(self.rates) | fixed


@dataclass(frozen=True)
class VerificationMetrics:
    """All numbers of a set of labeled pairs.

    Attributes:
        pairs: how many pairs there are.
        same: how many of them show the same person.
        different: how many do not.
        auc: area under the ROC curve.
        eer: equal error rate.
        tar_at_far: see :class:`CurveMetrics`.
        best_threshold: the threshold of the highest accuracy on these pairs.
        best_accuracy: that accuracy; optimistic, as the threshold was chosen on the same pairs.
        accuracy: mean over the folds, each at the best threshold of the other ones.
        accuracy_standard_error: of that mean; None without folds.
        folds: None if there is a single pair of a kind: then nothing is left to learn from, and
            ``accuracy`` is ``best_accuracy``.
        at_threshold: the rates at a fixed threshold; None if none was given.
        groups: by name, in alphabetical order; empty if the pairs have no groups.
    """

    pairs: int
    same: int
    different: int
    auc: float
    eer: float
    tar_at_far: dict[str, float | None]
    best_threshold: float
    best_accuracy: float
    accuracy: float
    accuracy_standard_error: float | None
    folds: Folds | None
    at_threshold: FixedThreshold | None
    groups: dict[str, GroupMetrics]

    def to_json(self) -> dict[str, Any]:
        """The fields by name; ``at_threshold`` and ``groups`` only where there are any."""
        result = asdict(self)
        if self.at_threshold is None:
            del result["at_threshold"]
        if self.groups:
            result["groups"] = {name: group.to_json() for name, group in self.groups.items()}
        else:
            del result["groups"]
        return result


def verification_metrics(
    similarities: ArrayLike,
    same: ArrayLike,
    *,
    folds: Sequence[int] | NDArray[np.int64] | None = None,
    groups: Sequence[str | None] | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> VerificationMetrics:
    """Measure how well similarities separate pairs of the same person from other pairs.

    Args:
        similarities: (N,), higher means more alike.
        same: (N,) whether a pair shows the same person.
        folds: (N,) which fold each pair belongs to; None: ten folds drawn under ``seed``, each with
            as many same and different pairs (fewer folds if there are fewer pairs).
        groups: (N,) names; every number is then also given for each group, at common thresholds.
        threshold: a fixed threshold to report on as well.
        seed: random seed of the folds.

    Raises:
        EvaluationError: see :func:`roc`.
    """
    scores, labels = checked_pairs(similarities, same)
    given = folds is not None
    if folds is None:
        count = min(FOLDS, int(labels.sum()), int((~labels).sum()))
        folds = random_folds(labels, seed, count) if count > 1 else None
    curve = _curve_metrics(scores, labels)
    best, best_accuracy = best_threshold(scores, labels)
    accuracy, error, measured = best_accuracy, None, None
    accepted = scores >= best
    if folds is not None:
        validation = cross_validate(scores, labels, folds)
        accepted = validation.accepted
        accuracy, error = validation.accuracy, validation.standard_error
        measured = Folds(given, validation.accuracies.tolist(), validation.thresholds.tolist())
    by_group: dict[str, GroupMetrics] = {}
    if groups is not None and any(groups):
        by_group = _per_group(scores, labels, accepted, groups, threshold)
    return VerificationMetrics(
        pairs=len(labels),
        same=int(labels.sum()),
        different=int((~labels).sum()),
        auc=curve.auc,
        eer=curve.eer,
        tar_at_far=curve.tar_at_far,
        best_threshold=best,
        best_accuracy=best_accuracy,
        accuracy=accuracy,
        accuracy_standard_error=error,
        folds=measured,
        at_threshold=_at_threshold(scores, labels, threshold),
        groups=by_group,
    )


def _curve_metrics(scores: Floats, labels: Bools) -> CurveMetrics:
    curve = roc(scores, labels)
    different = int((~labels).sum())
    return CurveMetrics(
        auc=curve.auc,
        eer=equal_error_rate(curve),
        tar_at_far={
            f"{far:g}": tar_at_far(curve, far) if far * different >= 1 else None
            for far in FALSE_ACCEPT_RATES
        },
    )


def _rates(accepted: Bools, labels: Bools) -> Rates:
    same, different = accepted[labels], accepted[~labels]
    return Rates(
        accuracy=float((accepted == labels).mean()),
        tar=float(same.mean()) if same.size else None,
        far=float(different.mean()) if different.size else None,
    )


def _at_threshold(scores: Floats, labels: Bools, threshold: float | None) -> FixedThreshold | None:
    if threshold is None:
        return None
    rates = _rates(scores >= threshold, labels)
    return FixedThreshold(rates.accuracy, rates.tar, rates.far, threshold)


def _per_group(
    scores: Floats,
    labels: Bools,
    accepted: Bools,
    groups: Sequence[str | None],
    threshold: float | None,
) -> dict[str, GroupMetrics]:
    names = np.array([name or "" for name in groups])
    result = {}
    for name in sorted(set(names.tolist())):
        inside = names == name
        part = labels[inside]
        both = bool(part.any()) and not part.all()
        result[name or "(none)"] = GroupMetrics(
            pairs=len(part),
            same=int(part.sum()),
            different=int((~part).sum()),
            curve=_curve_metrics(scores[inside], part) if both else None,
            rates=_rates(accepted[inside], part),
            at_threshold=_at_threshold(scores[inside], part, threshold),
        )
    return result
