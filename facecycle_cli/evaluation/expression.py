"""Facial expressions by a linear classifier on frozen features (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.expression_data import Expressions, with_validation
from facecycle_cli.evaluation.expression_pcl import fit_linear_layer
from facecycle_cli.evaluation.left_out import crop_listed, with_problems
from facecycle_cli.evaluation.probes import fit_classifier
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import CropResult, CropSettings
from facecycle_cli.system import import_extra
from facecycle_cli.types import ExpressionProtocol
from facecycle_cli.verify.features import Extractor, extract_features

__all__ = [
    "ClassificationMetrics",
    "ExpressionResult",
    "ProbeResult",
    "classification_metrics",
    "evaluate_expression",
]


@dataclass(frozen=True)
class ClassificationMetrics:
    """How well classes were predicted.

    Attributes:
        pictures: how many there were.
        accuracy: share of the pictures whose class was predicted.
        macro_recall: mean recall over the classes that occur.
        recall: of each class that occurs.
        class_counts: pictures of each class.
        classes: names, in the order of ``confusion``.
        confusion: counts; a row for each true class, a column for each predicted one.
    """

    pictures: int
    accuracy: float
    macro_recall: float
    recall: dict[str, float]
    class_counts: dict[str, int]
    classes: list[str]
    confusion: list[list[int]]


def classification_metrics(truth: Sequence[str], predicted: Sequence[str]) -> ClassificationMetrics:
    """Accuracy over samples, recall of each class and their mean, and the confusion matrix.

    Args:
        truth: N class names.
        predicted: N class names.

    Raises:
        DataError: there are no samples.
        MissingExtraError: scikit-learn is not installed.
    """
    if not truth:
        raise DataError("there are no pictures to test on")
    classes = sorted({*truth, *predicted})
    metrics = import_extra("sklearn.metrics")
    confusion: NDArray[np.int64] = metrics.confusion_matrix(truth, predicted, labels=classes)
    counts = confusion.sum(axis=1)
    recall = {
        name: float(confusion[i, i] / counts[i]) for i, name in enumerate(classes) if counts[i]
    }
    return ClassificationMetrics(
        pictures=len(truth),
        accuracy=float(np.trace(confusion) / len(truth)),
        macro_recall=float(np.mean(list(recall.values()))),
        recall=recall,
        class_counts={name: int(counts[i]) for i, name in enumerate(classes)},
        classes=classes,
        confusion=confusion.tolist(),
    )


@dataclass(frozen=True)
class ProbeResult:
    """What a linear classifier on one representation achieved.

    Attributes:
        metrics: on the test split.
        fit: how the classifier came about. ``validated``: ``penalty``, the L2 penalty that was
            chosen on the validation split, and ``validation_accuracy`` of every one that was tried.
            ``pcl``: ``best_epoch`` on the test split and its ``best_epoch_accuracy``.
        dimensions: length of the features.
        groups: metrics of each group of persons; empty if the data has no groups.
    """

    metrics: ClassificationMetrics
    fit: dict[str, Any]
    dimensions: int
    groups: dict[str, ClassificationMetrics] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One flat object; ``groups`` only where there are any."""
        result = {**asdict(self.metrics), **self.fit, "dimensions": self.dimensions}
        if self.groups:
            result["groups"] = {name: asdict(group) for name, group in self.groups.items()}
        return result


@dataclass(frozen=True)
class ExpressionResult:
    """Linear probes of several representations on the same pictures.

    Attributes:
        layout: which form the data was found in.
        split_counts: usable pictures of each split.
        whole_pictures: how many were taken whole, because no face was found in them.
        chance: accuracy of always naming the most frequent class.
        problems: (name, reason) of each picture that could not be used.
        results: for each representation.
        protocol: how the classifiers were trained.
    """

    layout: str
    split_counts: dict[str, int]
    whole_pictures: int
    chance: float
    problems: list[tuple[str, Exception]]
    results: dict[str, ProbeResult]
    protocol: ExpressionProtocol = "validated"

    def to_json(self) -> dict[str, Any]:
        """Everything but the problems, of which only the number is told."""
        return {
            "layout": self.layout,
            "protocol": self.protocol,
            "counts": {
                **self.split_counts,
                "skipped": len(self.problems),
                "whole_pictures": self.whole_pictures,
            },
            "chance": self.chance,
            "results": {name: result.to_json() for name, result in self.results.items()},
        }


def evaluate_expression(
    data: Expressions,
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    protocol: ExpressionProtocol = "validated",
    seed: int = 0,
    on_done: Callable[[CropResult], None] | None = None,
) -> ExpressionResult:
    """Train a linear classifier on each extractor's features, and test it.

    Args:
        data: labeled pictures. Without a validation split a tenth of the training split is held
            out to choose the regularization; the final fit has it back.
        extractors: by name.
        settings: how pictures become crops.
        backend: finds the faces.
        protocol: ``validated`` chooses the regularization. ``pcl`` trains a layer without any
            (:mod:`~facecycle_cli.evaluation.expression_pcl`); the features should be those of
            :func:`~facecycle_cli.evaluation.expression_pcl.pcl_extractor`.
        seed: random seed of what is held out, and of the layer.
        on_done: called for every picture.

    Raises:
        DataError: a split is empty, or the training split holds a single class.
        MissingExtraError: scikit-learn is not installed.
    """
    held_out = "validation" not in data.splits
    if protocol == "validated":
        data = with_validation(data, seed)
    names: list[str] = []

    def remember(face: CropResult) -> None:
        names.append(face.name)
        if on_done is not None:
            on_done(face)

    crops = crop_listed(data.open(), settings, backend)
    found = extract_features(crops, extractors, on_done=remember)
    usable = {
        split: [i for i, s in enumerate(data.splits) if s == split and found.rows[i] >= 0]
        for split in ("train", "validation", "test")
    }
    problems = data.problems + [(names[i], error) for i, error in found.problems.items()]
    truth = [data.labels[i] for i in usable["test"]]
    try:
        split = _Usable(data, found.rows, usable, held_out, seed)
        probe = _validated if protocol == "validated" else _pcl
        results = {name: probe(split, features) for name, features in found.features.items()}
    except DataError as error:
        raise with_problems(error, problems) from None
    return ExpressionResult(
        layout=data.layout,
        split_counts={split: len(members) for split, members in usable.items()},
        whole_pictures=found.whole,
        chance=max(truth.count(name) for name in set(truth)) / len(truth),
        problems=problems,
        results=results,
        protocol=protocol,
    )


@dataclass(frozen=True)
class _Usable:
    """The pictures that have features.

    Attributes:
        data: all pictures.
        rows: (N,) for each picture its row among the features.
        positions: of each split's usable pictures in ``data``.
        held_out: the validation split is a part of the training split.
        seed: random seed.
    """

    data: Expressions
    rows: NDArray[np.int64]
    positions: Mapping[str, Sequence[int]]
    held_out: bool
    seed: int

    def split(
        self, name: str, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Features and labels of a split."""
        chosen = self.positions[name]
        values: NDArray[np.float32] = features[self.rows[list(chosen)]]
        return values, [self.data.labels[i] for i in chosen]

    def result(
        self, predicted: list[str], fit: dict[str, Any], features: NDArray[np.float32]
    ) -> ProbeResult:
        """The metrics of predictions for the test split."""
        chosen = self.positions["test"]
        truth = [self.data.labels[i] for i in chosen]
        groups = [self.data.groups[i] for i in chosen]
        return ProbeResult(
            metrics=classification_metrics(truth, predicted),
            fit=fit,
            dimensions=int(features.shape[1]),
            groups=_per_group(truth, predicted, groups) if any(groups) else {},
        )


def _validated(usable: _Usable, features: NDArray[np.float32]) -> ProbeResult:
    (train, labels), validation = (usable.split(n, features) for n in ("train", "validation"))
    classifier = final = fit_classifier(train, labels, *validation)
    if usable.held_out:  # these pictures belong to the training split
        both = np.concatenate((train, validation[0]))
        strengths = [classifier.strength]
        final = fit_classifier(both, labels + validation[1], *validation, strengths=strengths)
    predicted = final.predict(usable.split("test", features)[0])
    fit = {
        "penalty": classifier.strength,
        "validation_accuracy": classifier.validation_accuracy,
    }
    return usable.result(predicted, fit, features)


def _pcl(usable: _Usable, features: NDArray[np.float32]) -> ProbeResult:
    test = usable.split("test", features)
    layer = fit_linear_layer(*usable.split("train", features), *test, seed=usable.seed)
    fit = {"best_epoch": layer.best_epoch, "best_epoch_accuracy": layer.best_accuracy}
    return usable.result(layer.predict(test[0]), fit, features)


def _per_group(
    truth: Sequence[str], predicted: Sequence[str], groups: Sequence[str | None]
) -> dict[str, ClassificationMetrics]:
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group or "(none)", []).append(i)
    return {
        name: classification_metrics([truth[i] for i in part], [predicted[i] for i in part])
        for name, part in sorted(members.items())
    }
