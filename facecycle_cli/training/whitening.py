"""The whitening of what verification compares, measured on the faces that were trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.training.data.frames import FrameStore

_FACES = 5000
"""Faces of different people that are measured at most."""
_PICTURES = 8000
"""Pictures of people with several that are measured at most."""
_AT_ONCE = 64
_STREAM = 5


class Whitener:
    """Fits a model's :class:`~facecycle_cli.model.verifier.Embedding`.

    Args:
        store: knows the crops; which of them are looked at is always the same.
        held_out: groups to leave alone.
        seed: of the choice.
    """

    def __init__(self, store: FrameStore, held_out: np.ndarray, seed: int) -> None:
        self._index = index = store.index
        rng = np.random.default_rng((seed, _STREAM))
        groups = rng.permutation(np.setdiff1d(np.arange(index.groups), held_out))
        some = groups[:_FACES]
        self._faces = (index.starts[some] + rng.integers(index.sizes[some])).tolist()
        several = groups[index.sizes[groups] > 1][: _PICTURES // 2]
        each = _PICTURES // max(len(several), 1)
        self._persons = [
            (index.starts[group] + rng.permutation(index.sizes[group])[:each]).tolist()
            for group in several
        ]
        self._fitted = False

    @torch.no_grad()
    def fit(self, model: FaceCycle) -> None:
        """Measure with the weights that the model has now; with too few faces, do nothing.

        What the expression networks see is measured only once: they do not learn in the stage that
        asks.
        """
        if self._fitted and model.config.verifier.compares == "neutral":
            return
        faces = self._features(model, self._faces)
        if len(faces) <= model.verifier.size:
            return
        persons = (self._features(model, person) for person in self._persons)
        within = [_less_their_mean(person) for person in persons if len(person) > 1]
        model.verifier.fit(faces, torch.cat(within) if within else None)
        self._fitted = True

    def _features(self, model: FaceCycle, crops: Iterable[int]) -> Tensor:
        """Of those that can be read."""
        side = model.verifier.side
        store = FrameStore(self._index, side, keep=False)
        found = [image for image in map(store.frame, crops) if image is not None]
        batches = (found[i : i + _AT_ONCE] for i in range(0, len(found), _AT_ONCE))
        features = [
            model.verifier.features(model, model.to_input(np.stack(b), side)) for b in batches
        ]
        return torch.cat(features) if features else torch.empty(0)


def _less_their_mean(features: Tensor) -> Tensor:
    """(n, D), scaled so that the average square estimates the variance however small n is."""
    return (features - features.mean(0)) * (len(features) / (len(features) - 1)) ** 0.5
