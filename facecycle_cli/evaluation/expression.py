"""Facial expressions by a linear classifier on frozen features (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.expression_data import Expressions, with_validation
from facecycle_cli.evaluation.features import Extracted, Extractor, extract
from facecycle_cli.evaluation.probes import fit_classifier
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import CropResult, CropSettings, crop_faces

__all__ = ["classification_metrics", "evaluate_expression"]


def classification_metrics(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, Any]:
    """Accuracy over samples, recall per class and their mean, and the confusion matrix.

    Args:
        truth: N class names.
        predicted: N class names.

    Returns:
        ``pictures``, ``accuracy``, ``macro_recall`` (over the classes that occur), ``recall`` and
        ``class_counts`` by class, ``classes``, and ``confusion`` with a row per true class.

    Raises:
        DataError: nothing to count.
    """
    if not truth:
        raise DataError("there are no pictures to test on")
    classes = sorted({*truth, *predicted})
    index = {name: i for i, name in enumerate(classes)}
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for true, guess in zip(truth, predicted, strict=True):
        confusion[index[true], index[guess]] += 1
    counts = confusion.sum(axis=1)
    recall = {
        name: float(confusion[i, i] / counts[i]) for i, name in enumerate(classes) if counts[i]
    }
    return {
        "pictures": len(truth),
        "accuracy": float(np.trace(confusion) / len(truth)),
        "macro_recall": float(np.mean(list(recall.values()))),
        "recall": recall,
        "class_counts": {name: int(counts[i]) for i, name in enumerate(classes)},
        "classes": classes,
        "confusion": confusion.tolist(),
    }


def evaluate_expression(
    data: Expressions,
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    seed: int = 0,
    on_done: Callable[[CropResult], None] | None = None,
) -> dict[str, Any]:
    """Train a linear classifier on each extractor's features, and test it.

    Args:
        data: labeled pictures; without a validation split a tenth of the training one is held back
            to choose the regularization, and returned to it for the final fit.
        extractors: by name.
        settings: how pictures become crops.
        backend: finds the faces.
        seed: of what is held back.
        on_done: called for every picture.

    Returns:
        ``layout``; ``counts`` of pictures; ``chance``, the accuracy of always naming the most
        frequent class; ``problems`` as (name, reason) pairs; and ``results`` per extractor: see
        :func:`classification_metrics`, and the chosen ``penalty``.

    Raises:
        DataError: a split is empty, or the training split holds a single class.
    """
    held_back = "validation" not in data.splits
    data = with_validation(data, seed)
    names: list[str] = []

    def remember(face: CropResult) -> None:
        names.append(face.name)
        if on_done is not None:
            on_done(face)

    found = extract(crop_faces(data.open(), settings, backend), extractors, on_done=remember)
    usable = {
        split: [i for i, s in enumerate(data.splits) if s == split and found.rows[i] >= 0]
        for split in ("train", "validation", "test")
    }
    truth = [data.labels[i] for i in usable["test"]]
    results = {
        name: _probe(data, found, features, usable, held_back)
        for name, features in found.features.items()
    }
    return {
        "layout": data.layout,
        "counts": {
            **{split: len(members) for split, members in usable.items()},
            "skipped": len(found.problems),
            "whole_pictures": found.whole,
        },
        "chance": max(truth.count(name) for name in set(truth)) / len(truth),
        "problems": [(names[i], error) for i, error in found.problems.items()],
        "results": results,
    }


def _probe(
    data: Expressions,
    found: Extracted,
    features: np.ndarray,
    usable: Mapping[str, Sequence[int]],
    held_back: bool,
) -> dict[str, Any]:
    def rows(split: str) -> np.ndarray:
        return features[found.rows[usable[split]]]

    def labels(split: str) -> list[str]:
        return [data.labels[i] for i in usable[split]]

    validation = rows("validation"), labels("validation")
    classifier = fit_classifier(rows("train"), labels("train"), *validation)
    if held_back:  # it was ours to choose with, and belongs to the training split
        both = np.concatenate((rows("train"), validation[0]))
        everything = labels("train") + validation[1]
        final = fit_classifier(both, everything, *validation, strengths=[classifier.strength])
    else:
        final = classifier
    truth, predicted = labels("test"), final.predict(rows("test"))
    metrics = classification_metrics(truth, predicted)
    metrics["penalty"] = classifier.strength
    metrics["validation_accuracy"] = classifier.validation_accuracy
    metrics["dimensions"] = int(features.shape[1])
    groups = [data.groups[i] for i in usable["test"]]
    if any(groups):
        metrics["groups"] = _per_group(truth, predicted, groups)
    return metrics


def _per_group(
    truth: Sequence[str], predicted: Sequence[str], groups: Sequence[str | None]
) -> dict[str, Any]:
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group or "(none)", []).append(i)
    return {
        name: classification_metrics([truth[i] for i in part], [predicted[i] for i in part])
        for name, part in sorted(members.items())
    }
