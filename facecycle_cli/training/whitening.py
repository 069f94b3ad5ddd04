"""The whitening of what verification compares, measured on the faces that were trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.training.data.frames import FrameStore
from facecycle_cli.training.data.index import IntArray

_FACES = 5000
"""Faces of different people that are measured at most."""

_PICTURES = 8000
"""Pictures of people with several ones that are measured at most."""

_AT_ONCE = 64
"""Faces per forward pass."""

_STREAM = 5
"""Keeps the random choice of the faces different from other ones of the same seed."""


class Whitener:
    """Fits the whitening of a model's :class:`~facecycle_cli.model.verifier.Verifier`.

    Args:
        store: knows the crops; the ones that are measured are always the same.
        held_out: groups that are not measured.
        seed: of the random choice.
    """

    def __init__(self, store: FrameStore, held_out: IntArray, seed: int) -> None:
        self._index = store.index
        self._held_out = held_out
        self._seed = seed
        self._fitted = False

    @torch.no_grad()
    def fit(self, model: FaceCycle) -> None:
        """Measure the whitening with the model's weights; with too few faces, do nothing.

        Neutral faces are measured only once: the expression networks, which make them, do not
        learn in the stage that calls this.
        """
        done = self._fitted and model.config.verifier.compares == "neutral"
        if done or not model.verifier.size:
            return
        different, of_one_person = self._choose()
        faces = self._features(model, different)
        if len(faces) <= model.verifier.size:
            return
        persons = (self._features(model, person) for person in of_one_person)
        within = [_less_their_mean(person) for person in persons if len(person) > 1]
        model.verifier.fit(faces, torch.cat(within) if within else None)
        self._fitted = True

    def _choose(self) -> tuple[list[int], list[list[int]]]:
        """Crops of different people, and for some people several crops each."""
        index = self._index
        rng = np.random.default_rng((self._seed, _STREAM))
        groups = rng.permutation(np.setdiff1d(np.arange(index.groups), self._held_out))
        some = groups[:_FACES]
        different: list[int] = (index.starts[some] + rng.integers(index.sizes[some])).tolist()
        several = groups[index.sizes[groups] > 1][: _PICTURES // 2]
        each = _PICTURES // max(len(several), 1)
        of_one_person: list[list[int]] = [
            (index.starts[group] + rng.permutation(index.sizes[group])[:each]).tolist()
            for group in several
        ]
        return different, of_one_person

    def _features(self, model: FaceCycle, crops: Iterable[int]) -> Tensor:
        """Features (N, D) of the crops that can be read."""
        verifier = model.verifier
        store = FrameStore(self._index, verifier.side, keep=False)
        found = [image for image in map(store.frame, crops) if image is not None]
        batches = (np.stack(found[i : i + _AT_ONCE]) for i in range(0, len(found), _AT_ONCE))
        features = [verifier.features(model, model.to_input(b, verifier.side)) for b in batches]
        return torch.cat(features) if features else torch.empty(0)


def _less_their_mean(features: Tensor) -> Tensor:
    """Features (n, D) minus their mean, scaled so that their mean square estimates the variance."""
    scale: float = (len(features) / (len(features) - 1)) ** 0.5
    return (features - features.mean(0)) * scale
