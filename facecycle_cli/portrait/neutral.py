"""The neutral shape of a face, estimated from one picture of it.

The estimate is linear and statistical: a frontal shape is taken as the person's neutral shape plus
an expression, both normally distributed (:mod:`facecycle_cli.training.guidance` fits it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from facecycle_cli import weights
from facecycle_cli.faces import TEMPLATE
from facecycle_cli.faces.similarity import apply_affine, fit_similarity, invert_affine
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.head import RIGID, Head, shape_distance

__all__ = ["neutral_shape"]

_LOOKS_NEUTRAL = 0.02, 0.05
"""Distance between a shape and the estimate of its neutral shape, in sizes of the head, up to which
it is taken as neutral, and from which on the estimate counts."""

_MIRRORED = np.array(MESH_468_MIRRORED)


@dataclass(frozen=True)
class _Statistics:
    """The shipped statistics of frontal shapes.

    Attributes:
        mean: (936,) of all shapes, in fractions of the crop's side.
        basis: (K, 936), principal components.
        neutral: (K,), mean of the neutral shapes.
        shrink: (K, K), from a shape to the estimate of its neutral one.
    """

    mean: np.ndarray
    basis: np.ndarray
    neutral: np.ndarray
    shrink: np.ndarray


@cache
def _statistics() -> _Statistics:
    return _Statistics(**load_file(weights.path("neutral_shape.safetensors")))


def neutral_shape(head: Head) -> np.ndarray:
    """(n, 2) float64: the head's shape without its expression.

    A shape that looks neutral stays as it is, so that nothing of the person is lost. Of landmarks
    that are not those of the mesh no statistics are known: they stay as they are, too.
    """
    shape = head.shape[:, :2]
    if len(shape) != MESH_468.count:
        return shape
    estimate = _estimate(shape)
    share = float(smoothstep(np.array(shape_distance(estimate, shape)), *_LOOKS_NEUTRAL))
    return np.asarray(shape + share * (estimate - shape))


def _estimate(front: np.ndarray) -> np.ndarray:
    """The neutral shape of a frontal one, (468, 2)."""
    known = _statistics()
    to_crop = fit_similarity(MESH_468.five_points(front), TEMPLATE)
    crop = apply_affine(to_crop, front)
    crop = (crop + crop[_MIRRORED] * [-1, 1] + [1, 0]) / 2
    code = (crop.ravel() - known.mean) @ known.basis.T
    code = known.neutral + known.shrink @ (code - known.neutral)
    neutral = (known.mean + code @ known.basis).reshape(-1, 2)
    neutral = apply_affine(invert_affine(to_crop), neutral)
    # The crop is aligned by the mouth, too, which the expression moves.
    return apply_affine(fit_similarity(neutral[RIGID], front[RIGID]), neutral)
