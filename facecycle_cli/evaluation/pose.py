"""Linear regression of the head pose from frozen features (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.features import Extractor, extract
from facecycle_cli.evaluation.pose_data import ANGLES, Poses
from facecycle_cli.evaluation.probes import cross_validated_regression, regress
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import CropResult, CropSettings, crop_faces

__all__ = ["evaluate_pose", "pose_errors"]


def pose_errors(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Mean absolute error in degrees of each angle, and their mean. Both (N, 3): yaw, pitch, roll.

    Raises:
        DataError: nothing to measure.
    """
    if not len(truth):
        raise DataError("there are no pictures to measure poses on")
    errors = np.abs(truth - predicted).mean(axis=0)
    return {
        "pictures": len(truth),
        **{f"mae_{name}": float(errors[i]) for i, name in enumerate(ANGLES)},
        "mae_mean": float(errors.mean()),
    }


def evaluate_pose(
    data: Poses,
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    training: Poses | None = None,
    seed: int = 0,
    on_done: Callable[[CropResult], None] | None = None,
) -> dict[str, Any]:
    """Predict each picture's pose by a regression that has not seen its person or video.

    Args:
        data: pictures to predict.
        extractors: by name; ``constant``, which always predicts the mean, is added.
        settings: how pictures become crops (crops of an index are taken as they are).
        backend: finds the faces.
        training: another data set to fit on; by default five folds of ``data`` itself.
        seed: of the folds.
        on_done: called for every picture.

    Returns:
        ``layout``; ``protocol``; ``counts``; ``problems`` as (name, reason) pairs; ``truth``
        (N, 3); ``predicted`` and ``results`` per extractor: see :func:`pose_errors`.

    Raises:
        DataError: no picture can be used, or all are of one person or video.
    """
    names: list[str] = []

    def remember(face: CropResult) -> None:
        names.append(face.name)
        if on_done is not None:
            on_done(face)

    def usable(poses: Poses) -> tuple[list[int], dict[str, np.ndarray], dict[int, Exception]]:
        how = CropSettings(
            settings.size, aligned=settings.aligned or poses.aligned, min_face=settings.min_face
        )
        found = extract(crop_faces(poses.open(), how, backend), extractors, on_done=remember)
        return [i for i in range(len(poses)) if found.rows[i] >= 0], found.features, found.problems

    used, features, problems = usable(data)
    truth = data.angles[used]
    if not used:
        raise DataError("no face was found in any of the pictures")
    sources = [data.sources[i] for i in used]
    skipped = [(names[i], error) for i, error in problems.items()]
    constant = {"constant": np.zeros((len(used), 1), np.float32)}
    counts = {"pictures": len(used), "skipped": len(problems), "beyond_99_degrees": data.left_out}
    predicted: dict[str, np.ndarray] = {}
    if training is None:
        for name, values in (features | constant).items():
            predicted[name] = cross_validated_regression(values, truth, sources, seed=seed)
        protocol = "5-fold, no person or video on both sides"
    else:
        fitted, known, _ = usable(training)
        if not fitted:
            raise DataError("no face was found in any of the training pictures")
        targets = training.angles[fitted]
        for name, values in features.items():
            predicted[name] = regress(known[name], targets, values)
        predicted["constant"] = np.broadcast_to(targets.mean(axis=0), truth.shape)
        protocol = f"fitted on {training.layout}"
        counts["training_pictures"] = len(fitted)
    groups = [data.groups[i] for i in used]
    return {
        "layout": data.layout,
        "protocol": protocol,
        "counts": counts,
        "problems": skipped,
        "truth": truth,
        "predicted": predicted,
        "results": {name: _errors(truth, values, groups) for name, values in predicted.items()},
    }


def _errors(
    truth: np.ndarray, predicted: np.ndarray, groups: Sequence[str | None]
) -> dict[str, Any]:
    result = pose_errors(truth, predicted)
    if any(groups):
        names = np.array([group or "(none)" for group in groups])
        result["groups"] = {
            name: pose_errors(truth[names == name], predicted[names == name])
            for name in sorted(set(names.tolist()))
        }
    return result
