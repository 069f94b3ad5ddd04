"""The neutral shape of a frontal one: a linear estimate, and that of a small network.

The network learned from posed expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.faces.topology import MESH_468_MIRRORED

__all__ = ["LinearEstimate", "PosedEstimate", "symmetric"]

_Points: TypeAlias = NDArray[np.floating[Any]]

_MIRRORED = np.array(MESH_468_MIRRORED)
"""Number of each landmark's mirror image."""


@dataclass(frozen=True)
class LinearEstimate:
    """A linear estimate of the neutral shape of a frontal one.

    Attributes:
        mean: (936,) of all shapes, in fractions of the crop's side.
        basis: (K, 936), principal components.
        neutral: (K,) mean of the neutral shapes.
        shrink: (K, K), from a shape to the estimate of its neutral one.
    """

    mean: _Points
    basis: _Points
    neutral: _Points
    shrink: _Points

    def of_shape(self, shape: _Points) -> _Points:
        """A frontal, left-right symmetric shape in the crop -> the neutral one; (468, 2) each."""
        code = (shape.ravel() - self.mean) @ self.basis.T
        code = self.neutral + self.shrink @ (code - self.neutral)
        neutral: _Points = (self.mean + code @ self.basis).reshape(-1, 2)
        return neutral


@dataclass(frozen=True)
class PosedEstimate:
    """A small network that estimates the neutral shape of a frontal one.

    Attributes:
        mean: (936,) of all shapes, in fractions of the crop's side.
        basis: (K, 936), principal components.
        unit: (K,) scale of the components.
        weight0, bias0, weight1, bias1, weight2, bias2: of three linear layers, SiLU between them.
    """

    mean: _Points
    basis: _Points
    unit: _Points
    weight0: _Points
    bias0: _Points
    weight1: _Points
    bias1: _Points
    weight2: _Points
    bias2: _Points

    def of_shape(self, shape: _Points) -> _Points:
        """A frontal, left-right symmetric shape in the crop -> the neutral one; (468, 2) each."""
        code = (shape.ravel() - self.mean) @ self.basis.T
        x = _silu(self.weight0 @ (code / self.unit) + self.bias0)
        x = _silu(self.weight1 @ x + self.bias1)
        code = code + (self.weight2 @ x + self.bias2) * self.unit
        neutral: _Points = (self.mean + code @ self.basis).reshape(-1, 2)
        return symmetric(neutral)


def symmetric(shapes: _Points) -> _Points:
    """Shapes (..., 468, 2) in the crop, averaged with their mirror images."""
    both: _Points = (shapes + shapes[..., _MIRRORED, :] * [-1, 1] + [1, 0]) / 2
    return both


def _silu(x: _Points) -> _Points:
    """``x sigmoid(x)``, for any x."""
    half: _Points = x * (0.5 + 0.5 * np.tanh(x / 2))
    return half
