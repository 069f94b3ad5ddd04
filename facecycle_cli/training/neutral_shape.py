"""A face's landmarks without its expression: estimates of them, fitted to data.

Without pictures of known expressions, :class:`NeutralShape` is fitted to what the data has of
different pictures of a person. Where each person has a neutral picture and others,
:class:`.posed_shape.PosedShape` learns from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.faces.canonical import frontal_shape
from facecycle_cli.faces.neutral_estimate import LinearEstimate, symmetric
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.training.landmarks import Points
from facecycle_cli.training.shapes import (
    FrontalShapes,
    check_shapes,
    damaged,
    load_arrays,
    save_arrays,
)

_COMPONENTS = 24
"""Principal components of frontal shapes; they hold 99.9 % of the variance."""


class NeutralEstimate(Protocol):
    """Estimates the landmarks of a face's neutral face."""

    def __call__(self, landmarks: Points) -> Points:
        """Landmarks (468, 3) -> the neutral, frontal ones (468, 2), in fractions of the crop."""

    def of_shape(self, shape: Points) -> Points:
        """A frontal, left-right symmetric shape in the crop -> the neutral one; (468, 2) each."""

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""


@dataclass(frozen=True)
class NeutralShape(LinearEstimate):
    """A linear estimate of a face's landmarks without its expression.

    A frontal, left-right symmetric shape is the person's neutral one plus an expression. If both
    are normally distributed, with covariances B (over persons) and W (over pictures of a person),
    the best estimate of the neutral shape is ``neutral + B (B + W)^-1 (shape - neutral)``, the
    Wiener filter. B is measured on faces that look neutral, W on different pictures of a person.
    """

    @classmethod
    def fit(cls, groups: Sequence[Points]) -> NeutralShape:
        """Measure it on landmarks (n, 468, 3) of n pictures each of some persons.

        Raises:
            DataError: too few faces, none of them neutral, or never two of a person.
        """
        frontal = FrontalShapes.of(groups)
        flat, looks, owners = frontal.shapes, frontal.neutral, frontal.owners
        pairs = np.flatnonzero(owners[1:] == owners[:-1])
        least = 4 * _COMPONENTS
        if looks.sum() < least or len(pairs) < least:
            raise DataError(
                f"needs {least} neutral faces and {least} pairs of pictures of one person, found "
                f"{looks.sum()} and {len(pairs)}"
            )
        mean = flat.mean(0)
        _, _, basis = np.linalg.svd(flat - mean, full_matrices=False)
        basis = basis[:_COMPONENTS]
        codes = (flat - mean) @ basis.T
        difference = codes[pairs + 1] - codes[pairs]
        within = difference.T @ difference / (2 * len(pairs))
        between = np.cov(codes[looks].T)
        shrink = between @ np.linalg.inv(between + within)
        return cls(mean, basis, codes[looks].mean(0), shrink)

    def __call__(self, landmarks: Points) -> Points:
        """Landmarks (468, 3) -> the neutral, frontal ones (468, 2), in fractions of the crop."""
        return self.of_shape(symmetric(frontal_shape(landmarks, MESH_468)))

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""
        save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> NeutralShape:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: it is damaged, or not what :meth:`save` wrote.
        """
        arrays, length = load_arrays(path), 2 * MESH_468.count
        count = len(arrays["neutral"]) if arrays.get("neutral", np.zeros(())).ndim else 0
        wanted = {
            "mean": (length,),
            "basis": (count, length),
            "neutral": (count,),
            "shrink": (count, count),
        }
        try:
            check_shapes(arrays, wanted)
        except ValueError as error:
            raise damaged(path, error) from None
        return cls(**arrays)
