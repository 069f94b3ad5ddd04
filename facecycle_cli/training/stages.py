"""The two stages of training: which networks learn, and from which losses.

A stage is a module whose ``forward`` turns a batch of pairs into its weighted losses, so that data
parallelism can wrap it whole. Under autocast the networks run in half precision; flows, warps and
losses stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor, nn

from facecycle_cli.errors import SettingsError
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import compose, warp
from facecycle_cli.model.networks import Noise
from facecycle_cli.training.guidance import Guide
from facecycle_cli.training.losses import (
    SsimTarget,
    contrast_loss,
    face_region,
    folding_loss,
    gauge_loss,
    guide_loss,
    margin_loss,
    pixel_loss,
    smoothness_loss,
    ssim_loss,
    symmetry_loss,
)
from facecycle_cli.training.perceptual import PerceptualLoss

StageName = Literal["expression", "identity"]


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts: the paper's, and (0 in the paper) what helps a short training.

    Attributes:
        guide: of the landmarks' guidance, see :mod:`.guidance`.
        contrast: of telling apart the persons of a batch by their identity codes.
        average: of the distance between every de-identified face and the average neutral one. The
            paper asks nothing of a single de-identified face, only of their mean.
        focus: no loss; from 0 to 1, how much pixel and SSIM losses look at the face instead of the
            whole crop.
        exchange: no loss; the share of the pairs whose views are exchanged, so that each is rebuilt
            from the other's neutral face (paper: 1). The others are rebuilt from their own.
        relight: no loss; 1 gives an exchanged neutral face the colors (mean and spread) of the
            face it is to rebuild, which no flow can know.
        perform: no loss; while identity codes learn alone, the share of the pictures that perform
            the motion of another person's: one face is then seen in many poses.
    """

    pixel: float = 1.0
    perceptual: float = 0.01
    ssim: float = 5.0
    symmetry: float = 1.5
    margin: float = 1.0
    smoothness: float = 0.0
    folding: float = 0.0
    gauge: float = 0.0
    guide: float = 0.0
    contrast: float = 0.0
    average: float = 0.0
    focus: float = 0.0
    exchange: float = 1.0
    relight: float = 0.0
    perform: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise SettingsError(f"{field.name} must be at least 0")
        for name in ("focus", "exchange", "relight", "perform"):
            if getattr(self, name) > 1:
                raise SettingsError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


def swap_views(x: Tensor, share: float = 1.0, start: int = 0) -> Tensor:
    """Exchange the two halves of a batch: every face meets the other view of its pair.

    Args:
        x: (2P, ...), first views and then second.
        share: of the pairs that are exchanged, spread evenly over the pairs of all processes.
        start: number of the first pair here among those.
    """
    first, second = x.chunk(2)
    if share < 1:
        mask = spread(share, start, len(first)).to(x.device).view(-1, *[1] * (x.dim() - 1))
        return torch.cat((torch.where(mask, second, first), torch.where(mask, first, second)))
    return torch.cat((second, first))


def spread(share: float, start: int, count: int) -> Tensor:
    """Which of ``count`` things, numbered from ``start`` on, belong to an even share: (N,) bool."""
    numbers = range(start, start + count)
    return torch.tensor([int((i + 1) * share) > int(i * share) for i in numbers], dtype=torch.bool)


def relit(face: Tensor, like: Tensor, importance: Tensor) -> Tensor:
    """``face`` with the colors of ``like``: mean and spread of each channel, inside the face.

    Args:
        face, like: (N, 3, H, W).
        importance: (H, W) of mean 1.
    """

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (x * importance).mean(dim=(2, 3), keepdim=True)
        spread = ((x - mean).square() * importance).mean(dim=(2, 3), keepdim=True).sqrt()
        return mean, spread.clamp_min(0.05)

    mean, spread = moments(face)
    wanted_mean, wanted_spread = moments(like)
    return (face - mean) / spread * wanted_spread + wanted_mean


class Stage(nn.Module):
    """What both stages share.

    Args:
        model: the whole model; only some of its networks are trained.
        weights: of the losses.
        perceptual: Gram-matrix loss on VGG-19, or None to train without it.
        frozen: networks of the stage that do not learn all the same.

    Raises:
        SettingsError: ``frozen`` names another network, or leaves none.
    """

    trained: tuple[str, ...]

    def __init__(
        self,
        model: FaceCycle,
        weights: LossWeights,
        perceptual: PerceptualLoss | None = None,
        *,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.perceptual = perceptual
        self.check_frozen(frozen)
        model.requires_grad_(False)
        for name in self.trained:
            if name in frozen:
                continue
            module = model.get_submodule(name)
            module.requires_grad_(
                not (name == "trunk" and model.config.extensions.trunk == "vgg19")
            )

    @classmethod
    def check_frozen(cls, frozen: Sequence[str]) -> None:
        """Raise `SettingsError` if these are not networks of the stage, or all of them."""
        if not set(frozen) < set(cls.trained):
            raise SettingsError(f"frozen must leave out at least one of {', '.join(cls.trained)}")

    def parameters_to_train(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by their names in the model, in a fixed order."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def _warp(self, image: Tensor, flow: Tensor) -> Tensor:
        return warp(image, flow, padding=self.model.config.extensions.padding)

    def _importance(self, x: Tensor) -> Tensor | None:
        """Which pixels count more; None if all count the same."""
        if not self.weights.focus:
            return None
        return 1 + self.weights.focus * (face_region(x.shape[-1], x.device) - 1)

    def _exchange(self, own: Tensor, start: int) -> Tensor:
        """What each face of the batch is rebuilt from: its own picture, or the other view's."""
        other = swap_views(own, self.weights.exchange, start)
        if not self.weights.relight:
            return other
        region = face_region(own.shape[-1], own.device)
        return torch.lerp(other, relit(other, own.detach(), region), self.weights.relight)

    def _perceptual(self, images: Iterable[Tensor], target: Tensor) -> Tensor:
        if self.perceptual is None:
            return target.new_zeros(())
        return self.perceptual(tuple(images), target)

    def _weigh(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        total = sum(getattr(self.weights, name) * value for name, value in terms.items())
        return {"loss": torch.as_tensor(total), **terms}


def full_precision(like: Tensor) -> AbstractContextManager[None]:
    """A context without autocast, on the device of ``like``."""
    return torch.autocast(like.device.type, enabled=False)


class ExpressionStage(Stage):
    """The facial-motion cycle: E_exp, D_flow and D_exp learn (paper, section 3.1)."""

    trained = ("trunk", "expression_encoder", "flow_decoder", "expression_decoder")

    def forward(
        self,
        x: Tensor,
        noise: Noise,
        noise_back: Noise,
        guide: Guide | None = None,
        *,
        persons: Tensor | None = None,
        processes: int = 1,
        start: int = 0,
        undrawn: bool = False,
    ) -> dict[str, Tensor]:
        """Losses by name, ``loss`` being their weighted sum.

        Args:
            x: (2P, 3, S, S), the first views of the pairs and then the second.
            noise: for de-expression.
            noise_back: for re-expression.
            guide: where landmarks are and where they should go.
            persons: (P,) whom each pair shows, as numbers; contrast alone asks.
            processes: that share the batch; the losses are averages, so nothing depends on it.
            start: number of the first pair here among those of all processes.
            undrawn: leave out all that is drawn, and learn flows alone.
        """
        model = self.model
        flow, backflow = model.decode_flow(model.encode_expression(x))
        with full_precision(x):
            geometry = {
                "smoothness": smoothness_loss(flow),
                "folding": folding_loss(flow) + folding_loss(backflow),
                "gauge": gauge_loss(_mean(flow, processes)[0]),
                "guide": x.new_zeros(()) if guide is None else guide_loss(flow, guide),
            }
        if undrawn:
            return self._weigh(geometry)
        features = model.features(x)  # the trunk sees x once, for D_exp with and without a flow

        neutral = model.move(features, flow, noise).float()
        same = model.expression_decoder(features, None, None).float()
        swapped = self._exchange(neutral, start)
        rebuilt = model.re_express(swapped, backflow, noise_back).float()
        warped = self._warp(x, flow)
        neutral_warped = self._warp(swapped, backflow)
        double_warped = self._warp(self._exchange(warped, start), backflow)
        perceptual = self._perceptual((neutral, neutral_warped, double_warped, rebuilt), x)

        with full_precision(x):
            target, importance = SsimTarget.of(x), self._importance(x)
            return self._weigh(
                {
                    "pixel": pixel_loss(rebuilt, x, importance)
                    + pixel_loss(same, x, importance)
                    + pixel_loss(neutral_warped, x, importance)
                    + 1.5 * pixel_loss(double_warped, x, importance),
                    "perceptual": perceptual,
                    "ssim": ssim_loss(rebuilt, target, importance)
                    + ssim_loss(same, target, importance)
                    + 1.5 * ssim_loss(double_warped, target, importance),
                    "symmetry": symmetry_loss(neutral) + 0.5 * symmetry_loss(warped),
                    **geometry,
                }
            )


class IdentityStage(Stage):
    """The identity cycle: E_id and D_id learn, the expression networks are frozen (section 3.2)."""

    trained = ("identity_encoder", "identity_decoder")

    def forward(
        self,
        x: Tensor,
        noise: Noise,
        noise_back: Noise,
        guide: Guide | None = None,
        *,
        persons: Tensor | None = None,
        processes: int = 1,
        start: int = 0,
        undrawn: bool = False,
    ) -> dict[str, Tensor]:
        """As :meth:`ExpressionStage.forward`, but nothing is guided.

        The mean face is the average over all processes. ``undrawn`` leaves the contrast alone.
        """
        model = self.model
        if undrawn:
            code = model.encode_identity(self._performing(x, processes, start))
            return self._weigh({"contrast": self._contrast(code.float(), persons, processes)})
        with torch.no_grad():
            flow, backflow = model.decode_flow(model.encode_expression(x))
            neutral = model.de_express(x, flow, noise).float()

        code = model.encode_identity(x)
        without = model.de_identify(neutral, code).float()
        mean = _mean(without, processes)
        # The mean face is one picture: its features are computed once, not for every face.
        features = model.features(mean)
        expanded = features._replace(quarter=features.quarter.expand(len(x), -1, -1, -1))
        restored = model.identity_decoder(expanded, code, restore=True).float()

        warped = self._warp(restored, backflow)
        rebuilt = model.re_express(restored, backflow, noise_back).float()
        perceptual = self._perceptual((warped, rebuilt), x)

        with full_precision(x):
            target, importance = SsimTarget.of(x), self._importance(x)
            return self._weigh(
                {
                    "pixel": pixel_loss(rebuilt, x, importance)
                    + 0.8 * pixel_loss(warped, x, importance)
                    + pixel_loss(restored, neutral, importance),
                    "perceptual": perceptual,
                    "ssim": ssim_loss(rebuilt, target, importance)
                    + 0.8 * ssim_loss(warped, target, importance),
                    "symmetry": symmetry_loss(restored),
                    "margin": margin_loss(mean, neutral),
                    "average": pixel_loss(without, _mean(neutral, processes).expand_as(without)),
                    "contrast": self._contrast(code.float(), persons, processes),
                }
            )

    @torch.no_grad()
    def _performing(self, x: Tensor, processes: int, start: int) -> Tensor:
        """Some of the faces with the motion of the next pair's, warped and not drawn."""
        share = self.weights.perform
        if not share:
            return x
        model = self.model
        flow, backflow = (f.float() for f in model.decode_flow(model.encode_expression(x)))
        first, second = (_all(part, processes).roll(-1, 0) for part in backflow.chunk(2))
        own = slice(start, start + len(x) // 2)
        moved = self._warp(x, compose(flow, torch.cat((first[own], second[own]))))
        # Not both views of the same pairs, so that one of them mostly is a photograph as it is.
        chosen = [spread(share, start + view, len(x) // 2) for view in (0, 1)]
        return torch.where(torch.cat(chosen).to(x.device).view(-1, 1, 1, 1), moved, x)

    def _contrast(self, code: Tensor, persons: Tensor | None, processes: int) -> Tensor:
        if not self.weights.contrast:
            return code.new_zeros(())
        if processes > 1:
            from torch.distributed.nn.functional import all_gather

            first, second = (torch.cat(all_gather(view)) for view in code.chunk(2))
            code = torch.cat((first, second))
            persons = None if persons is None else _all(persons, processes)
        return contrast_loss(code, persons)


def _mean(x: Tensor, processes: int) -> Tensor:
    """The average (1, ...) over the batches of all processes; gradients flow back to each."""
    mean = x.mean(dim=0, keepdim=True)
    if processes == 1:
        return mean
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(mean) / processes


def _all(x: Tensor, processes: int) -> Tensor:
    """The rows of all processes, in their order; no gradient flows back."""
    if processes == 1:
        return x
    from torch.distributed import all_gather

    parts = [torch.empty_like(x) for _ in range(processes)]
    all_gather(parts, x.contiguous())
    return torch.cat(parts)


STAGES: dict[StageName, type[Stage]] = {"expression": ExpressionStage, "identity": IdentityStage}
