"""Linear regression of the head pose from frozen features (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.left_out import with_problems
from facecycle_cli.evaluation.pose_data import ANGLES, Poses
from facecycle_cli.evaluation.probes import cross_validated_regression, regress
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import CropResult, CropSettings, crop_faces
from facecycle_cli.verify.features import Extractor, extract_features

__all__ = ["PoseErrors", "PoseResult", "evaluate_pose", "pose_errors"]

_CONSTANT = "constant"
"""The baseline that always predicts the mean pose."""


@dataclass(frozen=True)
class PoseErrors:
    """Mean absolute errors in degrees.

    Attributes:
        pictures: how many there were.
        angles: of yaw, pitch and roll, by name.
        mean: over the three angles.
        groups: of each group of persons; empty if the data has no groups.
    """

    pictures: int
    angles: dict[str, float]
    mean: float
    groups: dict[str, PoseErrors] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One flat object; ``groups`` only where there are any."""
        result: dict[str, Any] = {
            "pictures": self.pictures,
            **{f"mae_{name}": error for name, error in self.angles.items()},
            "mae_mean": self.mean,
        }
        if self.groups:
            result["groups"] = {name: group.to_json() for name, group in self.groups.items()}
        return result


def pose_errors(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> PoseErrors:
    """Mean absolute errors; both (N, 3): yaw, pitch and roll in degrees.

    Raises:
        DataError: there are no pictures.
    """
    if not len(truth):
        raise DataError("there are no pictures to measure poses on")
    errors = np.abs(truth - predicted).mean(axis=0)
    angles = {name: float(errors[i]) for i, name in enumerate(ANGLES)}
    return PoseErrors(len(truth), angles, float(errors.mean()))


@dataclass(frozen=True)
class PoseResult:
    """Regressions from several representations on the same pictures.

    Attributes:
        layout: which form the data was found in.
        protocol: what was fitted on what, in words.
        counts: of pictures, by kind; ``skipped`` has all problems, ``damaged`` those whose pose
            cannot be read, if there are any.
        problems: (name, reason) of each picture that could not be used.
        truth: (N, 3) yaw, pitch, roll in degrees.
        predicted: for each representation (N, 3).
        results: for each representation.
    """

    layout: str
    protocol: str
    counts: dict[str, int]
    problems: list[tuple[str, Exception]]
    truth: NDArray[np.float64]
    predicted: dict[str, NDArray[np.float64]]
    results: dict[str, PoseErrors]

    def to_json(self) -> dict[str, Any]:
        """The numbers, without problems and predictions."""
        return {
            "layout": self.layout,
            "protocol": self.protocol,
            "counts": self.counts,
            "results": {name: errors.to_json() for name, errors in self.results.items()},
        }


@dataclass(frozen=True)
class _UsablePoses:
    """Pictures with features: their positions in the data, and why the rest have none."""

    positions: list[int]
    features: dict[str, NDArray[np.float32]]
    problems: list[tuple[str, Exception]]


def evaluate_pose(
    data: Poses,
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    training: Poses | None = None,
    seed: int = 0,
    on_done: Callable[[CropResult], None] | None = None,
) -> PoseResult:
    """Predict each picture's pose by a regression that has not seen its person or video.

    Args:
        data: pictures to predict.
        extractors: by name; ``constant``, which always predicts the mean, is added.
        settings: how pictures become crops (crops of an index are taken as they are).
        backend: finds the faces.
        training: another data set to fit on; None: five folds of ``data`` itself.
        seed: random seed of the folds.
        on_done: called for every picture.

    Raises:
        DataError: no picture can be used, or all are of one person or video.
        MissingExtraError: scikit-learn is not installed.
    """

    def usable(poses: Poses) -> _UsablePoses:
        names: list[str] = []

        def remember(face: CropResult) -> None:
            names.append(face.name)
            if on_done is not None:
                on_done(face)

        how = replace(settings, aligned=settings.aligned or poses.aligned, whole_if_no_face=False)
        crops = crop_faces(poses.open(), how, backend)
        found = extract_features(crops, extractors, on_done=remember)
        positions = [i for i in range(len(poses)) if found.rows[i] >= 0]
        problems = [(names[i], error) for i, error in found.problems.items()]
        return _UsablePoses(positions, found.features, problems)

    used = usable(data)
    damaged = data.problems + (training.problems if training else [])
    if not used.positions:
        raise with_problems(
            DataError("no face was found in any of the pictures"), damaged + used.problems
        )
    truth = data.angles[used.positions]
    counts = {
        "pictures": len(used.positions),
        "skipped": len(damaged) + len(used.problems),
        "beyond_99_degrees": data.left_out,
    }
    if damaged:
        counts["damaged"] = len(damaged)
    predicted: dict[str, NDArray[np.float64]] = {}
    if training is None:
        constant = {_CONSTANT: np.zeros((len(truth), 1), np.float32)}
        sources = [data.sources[i] for i in used.positions]
        for name, values in (used.features | constant).items():
            predicted[name] = cross_validated_regression(values, truth, sources, seed=seed)
        protocol = "5-fold, no person or video on both sides"
    else:
        known = usable(training)
        if not known.positions:
            raise with_problems(
                DataError("no face was found in any of the training pictures"), known.problems
            )
        targets = training.angles[known.positions]
        for name, values in used.features.items():
            predicted[name] = regress(known.features[name], targets, values)
        predicted[_CONSTANT] = np.broadcast_to(targets.mean(axis=0), truth.shape)
        protocol = f"fitted on {training.layout}"
        counts["training_pictures"] = len(known.positions)
    groups = [data.groups[i] for i in used.positions]
    return PoseResult(
        layout=data.layout,
        protocol=protocol,
        counts=counts,
        problems=damaged + used.problems,
        truth=truth,
        predicted=predicted,
        results={name: _errors(truth, values, groups) for name, values in predicted.items()},
    )


def _errors(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], groups: Sequence[str | None]
) -> PoseErrors:
    errors = pose_errors(truth, predicted)
    if not any(groups):
        return errors
    names = np.array([group or "(none)" for group in groups])
    by_group = {
        name: pose_errors(truth[names == name], predicted[names == name])
        for name in sorted(set(names.tolist()))
    }
    return replace(errors, groups=by_group)
