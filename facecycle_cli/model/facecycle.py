"""FaceCycle: the five networks and the two cycles, behind six verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from facecycle_cli.model.config import CheckpointInfo, ModelConfig
from facecycle_cli.model.networks import (
    ExpressionDecoder,
    ExpressionEncoder,
    FlowDecoder,
    IdentityDecoder,
    IdentityEncoder,
    LearnedTrunk,
    Noise,
    TrunkFeatures,
    Vgg19Trunk,
)
from facecycle_cli.model.verifier import Verifier
from facecycle_cli.types import RGBImage

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Codes(NamedTuple):
    """R_id and R_exp (expression *and* head pose), each (N, code_size) in (-1, 1)."""

    identity_code: Tensor
    expression_code: Tensor


class Flows(NamedTuple):
    """De-expression (to the neutral, frontal face) and re-expression, each (N, 2, F, F) in grid
    units, where F is ``config.flow_size``.
    """

    flow: Tensor
    backflow: Tensor


class FaceCycle(nn.Module):
    """E_exp, D_flow, D_exp (facial-motion cycle) and E_id, D_id (identity cycle); paper, figure 2.

    Faces go in and come out as ``x``: (N, 3, S, S) float, ImageNet-normalized RGB, where S is
    ``config.image_size``; :meth:`to_input` and :meth:`to_image` convert from and to uint8 pictures.
    The module draws nothing at random: noise is an argument (:meth:`noise`, :meth:`random_noise`),
    and where none is given it is that of ``seed``.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint: CheckpointInfo | None = None
        self.seed = 0
        vgg19 = config.extensions.trunk == "vgg19"
        self.trunk = Vgg19Trunk(config) if vgg19 else LearnedTrunk(config)
        self.expression_encoder = ExpressionEncoder(config)
        self.flow_decoder = FlowDecoder(config)
        self.expression_decoder = ExpressionDecoder(config)
        self.identity_encoder = IdentityEncoder(config)
        self.identity_decoder = IdentityDecoder(config)
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

    def to_input(
        self, images: RGBImage | Tensor | Sequence[RGBImage], side: int | None = None
    ) -> Tensor:
        """uint8 RGB (S, S, 3) or (N, S, S, 3) -> x (N, 3, S, S) on the model's device.

        S is ``side``, by default the networks' own.

        Raises:
            ValueError: not uint8, or of another size.
        """
        array = images if isinstance(images, Tensor) else np.asarray(images)
        side = side or self.config.image_size
        dtype = str(array.dtype).removeprefix("torch.")
        if dtype != "uint8" or tuple(array.shape[-3:]) != (side, side, 3) or array.ndim > 4:
            raise ValueError(
                f"faces must be uint8 (N, {side}, {side}, 3), not {dtype} {tuple(array.shape)}"
            )
        if isinstance(array, np.ndarray):  # torch takes no read-only array: Pillow makes such
            array = torch.from_numpy(np.require(array, requirements=("C", "W")))
        x = array.reshape(-1, side, side, 3).to(self.device).permute(0, 3, 1, 2).float() / 255
        return (x - self.input_mean) / self.input_std

    def to_unit(self, x: Tensor) -> Tensor:
        """``x`` (N, 3, H, W) -> RGB in [0, 1], not clamped."""
        return x * self.input_std + self.input_mean

    def to_image(self, x: Tensor) -> Tensor:
        """``x`` (N, 3, H, W) -> uint8 RGB (N, H, W, 3) on the CPU."""
        rgb = (self.to_unit(x) * 255).round().clamp(0, 255).to(torch.uint8)
        return rgb.permute(0, 2, 3, 1).contiguous().cpu()

    def random_noise(self, n: int, generator: torch.Generator | None = None) -> Noise:
        """Fresh N(0, 1) noise for ``n`` faces, as training uses it."""
        (_, half, quarter), side = self.config.trunk_widths, self.config.image_size
        source = generator.device if generator is not None else self.device

        def normal(channels: int, size: int) -> Tensor:
            shape = (n, channels, size, size)
            return torch.randn(shape, generator=generator, device=source).to(self.device)

        return normal(half, side // 2), normal(quarter, side // 4)

    def noise(self, seed: int | None = None) -> Noise:
        """The noise of ``seed`` (default: ``self.seed``), a batch of 1 for every face and frame."""
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
        """D_exp(x) without a flow: the face itself."""
        return self.expression_decoder(self.features(x), None, None)

    def de_identify(self, neutral: Tensor, identity_code: Tensor) -> Tensor:
        """The mean face: D_id(neutral; MLP_de(R_id))."""
        return self.identity_decoder(self.features(neutral), identity_code, restore=False)

    def re_identify(self, mean: Tensor, identity_code: Tensor) -> Tensor:
        """The neutral face again: D_id(mean; MLP_re(R_id))."""
        return self.identity_decoder(self.features(mean), identity_code, restore=True)

    def embed_identity(self, x: Tensor) -> Tensor:
        """Faces (N, 3, E, E), E = ``verifier.side`` -> unit vectors (N, D) whose dot product is
        the similarity that verification compares.
        """
        return self.verifier(self, x)
