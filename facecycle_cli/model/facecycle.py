"""FaceCycle: the five networks and the two cycles, behind six verbs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from facecycle_cli.model import networks
from facecycle_cli.model.config import CheckpointInfo, ModelConfig
from facecycle_cli.model.inputs import IMAGENET_MEAN, IMAGENET_STD, Crops, stack_crops
from facecycle_cli.model.networks import Noise, TrunkFeatures
from facecycle_cli.model.verifier import Verifier


class Codes(NamedTuple):
    """What a face is made of besides the mean face.

    Attributes:
        identity_code: R_id, (N, code_size) in (-1, 1).
        expression_code: R_exp, expression *and* head pose, (N, code_size) in (-1, 1).
    """

    identity_code: Tensor
    expression_code: Tensor


class Flows(NamedTuple):
    """The two flows of a face, each (N, 2, F, F) in grid units, F = ``config.flow_size``.

    Attributes:
        flow: takes the face to its neutral, frontal self (de-expression).
        backflow: takes the neutral face back (re-expression).
    """

    flow: Tensor
    backflow: Tensor


class FaceCycle(nn.Module):
    """E_exp, D_flow, D_exp (facial-motion cycle) and E_id, D_id (identity cycle); paper, figure 2.

    Faces go in and come out as ``x``: (N, 3, S, S) float, ImageNet-normalized RGB, where S is
    ``config.image_size``; :meth:`to_input` and :meth:`to_image` convert from and to uint8 pictures.
    The module draws no random numbers: noise is an argument, by default that of ``seed``.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint: CheckpointInfo | None = None
        self.seed = 0
        self.trunk = networks.build_trunk(config)
        self.expression_encoder = networks.ExpressionEncoder(config)
        self.flow_decoder = networks.FlowDecoder(config)
        self.expression_decoder = networks.ExpressionDecoder(config)
        self.identity_encoder = networks.IdentityEncoder(config)
        self.identity_decoder = networks.IdentityDecoder(config)
        self.verifier = Verifier(config)
        self.set_constants()
        self._noise: dict[int, Noise] = {}

    def set_constants(self) -> None:
        """(Re)make what is not in a checkpoint: the normalization of the input."""
        for name, values in (("input_mean", IMAGENET_MEAN), ("input_std", IMAGENET_STD)):
            constant = torch.tensor(values, device="cpu").view(1, 3, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.input_mean.device

    def to_input(self, images: Crops, side: int | None = None) -> Tensor:
        """uint8 RGB (S, S, 3) or (N, S, S, 3) -> x (N, 3, S, S); S is ``side`` or the networks'.

        Raises:
            ValueError: not uint8, or of another size.
        """
        crops = stack_crops(images, side or self.config.image_size).to(self.device)
        return (crops.float() / 255 - self.input_mean) / self.input_std

    def to_unit(self, x: Tensor) -> Tensor:
        """X (N, 3, H, W) -> RGB in [0, 1], not clamped."""
        return x * self.input_std + self.input_mean

    def to_image(self, x: Tensor) -> Tensor:
        """X (N, 3, H, W) -> uint8 RGB (N, H, W, 3) on the CPU."""
        rgb = (self.to_unit(x) * 255).round().clamp(0, 255).to(torch.uint8)
        return rgb.permute(0, 2, 3, 1).contiguous().cpu()

    def random_noise(self, n: int, generator: torch.Generator | None = None) -> Noise:
        """Fresh noise for ``n`` faces, for training."""
        side, (_, half, quarter) = self.config.image_size, self.config.trunk_widths
        source = self.device if generator is None else generator.device
        shapes = (n, half, side // 2, side // 2), (n, quarter, side // 4, side // 4)
        first, second = (torch.randn(s, generator=generator, device=source) for s in shapes)
        return first.to(self.device), second.to(self.device)

    def noise(self, seed: int | None = None) -> Noise:
        """The noise of ``seed`` (default: ``self.seed``), one for all faces and frames (N = 1)."""
        seed = self.seed if seed is None else seed
        cached = self._noise.get(seed)
        if cached is None or cached[0].device != self.device:
            with torch.inference_mode(False):  # what is kept must also serve a training step
                cached = self.random_noise(1, torch.Generator().manual_seed(seed))
            self._noise = {seed: cached}
        return cached

    def encode_expression(self, x: Tensor) -> Tensor:
        """R_exp = E_exp(x): (N, code_size)."""
        return self.expression_encoder(x)

    def encode_identity(self, x: Tensor) -> Tensor:
        """R_id = E_id(x): (N, code_size)."""
        return self.identity_encoder(x)

    def encode(self, x: Tensor) -> Codes:
        """Both codes of a face."""
        return Codes(self.encode_identity(x), self.encode_expression(x))

    def decode_flow(self, expression_code: Tensor) -> Flows:
        """(flow, backflow) = D_flow(R_exp)."""
        return Flows(*self.flow_decoder(expression_code))

    def features(self, x: Tensor) -> TrunkFeatures:
        """The trunk's features, for callers that move one face many times."""
        return self.trunk(x)

    def identity_features(self, x: Tensor) -> TrunkFeatures:
        """The trunk's features of a face, for D_id."""
        return self.trunk(self.identity_decoder.reads(x))

    def move(self, features: TrunkFeatures, flow: Tensor, noise: Noise | None = None) -> Tensor:
        """D_exp on features already at hand; ``noise`` defaults to :meth:`noise`."""
        return self.expression_decoder(features, flow, self.noise() if noise is None else noise)

    def de_express(self, x: Tensor, flow: Tensor, noise: Noise | None = None) -> Tensor:
        """The neutral, frontal face: D_exp(x, flow)."""
        return self.move(self.features(x), flow, noise)

    def re_express(self, neutral: Tensor, backflow: Tensor, noise: Noise | None = None) -> Tensor:
        """The face with its motion again: D_exp(neutral, backflow)."""
        return self.move(self.features(neutral), backflow, noise)

    def rebuild(self, x: Tensor) -> Tensor:
        """D_exp(x) without a flow: the face itself, through the decoder."""
        return self.expression_decoder(self.features(x), None, None)

    def de_identify(self, neutral: Tensor, identity_code: Tensor) -> Tensor:
        """The mean face: D_id(neutral; MLP_de(R_id))."""
        return self.identity_decoder(self.identity_features(neutral), identity_code, restore=False)

    def re_identify(self, mean: Tensor, identity_code: Tensor) -> Tensor:
        """The neutral face again: D_id(mean; MLP_re(R_id))."""
        return self.identity_decoder(self.identity_features(mean), identity_code, restore=True)

    def embed_identity(self, x: Tensor) -> Tensor:
        """Faces for comparison, see :class:`.Verifier`: (N, 3, E, E), E = ``verifier.side``."""
        return self.verifier(self, x)
