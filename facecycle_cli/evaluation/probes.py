"""Linear probes: how much of a label one linear map can read off frozen features.

The encoder is never trained here. Features are standardized with the training split's statistics
(scikit-learn), and the strength of the regularization is chosen on pictures that are neither for
training nor for testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.system import import_extra
from facecycle_cli.types import Features
from facecycle_cli.verify.features import Extractor

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

__all__ = [
    "Classifier",
    "cross_validated_regression",
    "expression_extractor",
    "fit_classifier",
    "regress",
    "standardizer",
]

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""L2 penalties that are tried, strongest first: each fit starts from the one before."""

_ITERATIONS = 200
"""Of L-BFGS, at most, for each penalty."""

_PATIENCE = 3
"""Penalties in a row that may be no better than the best one before the search ends."""

_NEGLIGIBLE = 1e-6
"""Variance of a principal axis, relative to the largest, below which the axis is left out."""

_ALPHAS = np.logspace(-1, 5, 13)
"""Ridge penalties that are tried."""


# -- features -------------------------------------------------------------------------------------


def expression_extractor(model: FaceCycle, kind: Features, *, mirrored: bool = False) -> Extractor:
    """Frozen features of the expression encoder.

    Args:
        model: the networks.
        kind: ``code``, the expression code (256 numbers), or ``conv``, the last convolution,
            flattened.
        mirrored: average over the face and its mirror image, which shows the same expression (but
            another pose).
    """

    @torch.inference_mode()
    def features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = model.to_input(resize_crops(crops, model.config.image_size))
        encoder = model.expression_encoder
        if mirrored:
            x = torch.cat((x, x.flip(-1)))
        values: torch.Tensor = encoder(x) if kind == "code" else encoder.features(x)
        if mirrored:
            values = torch.stack(values.chunk(2)).mean(0)
        result: NDArray[np.float32] = values.float().cpu().numpy()
        return result

    return features


# -- classification -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classifier:
    """A multinomial logistic regression.

    Attributes:
        classes: names, in the order of the outputs.
        scaler: what its inputs go through.
        weights: (D, C).
        bias: (C,).
        strength: the L2 penalty that was chosen.
        validation_accuracy: of every penalty that was tried, in their order.
    """

    classes: list[str]
    scaler: StandardScaler
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    validation_accuracy: dict[str, float]

    def predict(self, features: NDArray[np.float32]) -> list[str]:
        """The most likely class of each row (N, D)."""
        logits = self.scaler.transform(features) @ self.weights + self.bias
        return [self.classes[i] for i in logits.argmax(axis=1)]


def fit_classifier(
    train: NDArray[np.float32],
    labels: Sequence[str],
    validation: NDArray[np.float32],
    validation_labels: Sequence[str],
    strengths: Sequence[float] = STRENGTHS,
) -> Classifier:
    """Multinomial logistic regression with an L2 penalty chosen on the validation split.

    Args:
        train, labels: (N, D) features and N class names to fit.
        validation, validation_labels: to choose the penalty by accuracy.
        strengths: penalties to try, strongest first; once three in a row have not been better than
            the best before them, weaker ones are not tried.

    Raises:
        DataError: a single class, or nothing to fit or to choose with.
        MissingExtraError: scikit-learn is not installed.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise DataError("a classifier needs training pictures of two classes")
    if not len(validation):
        raise DataError("there are no validation pictures to choose the regularization with")
    scaler = standardizer(train)
    y = torch.tensor([classes.index(label) for label in labels])
    solver = _Solver(torch.from_numpy(scaler.transform(train)), y, len(classes))
    held_out = scaler.transform(validation)
    tried: list[tuple[float, float, NDArray[np.float32], NDArray[np.float32]]] = []
    for strength in strengths:
        weights, bias = solver.solve(strength)
        chosen = (held_out @ weights + bias).argmax(axis=1)
        hits = [classes[i] == label for i, label in zip(chosen, validation_labels, strict=True)]
        tried.append((float(np.mean(hits)), strength, weights, bias))
        best = max(tried, key=lambda t: t[0])  # of equally good ones the strongest
        if tried.index(best) < len(tried) - _PATIENCE:
            break
    accuracies = {f"{strength:g}": accuracy for accuracy, strength, *_ in tried}
    return Classifier(classes, scaler, best[2], best[3], best[1], accuracies)


def standardizer(features: NDArray[np.float32]) -> StandardScaler:
    """Zero mean and unit variance for each of the training split's features (N, D).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    return import_extra("sklearn.preprocessing").StandardScaler().fit(features)


class _Solver:
    """Minimizes mean cross-entropy + strength / 2 * |weights|^2 by L-BFGS in torch.

    Neighboring pixels of a feature map say nearly the same, which makes the problem so ill
    conditioned that plain L-BFGS takes hundreds of steps. The features are therefore turned to
    their principal axes, where the Hessian is nearly diagonal, and scaled by its diagonal; the
    solution is the same, and is found in a tenth of the steps. Each penalty starts from the
    solution of the one before. On 7,200 faces this takes a third of the time of scikit-learn's
    L-BFGS for the same accuracy (256 as well as 1,536 features).

    Args:
        x: (N, D) standardized features.
        y: (N,) class numbers.
        classes: how many classes there are.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, classes: int) -> None:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        kept = variances > _NEGLIGIBLE * variances[-1]
        self._variances, self._axes = variances[kept], axes[:, kept]
        self._x, self._y = x @ self._axes, y
        self._weights = torch.zeros(classes, int(kept.sum()))
        self._bias = torch.zeros(classes)

    def solve(self, strength: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights (D, C) and bias (C,)."""
        classes = len(self._bias)
        # The Hessian's diagonal where all classes are equally likely.
        scale = (self._variances / classes + strength).rsqrt()
        x = self._x * scale
        penalty = strength / 2 * scale.square()
        # (C, D), not (D, C): the gradient's product is then three times as fast on a CPU.
        w = (self._weights / scale).requires_grad_()
        b = self._bias.clone().requires_grad_()
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
            [w, b],
            max_iter=_ITERATIONS,
            history_size=20,
            tolerance_grad=1e-6,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        def closure() -> float:
            optimizer.zero_grad()
            logits = torch.nn.functional.linear(x, w, b)
            loss: torch.Tensor = torch.nn.functional.cross_entropy(logits, self._y)
            loss = loss + (penalty * w.square()).sum()
            torch.autograd.backward(loss)
            return loss.item()

        optimizer.step(closure)
        self._weights, self._bias = w.detach() * scale, b.detach()
        return (self._axes @ self._weights.T).numpy(), self._bias.numpy().copy()


# -- regression -----------------------------------------------------------------------------------


def cross_validated_regression(
    features: NDArray[np.float32],
    targets: NDArray[np.float64],
    sources: Sequence[str],
    *,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Predictions for every picture by linear regressions that have not seen its source.

    Ridge regression on standardized features; the penalty of each is chosen by leave-one-out on its
    own training part.

    Args:
        features: (N, D).
        targets: (N, K).
        sources: (N,) what must stay together: the person or video that a picture is from.
        folds: number of regressions (fewer where there are fewer sources).
        seed: of the folds.

    Returns:
        (N, K) predictions.

    Raises:
        DataError: fewer than two sources.
    """
    names = sorted(set(sources))
    folds = min(folds, len(names))
    if folds < 2:
        raise DataError("a regression needs pictures of at least two persons or videos")
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[i]: position % folds for position, i in enumerate(order)}
    membership = np.array([fold_of[source] for source in sources])
    predictions = np.empty(np.shape(targets), np.float64)
    for fold in range(folds):
        inside = membership == fold
        predictions[inside] = regress(features[~inside], targets[~inside], features[inside])
    return predictions


def regress(
    train: NDArray[np.float32], targets: NDArray[np.float64], test: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Fit a ridge regression on standardized features and apply it.

    Args:
        train: (N, D) features to fit.
        targets: (N, K).
        test: (M, D) features.

    Returns:
        (M, K) predictions.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    scaler = standardizer(train)
    model = import_extra("sklearn.linear_model").RidgeCV(_ALPHAS)
    model.fit(scaler.transform(train).astype(np.float64), targets)
    predicted = model.predict(scaler.transform(test).astype(np.float64))
    return np.asarray(predicted, np.float64).reshape(len(test), -1)
