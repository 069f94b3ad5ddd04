"""The whitening of identity codes, measured on the faces that were trained on."""

from __future__ import annotations

import numpy as np
import torch

from facecycle_cli.model import FaceCycle

from .frames import FrameStore
from .judge import to_faces

_FACES = 3000
_AT_ONCE = 64
_STREAM = 5


class Whitener:
    """Fits a model's :class:`~facecycle_cli.model.embedding.Embedding`.

    Args:
        store: reads the crops; one of each of some groups is taken, always the same.
        held_out: groups to leave alone.
        seed: of the choice.
    """

    def __init__(self, store: FrameStore, held_out: np.ndarray, seed: int) -> None:
        self._store = store
        rng = np.random.default_rng((seed, _STREAM))
        groups = np.setdiff1d(np.arange(store.index.groups), held_out)
        groups = rng.permutation(groups)[:_FACES]
        starts, sizes = store.index.starts[groups], store.index.sizes[groups]
        self._crops = (starts + rng.integers(sizes)).tolist()

    @torch.no_grad()
    def fit(self, model: FaceCycle) -> None:
        """Measure with the weights that the model has now; with too few faces, do nothing."""
        images = (self._store.frame(crop) for crop in self._crops)
        found = [image for image in images if image is not None]
        if len(found) <= model.embedding.size:
            return
        codes = [
            model.identity_code(to_faces(model, found[i : i + _AT_ONCE]))
            for i in range(0, len(found), _AT_ONCE)
        ]
        model.embedding.fit(torch.cat(codes))
