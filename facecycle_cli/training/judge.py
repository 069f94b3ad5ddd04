"""Faces that are never learned from: which weights are best, and what the networks make of them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.errors import DataError
from facecycle_cli.model import FaceCycle
from facecycle_cli.training.augment import unchanged
from facecycle_cli.training.data.frames import FrameStore, Views
from facecycle_cli.training.data.pairs import Pair, PairSampler
from facecycle_cli.training.guidance import Guide, Guides, place
from facecycle_cli.training.samples import sample_grid
from facecycle_cli.training.stages import Stage

_COLUMNS = 8
_AT_ONCE = 32
"""Pairs per forward pass."""


class Judge:
    """A fixed set of pairs and faces, as they are: nothing augmented, nothing random.

    Args:
        model: gives the normalization and the size.
        store: reads the crops.
        sampler: holds pairs out; where it holds none, there is no loss and faces for the grid come
            from the data.
        guides: measures landmarks, if the stage is guided by them.
    """

    def __init__(
        self,
        model: FaceCycle,
        store: FrameStore,
        sampler: PairSampler,
        guides: Guides | None = None,
    ) -> None:
        self.model = model
        pairs = _readable(store, sampler, sampler.held_out_pairs())
        views = [
            (
                pair.first,
                np.ascontiguousarray(pair.second[:, ::-1]) if pair.mirrored else pair.second,
            )
            for pair in pairs
        ]
        self.first, self.second = (
            to_faces(model, [view[k] for view in views]) if views else None for k in (0, 1)
        )
        self.guide = None
        if guides is not None and views:
            marks = [
                guides.marks(pair.crops[k], (pair.first, pair.second)[k])
                for k in (0, 1)
                for pair in pairs
            ]
            as_they_are = unchanged(torch.tensor([pair.mirrored for pair in pairs]))
            self.guide = place(marks, as_they_are, model.config.image_size)
        if self.first is not None:
            self.faces = self.first[:_COLUMNS]
        else:
            wanted = sampler.pairs(0, min(_COLUMNS, len(sampler)))
            self.faces = to_faces(model, [v.first for v in _readable(store, sampler, wanted)])

    @torch.no_grad()
    def loss(self, stage: Stage, *, undrawn: bool = False) -> float | None:
        """The stage's weighted loss on the held-out pairs; None if there are none."""
        if self.first is None or self.second is None:
            return None
        total, noise = 0.0, self.model.noise(0)
        for i in range(0, len(self.first), _AT_ONCE):
            part = torch.cat((self.first[i : i + _AT_ONCE], self.second[i : i + _AT_ONCE]))
            losses = stage(part, noise, noise, self._guide(i), undrawn=undrawn)
            total += losses["loss"].item() * len(part)
        return total / (2 * len(self.first))

    def _guide(self, start: int) -> Guide | None:
        """Of the pairs of one forward pass."""
        if self.guide is None:
            return None
        both = (t.unflatten(0, (2, -1))[:, start : start + _AT_ONCE] for t in self.guide)
        return Guide(*(t.flatten(0, 1).to(self.model.device) for t in both))

    def grid(self) -> np.ndarray:
        """The sample grid of up to eight faces, (5 * S, N * S, 3) uint8 RGB."""
        return sample_grid(self.model, self.faces)


def to_faces(model: FaceCycle, pictures: list[np.ndarray]) -> Tensor:
    """Pictures (C, C, 3) of the store -> x (N, 3, S, S)."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    size = model.config.image_size
    if pixels.shape[-1] != size:
        pixels = F.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return model.to_input(pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1))


def _readable(store: FrameStore, sampler: PairSampler, pairs: list[Pair]) -> list[Views]:
    found = []
    for pair in pairs:
        try:
            found.append(store.pair(pair, sampler))
        except DataError:
            continue
    if pairs and not found:
        raise DataError("none of the pictures can be read")
    return found
