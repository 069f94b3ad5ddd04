"""What a model is made of: a frozen description from which every network can be rebuilt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

Upsampling = Literal["transposed", "bilinear"]
Padding = Literal["zeros", "border"]
TrunkKind = Literal["vgg19", "learned"]
Compared = Literal["code", "neutral"]

IMAGE_SIZES = (64, 128)

EMBEDDING_CELLS = 11, 9
"""Rows and columns of the neutral face that verification compares cell by cell."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "image_size": IMAGE_SIZES,
    "trunk": ("vgg19", "learned"),
    "upsampling": ("transposed", "bilinear"),
    "padding": ("zeros", "border"),
    "residual": (False, True),
    "flow_stride": (2, 4),
    "embedding_of": ("code", "neutral"),
}
_WIDTHS = {
    "encoder_widths": 4,
    "flow_widths": 3,
    "trunk_widths": 3,
    "expression_decoder_upsampling_widths": 2,
    "identity_decoder_upsampling_widths": 2,
}
_RANGES = {
    "code_size": (1, 4096),
    "encoder_features": (1, 4096),
    "encoder_hidden": (1, 8192),
    "expression_decoder_width": (1, 4096),
    "expression_decoder_blocks": (0, 64),
    "identity_decoder_width": (1, 4096),
    "identity_decoder_blocks": (0, 64),
    "noise_kernel": (1, 7),
    "inverse_steps": (1, 16),
    "embedding_size": (0, 4096),
}
"""What a file may ask for: far above any use, far below what would hang a machine."""


def _check_integer(name: str, value: Any, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError(f"{name} must be an integer from {lowest} to {highest}, not {value!r}")


@dataclass(frozen=True)
class ModelConfig:
    """Widths and depths of the five networks (supplementary, figures 2 to 5).

    A checkpoint carries its own ``ModelConfig``, so a model is rebuilt from the file alone.

    Attributes:
        preset: name under which the configuration is known.
        image_size: side of the square input in pixels, 64 or 128.
        code_size: length of the identity and of the expression code.
        encoder_widths: channels of the encoder at strides 2, 4, 8 and 16.
        encoder_features: channels of the encoder's last convolution (4x4 positions).
        encoder_hidden: units of the hidden fully connected layer.
        flow_widths: channels of the flow decoder at 4x4, at 8x8 and at the flow's own size.
        flow_stride: pixels of the input per cell of the flows, 4 (the paper's 16x16 of 64) or 2.
        inverse_steps: fixed-point steps from the flow to the backflow. One, the paper's, rebuilds
            a face that is warped there and back with SSIM 0.87, four with 0.97.
        embedding_of: what verification compares: the identity ``code`` (the paper), or what E_exp's
            lower layers see in the ``neutral`` face.
        embedding_size: length of the vectors that verification compares, whitened; 0 compares them
            as they are (the paper).
        trunk: ``vgg19`` (frozen, ImageNet) or ``learned`` (trained with the rest).
        trunk_widths: channels of the trunk at strides 1, 2 and 4.
        expression_decoder_width: channels of D_exp's residual blocks.
        expression_decoder_blocks: number of D_exp's residual blocks.
        expression_decoder_upsampling_widths: channels of D_exp's decoder at strides 2 and 1.
        identity_decoder_width: channels of D_id's residual blocks.
        identity_decoder_blocks: number of D_id's residual blocks.
        identity_decoder_upsampling_widths: channels of D_id's decoder at strides 2 and 1.
        noise_kernel: side of the noise branch's convolutions.
        residual: D_exp draws the difference to the warped picture instead of the whole picture. It
            learns in minutes instead of hours, and keeps detail that no bottleneck has to pass.
        upsampling: ``transposed`` (4x4 stride 2, the paper's) or ``bilinear`` (interpolate, then
            convolve: no checkerboard from a short training).
        padding: what a warp finds beyond the picture: ``zeros`` (the paper's) or ``border``.
    """

    preset: str
    image_size: int = 64
    code_size: int = 256
    encoder_widths: tuple[int, int, int, int] = (64, 128, 128, 256)
    encoder_features: int = 128
    encoder_hidden: int = 512
    flow_widths: tuple[int, int, int] = (256, 128, 64)
    flow_stride: int = 4
    inverse_steps: int = 1
    embedding_of: Compared = "code"
    embedding_size: int = 0
    trunk: TrunkKind = "vgg19"
    trunk_widths: tuple[int, int, int] = (64, 128, 256)
    expression_decoder_width: int = 256
    expression_decoder_blocks: int = 8
    expression_decoder_upsampling_widths: tuple[int, int] = (128, 128)
    identity_decoder_width: int = 256
    identity_decoder_blocks: int = 7
    identity_decoder_upsampling_widths: tuple[int, int] = (128, 128)
    noise_kernel: int = 3
    residual: bool = False
    upsampling: Upsampling = "transposed"
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        for name, length in _WIDTHS.items():
            widths = getattr(self, name)
            if not isinstance(widths, tuple) or len(widths) != length:
                raise ValueError(f"{name} must be {length} integers, not {widths!r}")
            for width in widths:
                _check_integer(name, width, 1, 4096)
        for name, (lowest, highest) in _RANGES.items():
            _check_integer(name, getattr(self, name), lowest, highest)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices or type(value) is not type(choices[0]):
                allowed = " or ".join(str(choice) for choice in choices)
                raise ValueError(f"{name} must be {allowed}, not {value!r}")
        if self.noise_kernel % 2 == 0:
            raise ValueError(f"noise_kernel must be odd, not {self.noise_kernel}")
        if self.embedding_size > self.embedding_inputs:
            raise ValueError(f"embedding_size must not be larger than {self.embedding_inputs}")
        if self.trunk == "vgg19" and self.trunk_widths != (64, 128, 256):
            raise ValueError("the VGG-19 trunk has widths (64, 128, 256)")
        if self.identity_decoder_width != self.trunk_widths[2]:
            raise ValueError("identity_decoder_width must equal the trunk's last width")

    @property
    def flow_size(self) -> int:
        """Side of the flow fields in cells."""
        return self.image_size // self.flow_stride

    @property
    def embedding_side(self) -> int:
        """Side in pixels of the faces that verification looks at.

        A neutral face is warped from a larger picture than the networks take, because small things
        tell people apart; beyond a quarter more pixels, the gain is not worth the time.
        """
        return self.image_size * 5 // 4 if self.embedding_of == "neutral" else self.image_size

    @property
    def embedding_inputs(self) -> int:
        """Length of what is whitened."""
        if self.embedding_of == "code":
            return self.code_size
        rows, columns = EMBEDDING_CELLS
        return self.encoder_widths[1] * rows * columns

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary from which :meth:`from_dict` rebuilds the configuration."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Rebuild from :meth:`to_dict`'s output.

        What a file does not say, because it is older than the key, is as in the paper.

        Raises:
            ValueError: a key is unknown, there is no ``preset``, or a value is out of range.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown model configuration key: {', '.join(unknown)}")
        if "preset" not in values:
            raise ValueError("missing model configuration key: preset")
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**arguments)


PRESETS: dict[str, ModelConfig] = {
    "paper": ModelConfig(preset="paper"),
    "small": ModelConfig(
        preset="small",
        encoder_widths=(24, 48, 64, 128),
        encoder_features=96,
        encoder_hidden=320,
        flow_widths=(96, 64, 48),
        flow_stride=2,
        inverse_steps=4,
        embedding_of="neutral",
        embedding_size=256,
        trunk="learned",
        trunk_widths=(16, 32, 64),
        expression_decoder_width=64,
        expression_decoder_blocks=3,
        expression_decoder_upsampling_widths=(40, 16),
        identity_decoder_width=64,
        identity_decoder_blocks=3,
        identity_decoder_upsampling_widths=(40, 16),
        noise_kernel=1,
        residual=True,
        upsampling="bilinear",
        padding="border",
    ),
}
"""The configurations known by name, at 64x64; see :func:`preset` for 128x128."""


def preset(name: str, image_size: int = 64) -> ModelConfig:
    """The configuration known as ``name``, for square inputs of ``image_size`` pixels.

    Raises:
        ValueError: the name or the size is unknown.
    """
    try:
        return replace(PRESETS[name], image_size=image_size)
    except KeyError:
        raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}") from None
