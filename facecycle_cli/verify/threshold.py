"""The similarity that decides: stored in a checkpoint, and set from labeled pairs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import ArrayLike

from facecycle_cli.errors import EvaluationError, ThresholdError
from facecycle_cli.model import FaceCycle
from facecycle_cli.verify.logistic import (
    Logistic,
    fit_logistic,
    logistic_from_json,
    logistic_of_rates,
)
from facecycle_cli.verify.roc import (
    balanced_threshold,
    checked_pairs,
    roc,
    threshold_at_far,
)

__all__ = [
    "Calibration",
    "Threshold",
    "calibrate",
    "stored_logistic",
    "stored_threshold",
    "threshold_at_stored_far",
]

_KEPT_RATES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)
"""False-accept rates whose thresholds :func:`calibrate` keeps, where there are pairs enough."""

_BEYOND = 1e-5
"""A threshold that accepts nothing may lie so far above the highest cosine, 1."""


@dataclass(frozen=True)
class Threshold:
    """Minimum similarity to call two faces the same person.

    Attributes:
        value: of the cosine, -1..1.
        far: share of the pairs of different persons that it accepts; None if not measured.
        measured_on: which pairs these were, in words; None if not measured.
    """

    value: float
    far: float | None = None
    measured_on: str | None = None


def stored_threshold(model: FaceCycle) -> Threshold | None:
    """The threshold that the model's checkpoint carries; None if it carries none.

    Raises:
        ThresholdError: what is stored is damaged.
    """
    stored = _stored(model)
    try:
        rate, measured_on = stored.get("far"), stored.get("measured_on")
        if "threshold" not in stored:
            return None
        far = None if rate is None else _rate(rate)
        return Threshold(_cosine(stored["threshold"]), far, _words(measured_on))
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise _damaged() from None


def threshold_at_stored_far(model: FaceCycle, far: float) -> Threshold:
    """The threshold that the model's checkpoint carries for a false-accept rate.

    Raises:
        ThresholdError: there is none for that rate (the message says which there are), or what is
            stored is damaged.
    """
    stored = _stored(model)
    try:
        thresholds = stored.get("thresholds", {}).items()
        rates = {_rate(rate): _cosine(value) for rate, value in thresholds}
        measured_on = _words(stored.get("measured_on"))
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    if far in rates:
        return Threshold(rates[far], far, measured_on)
    if not rates:
        raise ThresholdError("this checkpoint knows no thresholds for false-accept rates")
    known = ", ".join(f"{rate:g}" for rate in sorted(rates))
    raise ThresholdError(f"no threshold for a false-accept rate of {far:g} (there are: {known})")


def stored_logistic(model: FaceCycle) -> Logistic | None:
    """What turns a similarity into a probability: as the model's checkpoint carries it, or as its
    table of thresholds implies it; None if it has neither.

    Raises:
        ThresholdError: what is stored is damaged.
    """
    stored = _stored(model)
    try:
        if "logistic" in stored:
            return logistic_from_json(stored["logistic"])
        rates = {_rate(rate): _cosine(v) for rate, v in stored.get("thresholds", {}).items()}
        if "threshold" not in stored or "tar" not in stored or len(rates) < 2:
            return None
        threshold, tar = _cosine(stored["threshold"]), _rate(stored["tar"])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise _damaged() from None
    with suppress(EvaluationError):
        return logistic_of_rates(rates, threshold, tar)
    return None


def _stored(model: FaceCycle) -> Mapping[str, Any]:
    info = model.checkpoint
    return (info.metadata if info else {}).get("verification") or {}


def _cosine(value: Any) -> float:
    """A threshold as metadata hold it, which may hold anything."""
    number = float(value)
    if not abs(number) <= 1 + _BEYOND:
        raise ValueError("not a cosine")
    return number


def _rate(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError("not a rate")
    return number


def _words(value: Any) -> str | None:
    return None if value is None else str(value)


def _damaged() -> ThresholdError:
    return ThresholdError("the checkpoint's entry `verification` is damaged")


@dataclass(frozen=True)
class Calibration:
    """A threshold set from labeled pairs: the entry ``verification`` of a checkpoint's metadata.

    Attributes:
        threshold: minimum similarity to call two faces the same person.
        set_for: what it was chosen for, in words.
        far: share of the different pairs that it accepts.
        tar: share of the same pairs that it accepts.
        pairs: how many pairs there were.
        same: how many of them show the same person.
        measured_on: which pairs these were, in words.
        thresholds: for a range of false-accept rates (as text), what ``--far`` looks up.
        logistic: ``slope`` and ``intercept`` of :class:`.Logistic`, fitted to these pairs.
    """

    threshold: float
    set_for: str
    far: float
    tar: float
    pairs: int
    same: int
    measured_on: str
    thresholds: dict[str, float]
    logistic: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def calibrate(
    similarities: ArrayLike, same: ArrayLike, *, measured_on: str, far: float | None = None
) -> Calibration:
    """Set a threshold from labeled pairs.

    Args:
        similarities: (N,) of pairs that the model has not been trained on.
        same: (N,) whether they show the same person.
        measured_on: which pairs these are, in words.
        far: the false-accept rate that the threshold is set for; None: the threshold of the best
            balanced accuracy, in which both kinds of pairs count as much.

    Raises:
        EvaluationError: see :func:`~facecycle_cli.verify.roc.roc`; or there are too few pairs
            for ``far``.
    """
    scores, labels = checked_pairs(similarities, same)
    curve = roc(scores, labels)
    different = int((~labels).sum())
    if far is None:
        threshold = balanced_threshold(scores, labels)
        set_for = "best balanced accuracy"
    else:
        if far * different < 1:
            pairs = "1 pair" if different == 1 else f"{different} pairs"
            raise EvaluationError(
                f"{pairs} of different persons cannot show a false-accept rate of {far:g}"
            )
        threshold = threshold_at_far(curve, far)
        set_for = f"a false-accept rate of {far:g}"
    rates = {r for r in (*_KEPT_RATES, far or 0.0) if 0 < r < 1 and r * different >= 1}
    return Calibration(
        threshold=threshold,
        set_for=set_for,
        far=float((scores[~labels] >= threshold).mean()),
        tar=float((scores[labels] >= threshold).mean()),
        pairs=len(scores),
        same=len(scores) - different,
        measured_on=measured_on,
        thresholds={
            f"{rate:g}": threshold_at_far(curve, rate) for rate in sorted(rates, reverse=True)
        },
        logistic=asdict(fit_logistic(scores, labels)),
    )
