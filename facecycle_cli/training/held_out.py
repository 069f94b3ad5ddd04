"""Faces that no step learns from: they tell which weights are best, and show what these make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.errors import DataError
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import jacobian_determinant, warp
from facecycle_cli.training.augment import unchanged
from facecycle_cli.training.data.frames import FrameStore, Views
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from facecycle_cli.training.guidance import Guide, Guides, LandmarkBatch, augmented_guide
from facecycle_cli.training.stages import StepInputs, TrainingStage
from facecycle_cli.types import RGBImage

_COLUMNS = 8
"""Faces of a sample grid."""

_AT_ONCE = 32
"""Pairs per forward pass."""


class HeldOutFaces:
    """A fixed set of pairs, without augmentation and with fixed noise.

    Args:
        model: gives normalization and size.
        store: reads the crops.
        sampler: holds pairs out. If it holds none, there is no loss, and the sample grid shows
            faces that are learned from.
        guides: measures landmarks, if they guide the stage.
    """

    def __init__(
        self,
        model: FaceCycle,
        store: FrameStore,
        sampler: PairSampler,
        guides: Guides | None = None,
    ) -> None:
        self.model = model
        pairs = _readable(store, sampler, sampler.held_out_pairs().each())
        self.first = to_faces(model, [pair.first for pair in pairs])
        self.second = to_faces(model, [_second_view(pair) for pair in pairs])
        self.guide = None
        if guides is not None and pairs:
            first, second = zip(*(guides.of_views(pair) for pair in pairs), strict=True)
            drawn = unchanged(torch.tensor([pair.mirrored for pair in pairs]))
            landmarks = LandmarkBatch.stack([*first, *second])
            self.guide = augmented_guide(landmarks, drawn, model.config.image_size)
        self.faces = self.first[:_COLUMNS]
        if not pairs:
            learned = sampler.pairs(0, min(_COLUMNS, len(sampler))).each()
            views = _readable(store, sampler, learned)
            self.faces = to_faces(model, [pair.first for pair in views])

    @torch.no_grad()
    def loss(self, stage: TrainingStage, *, warm_up: bool = False) -> float | None:
        """The stage's weighted loss on the held-out pairs; None if there are none.

        Args:
            stage: with the weights to measure.
            warm_up: whether to measure what the stage's warm-up minimizes.
        """
        if not len(self.first):
            return None
        total, noise = 0.0, self.model.noise(0)
        for i in range(0, len(self.first), _AT_ONCE):
            part = torch.cat((self.first[i : i + _AT_ONCE], self.second[i : i + _AT_ONCE]))
            losses = stage(StepInputs(part, noise, noise, self._guide(i), warm_up=warm_up))
            total += losses["loss"].item() * len(part)
        return total / (2 * len(self.first))

    @torch.no_grad()
    def folded(self) -> float | None:
        """Share of the cells of the flows that fold, over the held-out faces; None without any."""
        if not len(self.first):
            return None
        folded = cells = 0
        for faces in torch.split(torch.cat((self.first, self.second)), _AT_ONCE):
            flow, _ = self.model.decode_flow(self.model.encode_expression(faces))
            determinant = jacobian_determinant(flow.float())
            folded += int((determinant < 0).sum())
            cells += determinant.numel()
        return folded / cells

    def _guide(self, start: int) -> Guide | None:
        """Of the pairs of the forward pass that begins at this pair."""
        if self.guide is None:
            return None
        both = (torch.unflatten(t, 0, (2, -1))[:, start : start + _AT_ONCE] for t in self.guide)
        return Guide(*(t.flatten(0, 1).to(self.model.device) for t in both))

    def grid(self) -> RGBImage:
        """The sample grid of up to eight faces, see :func:`sample_grid`."""
        return sample_grid(self.model, self.faces)


@torch.no_grad()
def sample_grid(model: FaceCycle, x: Tensor) -> RGBImage:
    """What the networks make of some faces.

    One row each: input, warped, neutral, reconstruction, mean face; one column per face.

    Args:
        model: the networks.
        x: (N, 3, S, S), normalized.

    Returns:
        (5 * S, N * S, 3).
    """
    codes = model.encode(x)
    flow, backflow = model.decode_flow(codes.expression_code)
    neutral = model.de_express(x, flow)
    rows = (
        x,
        warp(x, flow, padding=model.config.extensions.padding),
        neutral,
        model.re_express(neutral, backflow),
        model.de_identify(neutral, codes.identity_code),
    )
    return np.concatenate([np.concatenate(list(model.to_image(row).numpy()), 1) for row in rows])


def to_faces(model: FaceCycle, pictures: Sequence[RGBImage]) -> Tensor:
    """Pictures (C, C, 3) of the store -> x (N, 3, S, S)."""
    size = model.config.image_size
    if not pictures:
        return torch.empty(0, 3, size, size, device=model.device)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    if pixels.shape[-1] != size:
        pixels = F.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return model.to_input(pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1))


def _second_view(pair: Views) -> RGBImage:
    return np.ascontiguousarray(pair.second[:, ::-1]) if pair.mirrored else pair.second


def _readable(store: FrameStore, sampler: PairSampler, pairs: Sequence[ViewPair]) -> list[Views]:
    """The pixels of those pairs that can be read.

    Raises:
        DataError: none can.
    """
    found = []
    for pair in pairs:
        try:
            found.append(store.views(pair, sampler))
        except DataError:
            continue
    if pairs and not found:
        raise DataError("none of the pictures can be read")
    return found
