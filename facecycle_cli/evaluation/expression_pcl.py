"""The linear evaluation of PCL and of the paper's code: one layer, and nothing chosen.

Liu et al., "Pose-disentangled contrastive learning for self-supervised facial representation", CVPR
2023. The input has 100x100 pixels, the features are the last convolution, flattened, and a single
linear layer is trained on the whole training split by Adam with a cosine schedule. Nothing is
standardized, nothing is regularized, and there is no validation split. The published figure of PCL
is that of the epoch that is best on the *test* split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facecycle_cli.errors import DataError
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.verify.features import Extractor

__all__ = ["SIDE", "LayerSettings", "LinearLayer", "fit_linear_layer", "pcl_extractor"]

SIDE = 100
"""Side of the input in pixels."""


@dataclass(frozen=True)
class LayerSettings:
    """How the layer is trained; the values of PCL's configuration.

    Attributes:
        epochs: passes over the training split.
        batch: pictures in a step.
        learning_rate: of Adam at the start; a cosine takes it to 0.
        spread: standard deviation of the first weights.
    """

    epochs: int = 300
    batch: int = 256
    learning_rate: float = 1e-2
    spread: float = 0.01


@dataclass(frozen=True)
class LinearLayer:
    """A trained layer.

    Attributes:
        classes: names, in the order of the outputs.
        weights: (C, D).
        bias: (C,).
        best_epoch: the epoch that is best on the pictures that were watched, from 1.
        best_accuracy: the share of them that it has right.
    """

    classes: list[str]
    weights: torch.Tensor
    bias: torch.Tensor
    best_epoch: int
    best_accuracy: float

    def predict(self, features: NDArray[np.float32]) -> list[str]:
        """The most likely class of each row (N, D)."""
        logits = torch.nn.functional.linear(torch.from_numpy(features), self.weights, self.bias)
        return [self.classes[i] for i in logits.argmax(dim=1).tolist()]


def pcl_extractor(model: FaceCycle) -> Extractor:
    """The last convolution of the expression encoder for an input of 100x100 pixels, flattened.

    With ``paper`` at 64 pixels these are the 6,272 numbers of the published code.
    """

    @torch.inference_mode()
    def features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = model.to_input(resize_crops(crops, SIDE), SIDE)
        values: NDArray[np.float32] = model.expression_encoder.features(x).float().cpu().numpy()
        return values

    return features


def fit_linear_layer(
    train: NDArray[np.float32],
    labels: Sequence[str],
    watched: NDArray[np.float32],
    watched_labels: Sequence[str],
    *,
    seed: int = 0,
    settings: LayerSettings | None = None,
) -> LinearLayer:
    """Train one linear layer by cross-entropy. The layer of the last epoch is kept.

    Args:
        train, labels: (N, D) features and N class names.
        watched, watched_labels: the test split. It chooses nothing; the best epoch on it is told,
            because that is what PCL's code prints.
        seed: random seed of the first weights and of the order of the pictures.
        settings: None: those of PCL.

    Raises:
        DataError: a single class.
    """
    how = settings or LayerSettings()
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise DataError("a classifier needs training pictures of two classes")
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(train), torch.tensor([classes.index(label) for label in labels])
    weights = torch.randn(len(classes), x.shape[1], generator=generator) * how.spread
    weights.requires_grad_()
    bias = torch.zeros(len(classes), requires_grad=True)
    optimizer = torch.optim.Adam([weights, bias], lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=how.epochs)
    accuracy = _watch(watched, watched_labels, classes)
    accuracies = []
    for _ in range(how.epochs):
        for rows in torch.split(torch.randperm(len(x), generator=generator), how.batch):
            optimizer.zero_grad()
            logits = torch.nn.functional.linear(x[rows], weights, bias)
            torch.autograd.backward(torch.nn.functional.cross_entropy(logits, y[rows]))
            optimizer.step()
        schedule.step()
        accuracies.append(accuracy(weights.detach(), bias.detach()))
    best = int(np.argmax(accuracies))
    return LinearLayer(classes, weights.detach(), bias.detach(), best + 1, accuracies[best])


def _watch(
    features: NDArray[np.float32], labels: Sequence[str], classes: Sequence[str]
) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """What measures the accuracy of weights and bias; a class without training is never right."""
    x = torch.from_numpy(features)
    numbers = [classes.index(label) if label in classes else -1 for label in labels]
    y = torch.tensor(numbers)

    def accuracy(weights: torch.Tensor, bias: torch.Tensor) -> float:
        right = torch.nn.functional.linear(x, weights, bias).argmax(dim=1) == y
        return float(right.float().mean())

    return accuracy
