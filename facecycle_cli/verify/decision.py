"""Which similarity decides about a list of pairs, and the checkpoint that then carries it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facecycle_cli.errors import CheckpointError
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.checkpoint import annotate
from facecycle_cli.verify.pairs import Matches, PairStatistics
from facecycle_cli.verify.threshold import (
    Calibration,
    stored_threshold,
    threshold_at_stored_far,
)

__all__ = ["DecisionRule", "write_calibrated"]


@dataclass(frozen=True)
class DecisionRule:
    """How the threshold of a list of pairs is chosen.

    Attributes:
        threshold: a fixed one, -1..1; None: the one that the checkpoint carries.
        far: choose it for this false-accept rate instead: that of the labeled pairs, or the one
            that the checkpoint carries.
        calibrated: choose it by the labeled pairs, also without ``far``.
    """

    threshold: float | None = None
    far: float | None = None
    calibrated: bool = False

    def fixed(self, model: FaceCycle) -> float | None:
        """The threshold that was given or that the checkpoint carries; None if there is none.

        Raises:
            ThresholdError: what is stored is damaged.
        """
        if self.threshold is not None:
            return self.threshold
        stored = stored_threshold(model)
        return None if stored is None else stored.value

    def at_stored_far(self, model: FaceCycle) -> float:
        """The threshold that the checkpoint carries for ``far``.

        Raises:
            ThresholdError: there is none for it, or no ``far`` is given, or it is damaged.
        """
        return threshold_at_stored_far(model, self.far or 0.0).value

    def statistics(
        self, matches: Matches, measured: str, fixed: float | None, *, measured_on: str, seed: int
    ) -> PairStatistics:
        """All numbers of the labeled pairs.

        Args:
            matches: the compared pairs.
            measured: the extractor in question; the other ones are baselines.
            fixed: the threshold to report on, if the rule does not choose one by the pairs; None:
                the best one.
            measured_on: which pairs these are, in words.
            seed: random seed of drawn folds.

        Raises:
            EvaluationError: there are no labeled pairs, all are of one kind, or too few for
                ``far``.
        """
        labeled = matches.labeled(measured)
        calibration = labeled.calibration(measured_on, far=self.far)
        if self.far is not None or self.calibrated:
            fixed = calibration.threshold
        return PairStatistics(
            metrics=labeled.metrics(threshold=fixed, seed=seed),
            baselines={
                name: matches.labeled(name).metrics(seed=seed)
                for name in matches.similarities
                if name != measured
            },
            calibration=calibration,
        )


def write_calibrated(
    path: str | os.PathLike[str], calibration: Calibration, model: FaceCycle, *, aligner: str
) -> None:
    """Write a copy of the model's checkpoint that carries a threshold.

    Args:
        path: the file; its folder is made.
        calibration: the threshold, and what it was measured on.
        model: networks from a checkpoint.
        aligner: what aligned the faces that were compared.

    Raises:
        CheckpointError: the model is from no checkpoint.
        OSError: it cannot be written.
    """
    source = model.checkpoint
    if source is None:
        raise CheckpointError("this needs the weights of a checkpoint")
    entry = calibration.to_json()
    # A threshold that accepts nothing lies a little above the highest cosine, and checkpoints hold
    # cosines.
    entry["threshold"] = _cosine(calibration.threshold)
    entry["thresholds"] = {rate: _cosine(v) for rate, v in calibration.thresholds.items()}
    traced = {**entry, "weights_sha256": source.sha256, "aligner": aligner}
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    annotate(source, target, {"verification": traced})


def _cosine(value: float) -> float:
    return min(1.0, max(-1.0, value))
