"""The neutral shape of a face, estimated from one picture of it.

There are two estimates. :func:`neutral_shape` is linear and statistical: a frontal shape is taken
as the person's neutral shape plus an expression, both normally distributed.
:func:`posed_neutral_shape` is that of a small network that learned from posed expressions: it finds
more of an expression, and a little of one in faces without any. ``facecycle train`` fits both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from safetensors.numpy import load_file

from facecycle_cli import weights
from facecycle_cli.faces import TEMPLATE
from facecycle_cli.faces.neutral_estimate import LinearEstimate, PosedEstimate, symmetric
from facecycle_cli.faces.similarity import apply_affine, fit_similarity, invert_affine
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.head import RIGID, Head, shape_distance

__all__ = ["neutral_shape", "posed_neutral_shape"]

_LOOKS_NEUTRAL = 0.02, 0.05
"""Distance between a shape and the estimate of its neutral shape, in sizes of the head, up to which
it is taken as neutral, and from which on the estimate counts."""

_SMILES = 0.012, 0.04
"""By how much each corner of the mouth is further out than in that estimate, in sizes of the head,
up to which this is the person's own mouth, and from which it is a smile, whatever the rest of the
face says. The neutral ones of six posed pairs of photographs are below the first one."""

_LOOKS_POSED = 0.005, 0.02
"""The same for the estimate of the network. Half of the neutral photographs are below 0.012."""


@cache
def _statistics() -> LinearEstimate:
    return LinearEstimate(**load_file(weights.path("neutral_shape.safetensors")))


@cache
def _network() -> PosedEstimate:
    return PosedEstimate(**load_file(weights.path("posed_shape.safetensors")))


def neutral_shape(head: Head) -> np.ndarray:
    """(n, 2) float64: the head's shape without its expression, by the linear estimate.

    A shape that looks neutral stays as it is, so that nothing of the person is lost. Of landmarks
    that are not those of the mesh no statistics are known: they stay as they are, too.
    """
    return _without_expression(head.shape[:, :2], _statistics().of_shape, _LOOKS_NEUTRAL, _SMILES)


def posed_neutral_shape(head: Head) -> np.ndarray:
    """:func:`neutral_shape` by the network that learned from posed expressions."""
    return _without_expression(head.shape[:, :2], _network().of_shape, _LOOKS_POSED)


def _without_expression(
    shape: np.ndarray,
    estimate: Callable[[np.ndarray], np.ndarray],
    looks_neutral: tuple[float, float],
    smiles: tuple[float, float] | None = None,
) -> np.ndarray:
    """(n, 2) seen from the front -> its neutral shape."""
    if len(shape) != MESH_468.count:
        return shape
    to_crop = fit_similarity(MESH_468.five_points(shape), TEMPLATE)
    neutral = estimate(symmetric(apply_affine(to_crop, shape)))
    neutral = apply_affine(invert_affine(to_crop), neutral)
    # The crop is aligned by the mouth, too, which the expression moves.
    neutral = apply_affine(fit_similarity(neutral[RIGID], shape[RIGID]), neutral)
    share = float(smoothstep(np.array(shape_distance(neutral, shape)), *looks_neutral))
    if smiles is not None:
        left, right = (shape - neutral)[list(MESH_468.mouth), 0]
        share = max(share, float(smoothstep((right - left) / 2, *smiles)))
    return np.asarray(shape + share * (neutral - shape))
