"""The two stages of training: which networks learn, from which inputs and from which losses.

A stage is a module whose ``forward`` turns the inputs of a step into losses, so that data
parallelism can wrap it. Under autocast the networks run in half precision; flows, warps and losses
stay in float32.

Each stage may begin with a warm-up that draws no pictures: the expression stage learns its flows
from landmarks, the identity stage its codes by contrast. Neither is in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import compose, warp
from facecycle_cli.model.networks import Noise
from facecycle_cli.training.augment import Draw, apply, draw
from facecycle_cli.training.config import STAGE_NETWORKS, StageConfig, StageName, check_frozen
from facecycle_cli.training.data.batches import Batch, Share
from facecycle_cli.training.distributed import mean_of_all, rows_of_all
from facecycle_cli.training.exchange import relit, spread_evenly, swap_views
from facecycle_cli.training.guidance import Guide, Guides, augmented_guide
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
from facecycle_cli.training.transfer import upload
from facecycle_cli.training.whitening import Whitener

_SEED_STRIDE = 1_000_003
"""Between the seeds of two runs lie more steps than a run has."""


class StepInputs(NamedTuple):
    """What one step computes its losses from, in one process.

    Attributes:
        x: (2P, 3, S, S), normalized: the first views of P pairs and then the second views.
        noise: for de-expression; of no face in a warm-up, which draws none.
        noise_back: for re-expression, likewise.
        guide: landmarks of the faces and of their neutral faces; None if nothing guides the flows.
        persons: (P,) int64, the person that each pair shows; None if each shows another one.
        processes: number of processes that share the step, each with P pairs.
        first_pair: number of the first pair here among the pairs of all processes.
        warm_up: whether only what needs no picture to be drawn is learned.
    """

    x: Tensor
    noise: Noise
    noise_back: Noise
    guide: Guide | None = None
    persons: Tensor | None = None
    processes: int = 1
    first_pair: int = 0
    warm_up: bool = False


@dataclass(frozen=True)
class StageResources:
    """What a run has for its stages; each stage takes what it needs.

    Attributes:
        perceptual: the loss on a network's features; None to train without it.
        guides: landmarks that guide the flows; None without guidance.
        whitener: fits what verification compares; None to leave it as it is.
    """

    perceptual: PerceptualLoss | None = None
    guides: Guides | None = None
    whitener: Whitener | None = None


_NO_RESOURCES = StageResources()


class TrainingStage(nn.Module):
    """What both stages share.

    Args:
        model: the whole model; only some of its networks learn.
        settings: of this stage.
        resources: of the run.

    Attributes:
        name: of the stage, in settings, log and checkpoint.
        sample_prefix: of the file names of its sample grids.
        paper_rates: with ``schedule="paper"``, first epochs and the factors of the learning rate
            from there on (supplementary code).
        warm_up_steps: first steps that draw no picture.
        guides: landmarks that guide the stage; None without guidance.

    Raises:
        SettingsError: ``settings.frozen`` names a network of another stage, or leaves none to
            learn.
    """

    name: ClassVar[StageName]
    sample_prefix: ClassVar[str]
    paper_rates: ClassVar[tuple[tuple[int, float], ...]]
    warm_up_steps: int
    guides: Guides | None = None

    def __init__(
        self, model: FaceCycle, settings: StageConfig, resources: StageResources = _NO_RESOURCES
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.options = settings.options
        self.perceptual = resources.perceptual
        self._weights: dict[str, float] = asdict(settings.weights)
        networks = STAGE_NETWORKS[self.name]
        check_frozen(settings.frozen, networks)
        fixed = {"trunk"} if model.config.extensions.trunk == "vgg19" else set()
        model.requires_grad_(False)
        for name in networks:
            model.get_submodule(name).requires_grad_(name not in {*settings.frozen, *fixed})

    @classmethod
    def is_guided(cls, settings: StageConfig) -> bool:
        """Whether landmarks are to guide a stage with these settings."""
        return False

    def parameters_to_train(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by their names in the model, in a fixed order."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def prepare_checkpoint(self) -> None:
        """Change what a checkpoint holds besides the weights that learn; called before each one."""

    def inputs(self, batch: Batch, share: Share, seed: int) -> StepInputs:
        """Augment a batch, and draw the noise.

        All random numbers are drawn for the pairs of all processes, from the seed and the step.

        Args:
            batch: the crops of this process.
            share: of this process.
            seed: of the run.
        """
        step_seed = seed * _SEED_STRIDE + batch.step
        model, device = self.model, self.model.device
        drawn = draw(
            batch.mirrored,
            self.settings.augmentation,
            torch.Generator().manual_seed(step_seed),
            pairs=share.pairs,
            start=share.start,
        )
        views = upload(batch.views, device)
        rgb = apply(views, drawn, model.config.image_size)
        generator = torch.Generator(device).manual_seed(step_seed)
        warm_up = batch.step < self.warm_up_steps
        noise, noise_back = (self._noise(share, generator, drawn=not warm_up) for _ in range(2))
        return StepInputs(
            x=(rgb - model.input_mean) / model.input_std,
            noise=noise,
            noise_back=noise_back,
            guide=self._guide(batch, drawn),
            persons=upload(batch.persons, device),
            processes=share.processes,
            first_pair=share.start,
            warm_up=warm_up,
        )

    def _noise(self, share: Share, generator: torch.Generator, *, drawn: bool) -> Noise:
        """The noise of this process's faces; of no face if none is ``drawn``."""
        if not drawn:
            return self.model.random_noise(0, generator)
        half, quarter = self.model.random_noise(2 * share.pairs, generator)
        return share.rows(half), share.rows(quarter)

    def _guide(self, batch: Batch, drawn: Draw) -> Guide | None:
        if batch.landmarks is None:
            return None
        landmarks = batch.landmarks.to(self.model.device)
        size = self.model.config.image_size
        return augmented_guide(landmarks, drawn, size, self.options.features)

    def _warp(self, image: Tensor, flow: Tensor) -> Tensor:
        return warp(image, flow, padding=self.model.config.extensions.padding)

    def _importance(self, x: Tensor) -> Tensor | None:
        """Weight of every pixel; None if all count the same."""
        if not self.options.focus:
            return None
        return 1 + self.options.focus * (face_region(x.shape[-1], x.device) - 1)

    def _perceptual(self, images: Sequence[Tensor], target: Tensor) -> Tensor:
        if self.perceptual is None:
            return target.new_zeros(())
        loss: Tensor = self.perceptual(images, target)
        return loss

    def _weigh(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses by name, and their weighted sum as ``loss``."""
        total = sum(self._weights[name] * value for name, value in terms.items())
        return {"loss": torch.as_tensor(total), **terms}


class ExpressionStage(TrainingStage):
    """The facial-motion cycle: E_exp, D_flow and D_exp learn (paper, section 3.1)."""

    name = "expression"
    sample_prefix = ""
    paper_rates = ((0, 0.2), (1, 1.0), (20, 0.2))  # of 5e-5: 1e-5, 5e-5, 1e-5

    def __init__(
        self, model: FaceCycle, settings: StageConfig, resources: StageResources = _NO_RESOURCES
    ) -> None:
        super().__init__(model, settings, resources)
        self.guides = resources.guides
        # Without landmarks, flows have nothing to learn from but pictures.
        self.warm_up_steps = settings.flow_steps if self.guides is not None else 0

    @classmethod
    def is_guided(cls, settings: StageConfig) -> bool:
        """Whether landmarks are to guide a stage with these settings."""
        return settings.weights.guide > 0

    def forward(self, inputs: StepInputs) -> dict[str, Tensor]:
        """The losses by name; ``loss`` is their weighted sum. A warm-up has those of flows only."""
        model, x = self.model, inputs.x
        flow, backflow = model.decode_flow(model.encode_expression(x))
        with full_precision(x):
            geometry = {
                "smoothness": smoothness_loss(flow),
                "folding": folding_loss(flow) + folding_loss(backflow),
                "gauge": gauge_loss(mean_of_all(flow, inputs.processes)[0]),
                "guide": x.new_zeros(())
                if inputs.guide is None
                else guide_loss(flow, inputs.guide),
            }
        if inputs.warm_up:
            return self._weigh(geometry)
        features = model.features(x)  # the trunk sees x once, for D_exp with and without a flow

        neutral = model.move(features, flow, inputs.noise).float()
        same = model.expression_decoder(features, None, None).float()
        swapped = self._exchange(neutral, inputs.first_pair)
        rebuilt = model.re_express(swapped, backflow, inputs.noise_back).float()
        warped = self._warp(x, flow)
        neutral_warped = self._warp(swapped, backflow)
        double_warped = self._warp(self._exchange(warped, inputs.first_pair), backflow)
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

    def _exchange(self, own: Tensor, first_pair: int) -> Tensor:
        """What each face is rebuilt from: its own picture, or that of the other view."""
        other = swap_views(own, self.options.exchange, first_pair)
        if not self.options.relight:
            return other
        region = face_region(own.shape[-1], own.device)
        return torch.lerp(other, relit(other, own.detach(), region), self.options.relight)


class IdentityStage(TrainingStage):
    """The identity cycle: E_id and D_id learn, the expression networks do not (section 3.2)."""

    name = "identity"
    sample_prefix = "identity-"
    paper_rates = ((0, 0.5), (1, 1.0), (10, 0.1))  # of 1e-4: 5e-5, 1e-4, 1e-5

    def __init__(
        self, model: FaceCycle, settings: StageConfig, resources: StageResources = _NO_RESOURCES
    ) -> None:
        super().__init__(model, settings, resources)
        self.whitener = resources.whitener
        self.warm_up_steps = settings.contrast_steps

    def prepare_checkpoint(self) -> None:
        """Whiten what verification compares."""
        if self.whitener is not None:
            self.whitener.fit(self.model)

    def forward(self, inputs: StepInputs) -> dict[str, Tensor]:
        """The losses by name; ``loss`` is their weighted sum. A warm-up has the contrast only."""
        model, x = self.model, inputs.x
        if inputs.warm_up:
            code = model.encode_identity(self.reenacted(inputs))
            return self._weigh({"contrast": self._contrast(code.float(), inputs)})
        with torch.no_grad():
            flow, backflow = model.decode_flow(model.encode_expression(x))
            neutral = model.de_express(x, flow, inputs.noise).float()

        code = model.encode_identity(x)
        without = model.de_identify(neutral, code).float()
        mean = mean_of_all(without, inputs.processes)
        # The mean face is one picture: its features are computed once, not for every face.
        features = model.identity_features(mean)
        expanded = features._replace(quarter=features.quarter.expand(len(x), -1, -1, -1))
        restored = model.identity_decoder(expanded, code, restore=True).float()

        warped = self._warp(restored, backflow)
        rebuilt = model.re_express(restored, backflow, inputs.noise_back).float()
        perceptual = self._perceptual((warped, rebuilt), x)

        with full_precision(x):
            target, importance = SsimTarget.of(x), self._importance(x)
            mean_neutral = mean_of_all(neutral, inputs.processes)
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
                    "average": pixel_loss(without, mean_neutral.expand_as(without)),
                    "contrast": self._contrast(code.float(), inputs),
                }
            )

    @torch.no_grad()
    def reenacted(self, inputs: StepInputs) -> Tensor:
        """The faces ``inputs.x``, some of them warped to the motion of the next pair's face."""
        x, share, start = inputs.x, self.options.reenact, inputs.first_pair
        if not share:
            return x
        model, pairs = self.model, len(x) // 2
        flow, backflow = (f.float() for f in model.decode_flow(model.encode_expression(x)))
        first, second = (rows_of_all(v, inputs.processes).roll(-1, 0) for v in backflow.chunk(2))
        own = slice(start, start + pairs)
        moved = self._warp(x, compose(flow, torch.cat((first[own], second[own]))))
        # Not both views of the same pairs, so that one of them mostly is a photograph as it is.
        chosen = torch.cat([spread_evenly(share, start + view, pairs, x.device) for view in (0, 1)])
        return torch.where(chosen.view(-1, 1, 1, 1), moved, x)

    def _contrast(self, code: Tensor, inputs: StepInputs) -> Tensor:
        """The contrast between the codes of all processes."""
        if not self._weights["contrast"]:
            return code.new_zeros(())
        processes, persons = inputs.processes, inputs.persons
        if processes > 1:
            views = (rows_of_all(view, processes, gradient=True) for view in code.chunk(2))
            code = torch.cat(tuple(views))
            persons = None if persons is None else rows_of_all(persons, processes)
        return contrast_loss(code, persons)


STAGES: dict[StageName, type[TrainingStage]] = {
    "expression": ExpressionStage,
    "identity": IdentityStage,
}


def full_precision(like: Tensor) -> AbstractContextManager[None]:
    """A context without autocast, on the device of ``like``."""
    return torch.autocast(like.device.type, enabled=False)
