"""The two stages of training: which networks learn, and from which losses.

A stage is a module whose ``forward`` turns a batch of pairs into its weighted losses, so that data
parallelism can wrap it whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import warp
from facecycle_cli.model.generator import Noise

from .losses import (
    SsimTarget,
    folding_loss,
    margin_loss,
    smoothness_loss,
    ssim_loss,
    symmetry_loss,
)
from .perceptual import PerceptualLoss

StageName = Literal["expression", "identity"]


@dataclass(frozen=True)
class LossWeights:
    """What each loss counts; the paper's, and two of ours that keep flows from tearing (0 for it)."""

    pixel: float = 1.0
    perceptual: float = 0.01
    ssim: float = 5.0
    symmetry: float = 1.5
    margin: float = 1.0
    smoothness: float = 0.0
    folding: float = 0.0


def swap_views(x: Tensor) -> Tensor:
    """Exchange the two halves of a batch: every face meets the other view of its pair."""
    first, second = x.chunk(2)
    return torch.cat((second, first))


class Stage(nn.Module):
    """What both stages share.

    Args:
        model: the whole model; only some of its networks are trained.
        weights: of the losses.
        perceptual: Gram-matrix loss on VGG-19, or None to train without it.
    """

    trained: tuple[str, ...]

    def __init__(
        self, model: FaceCycle, weights: LossWeights, perceptual: PerceptualLoss | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights
        self.perceptual = perceptual
        model.requires_grad_(False)
        for name in self.trained:
            module = model.get_submodule(name)
            module.requires_grad_(not (name == "trunk" and model.config.trunk == "vgg19"))

    def parameters_to_train(self) -> list[nn.Parameter]:
        """The parameters that learn, in a fixed order."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def _perceptual(self, images: Iterable[Tensor], target: Tensor) -> Tensor:
        if self.perceptual is None:
            return target.new_zeros(())
        return self.perceptual(tuple(images), target)

    def _weigh(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        total = sum(getattr(self.weights, name) * value for name, value in terms.items())
        return {"loss": torch.as_tensor(total), **terms}


class ExpressionStage(Stage):
    """The facial-motion cycle: E_exp, D_flow and D_exp learn (paper, section 3.1)."""

    trained = ("trunk", "expression_encoder", "flow_decoder", "generator")

    def forward(self, x: Tensor, noise: Noise, noise_back: Noise) -> dict[str, Tensor]:
        """``x``: (2N, 3, S, S), the first views and then the second -> losses by name."""
        model = self.model
        flow, backflow = model.decode_flow(model.encode_expression(x))
        features = model.features(x)

        neutral = model.move(features, flow, noise)
        warped = warp(x, flow, padding=model.config.padding)
        swapped = swap_views(neutral)
        rebuilt = model.re_express(swapped, backflow, noise_back)
        same = model.generator(features, None, None)
        neutral_warped = warp(swapped, backflow, padding=model.config.padding)
        double_warped = warp(swap_views(warped), backflow, padding=model.config.padding)

        target = SsimTarget.of(x)
        return self._weigh(
            {
                "pixel": F.l1_loss(rebuilt, x)
                + F.l1_loss(same, x)
                + F.l1_loss(neutral_warped, x)
                + 1.5 * F.l1_loss(double_warped, x),
                "perceptual": self._perceptual(
                    (neutral, neutral_warped, double_warped, rebuilt), x
                ),
                "ssim": ssim_loss(rebuilt, target)
                + ssim_loss(same, target)
                + 1.5 * ssim_loss(double_warped, target),
                "symmetry": symmetry_loss(neutral) + 0.5 * symmetry_loss(warped),
                "smoothness": smoothness_loss(flow),
                "folding": folding_loss(flow) + folding_loss(backflow),
            }
        )


class IdentityStage(Stage):
    """The identity cycle: E_id and D_id learn, the expression networks are frozen (section 3.2)."""

    trained = ("identity_encoder", "normaliser")

    def forward(self, x: Tensor, noise: Noise, noise_back: Noise) -> dict[str, Tensor]:
        """``x``: (2N, 3, S, S) -> losses by name. The mean face is the batch's average."""
        model = self.model
        with torch.no_grad():
            flow, backflow = model.decode_flow(model.encode_expression(x))
            neutral = model.de_express(x, flow, noise)

        code = model.encode_identity(x)
        mean = model.de_identify(neutral, code).mean(dim=0, keepdim=True)
        # The mean face is one picture: its features are computed once, not for every face.
        features = model.features(mean)
        expanded = features._replace(quarter=features.quarter.expand(len(x), -1, -1, -1))
        restored = model.normaliser(expanded, code, restore=True)

        warped = warp(restored, backflow, padding=model.config.padding)
        rebuilt = model.re_express(restored, backflow, noise_back)
        target = SsimTarget.of(x)
        return self._weigh(
            {
                "pixel": F.l1_loss(rebuilt, x)
                + 0.8 * F.l1_loss(warped, x)
                + F.l1_loss(restored, neutral),
                "perceptual": self._perceptual((warped, rebuilt), x),
                "ssim": ssim_loss(rebuilt, target) + 0.8 * ssim_loss(warped, target),
                "symmetry": symmetry_loss(restored),
                "margin": margin_loss(mean, neutral),
            }
        )


STAGES: dict[StageName, type[Stage]] = {"expression": ExpressionStage, "identity": IdentityStage}
