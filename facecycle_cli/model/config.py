"""What a model is made of, and what a checkpoint says of itself: frozen descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from facecycle_cli.errors import SettingsError

Upsampling: TypeAlias = Literal["transposed", "bilinear"]
Padding: TypeAlias = Literal["zeros", "border"]
TrunkKind: TypeAlias = Literal["vgg19", "learned"]
Compared: TypeAlias = Literal["code", "neutral"]

IMAGE_SIZES = (64, 128)
"""Sides of the networks' input in pixels."""

VERIFIER_CELLS = 11, 9
"""Rows and columns of the neutral face that verification compares cell by cell."""

_SMALLEST_SIDE, _LARGEST_SIDE = 64, 256
"""Of the neutral faces that verification compares, in pixels."""

_MOST_CHANNELS = 4096
"""What a file may ask for at most: far above any use, far below what would hang a machine."""

_Group = TypeVar("_Group", "Extensions", "VerifierConfig")


def _check_integer(name: str, value: Any, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise SettingsError(f"{name} must be an integer from {lowest} to {highest}, not {value!r}")


def _check_choice(name: str, value: Any, *choices: Any) -> None:
    if value not in choices or type(value) is not type(choices[0]):
        allowed = " or ".join(str(choice) for choice in choices)
        raise SettingsError(f"{name} must be {allowed}, not {value!r}")


def _check_widths(name: str, value: Any, length: int) -> None:
    if not isinstance(value, tuple) or len(value) != length:
        raise SettingsError(f"{name} must be {length} integers, not {value!r}")
    for width in value:
        _check_integer(name, width, 1, _MOST_CHANNELS)


@dataclass(frozen=True)
class Extensions:
    """What is not in the paper. With the defaults, the networks compute as the paper's do.

    They let a small model learn in hours on a CPU what the published one learns in days on a GPU.

    Attributes:
        trunk: ``vgg19``, frozen ImageNet weights (the paper), or ``learned`` with the rest.
        flow_stride: pixels of the input per cell of the flows: 4 (the paper's 16x16 cells for 64
            pixels) or 2.
        inverse_steps: fixed-point steps from the flow to the backflow. One step, the paper's,
            rebuilds a face that is warped there and back with SSIM 0.87, four steps with 0.97.
        residual: D_exp draws the difference to the warped picture instead of the whole picture. It
            learns in minutes instead of hours, and no bottleneck has to pass the details.
        upsampling: ``transposed`` convolution (4x4, stride 2, the paper's), or ``bilinear``
            interpolation and convolution, which shows no checkerboard after a short training.
        padding: what a warp finds beyond the picture: ``zeros`` (the paper's) or its ``border``.
        identity_halved: D_id reads and draws faces at half their size. The mean face has no detail
            to lose, and the few layers of a small D_id then see a whole face of 128 pixels.
    """

    trunk: TrunkKind = "vgg19"
    flow_stride: int = 4
    inverse_steps: int = 1
    residual: bool = False
    upsampling: Upsampling = "transposed"
    padding: Padding = "zeros"
    identity_halved: bool = False

    def __post_init__(self) -> None:
        _check_choice("extensions.trunk", self.trunk, "vgg19", "learned")
        _check_choice("extensions.flow_stride", self.flow_stride, 2, 4)
        _check_integer("extensions.inverse_steps", self.inverse_steps, 1, 16)
        _check_choice("extensions.residual", self.residual, False, True)
        _check_choice("extensions.upsampling", self.upsampling, "transposed", "bilinear")
        _check_choice("extensions.padding", self.padding, "zeros", "border")
        _check_choice("extensions.identity_halved", self.identity_halved, False, True)


@dataclass(frozen=True)
class VerifierConfig:
    """What verification compares; see :class:`~facecycle_cli.model.verifier.Verifier`.

    Attributes:
        compares: the identity ``code`` (the paper), or what E_exp's lower layers see in the
            ``neutral`` face.
        size: length of the whitened vectors; 0 compares the features as they are (the paper).
        side: of the ``neutral`` face in pixels; 0 is 5/4 of the networks' input. A smaller one is
            faster: it is only averaged over cells.
    """

    compares: Compared = "code"
    size: int = 0
    side: int = 0

    def __post_init__(self) -> None:
        _check_choice("verifier.compares", self.compares, "code", "neutral")
        _check_integer("verifier.size", self.size, 0, _MOST_CHANNELS)
        _check_integer("verifier.side", self.side, 0, _LARGEST_SIDE)
        if 0 < self.side < _SMALLEST_SIDE:
            raise SettingsError(f"verifier.side must be 0 or from {_SMALLEST_SIDE}")


@dataclass(frozen=True)
class ModelConfig:
    """Widths and depths of the five networks (supplementary, figures 2 to 5).

    A checkpoint carries its own ``ModelConfig``, so a model is rebuilt from the file alone. The
    defaults are the paper's.

    Attributes:
        preset: name under which the configuration is known.
        image_size: side of the square input in pixels, 64 or 128.
        code_size: length of the identity code and of the expression code.
        encoder_widths: channels of E_exp and E_id at strides 2, 4, 8 and 16.
        encoder_features: channels of their last convolution (4x4 positions).
        encoder_hidden: units of their hidden fully connected layer.
        flow_decoder_widths: channels of D_flow at 4x4, at 8x8 and at the flow's own size.
        trunk_widths: channels of the trunk of D_exp and D_id at strides 1, 2 and 4.
        expression_decoder_width: channels of D_exp's residual blocks.
        expression_decoder_blocks: number of D_exp's residual blocks.
        expression_decoder_upsampling_widths: channels of D_exp at strides 2 and 1.
        noise_kernel: side of the convolutions of D_exp's noise branch.
        identity_decoder_width: channels of D_id's residual blocks.
        identity_decoder_blocks: number of D_id's residual blocks.
        identity_decoder_upsampling_widths: channels of D_id at strides 2 and 1.
        extensions: what is not in the paper.
        verifier: what verification compares.

    Raises:
        SettingsError: a value is of another kind or out of range, or two do not fit together.
    """

    preset: str
    image_size: int = 64
    code_size: int = 256
    encoder_widths: tuple[int, int, int, int] = (64, 128, 128, 256)
    encoder_features: int = 128
    encoder_hidden: int = 512
    flow_decoder_widths: tuple[int, int, int] = (256, 128, 64)
    trunk_widths: tuple[int, int, int] = (64, 128, 256)
    expression_decoder_width: int = 256
    expression_decoder_blocks: int = 8
    expression_decoder_upsampling_widths: tuple[int, int] = (128, 128)
    noise_kernel: int = 3
    identity_decoder_width: int = 256
    identity_decoder_blocks: int = 7
    identity_decoder_upsampling_widths: tuple[int, int] = (128, 128)
    extensions: Extensions = field(default_factory=Extensions)
    verifier: VerifierConfig = field(default_factory=VerifierConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.preset, str):
            raise SettingsError(f"preset must be a name, not {self.preset!r}")
        _check_choice("image_size", self.image_size, *IMAGE_SIZES)
        _check_widths("encoder_widths", self.encoder_widths, 4)
        _check_widths("flow_decoder_widths", self.flow_decoder_widths, 3)
        _check_widths("trunk_widths", self.trunk_widths, 3)
        for decoder in ("expression_decoder", "identity_decoder"):
            widths = f"{decoder}_upsampling_widths"
            _check_widths(widths, getattr(self, widths), 2)
            _check_integer(f"{decoder}_blocks", getattr(self, f"{decoder}_blocks"), 0, 64)
        for name in (
            "code_size",
            "encoder_features",
            "encoder_hidden",
            "expression_decoder_width",
            "identity_decoder_width",
        ):
            _check_integer(name, getattr(self, name), 1, _MOST_CHANNELS)
        _check_integer("noise_kernel", self.noise_kernel, 1, 7)
        if self.noise_kernel % 2 == 0:
            raise SettingsError(f"noise_kernel must be odd, not {self.noise_kernel}")
        if self.verifier.size > self.verifier_inputs:
            raise SettingsError(f"verifier.size must not be larger than {self.verifier_inputs}")
        if self.extensions.trunk == "vgg19" and self.trunk_widths != (64, 128, 256):
            raise SettingsError("the VGG-19 trunk has widths (64, 128, 256)")
        if self.identity_decoder_width != self.trunk_widths[2]:
            raise SettingsError("identity_decoder_width must equal the trunk's last width")

    @property
    def flow_size(self) -> int:
        """Side of the flow fields in cells."""
        return self.image_size // self.extensions.flow_stride

    @property
    def verifier_inputs(self) -> int:
        """Length of the feature vector that verification whitens."""
        if self.verifier.compares == "code":
            return self.code_size
        rows, columns = VERIFIER_CELLS
        return self.encoder_widths[1] * rows * columns

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary from which :meth:`from_dict` rebuilds the configuration."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Rebuild from the output of :meth:`to_dict`.

        What a file does not say, because it is older than the key, is as in the paper.

        Raises:
            SettingsError: a key is unknown, there is no ``preset``, or a value is out of range.
        """
        _check_keys(cls, values, "")
        if "preset" not in values:
            raise SettingsError("missing model configuration key: preset")
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        arguments["extensions"] = _group(Extensions, values, "extensions")
        arguments["verifier"] = _group(VerifierConfig, values, "verifier")
        return cls(**arguments)


def _check_keys(kind: type, values: Mapping[str, Any], prefix: str) -> None:
    known = {field.name for field in fields(kind)}
    if unknown := sorted(f"{prefix}{key}" for key in set(values) - known):
        raise SettingsError(f"unknown model configuration key: {', '.join(unknown)}")


def _group(kind: type[_Group], values: Mapping[str, Any], name: str) -> _Group:
    """A nested group of a configuration."""
    group = values.get(name, {})
    if not isinstance(group, Mapping):
        raise SettingsError(f"{name} must be a group of values, not {group!r}")
    _check_keys(kind, group, f"{name}.")
    return kind(**group)


PRESETS: dict[str, ModelConfig] = {
    "paper": ModelConfig(preset="paper"),
    "small": ModelConfig(
        preset="small",
        encoder_widths=(24, 48, 64, 128),
        encoder_features=96,
        encoder_hidden=320,
        flow_decoder_widths=(96, 64, 48),
        trunk_widths=(16, 32, 64),
        expression_decoder_width=64,
        expression_decoder_blocks=3,
        expression_decoder_upsampling_widths=(40, 16),
        noise_kernel=1,
        identity_decoder_width=64,
        identity_decoder_blocks=3,
        identity_decoder_upsampling_widths=(40, 16),
        extensions=Extensions(
            trunk="learned",
            flow_stride=2,
            inverse_steps=4,
            residual=True,
            upsampling="bilinear",
            padding="border",
        ),
        verifier=VerifierConfig(compares="neutral", size=256),
    ),
}
"""The configurations known by name, at 64x64; see :func:`preset` for 128x128."""


def preset(name: str, image_size: int = 64) -> ModelConfig:
    """The configuration known as ``name``, for square inputs of ``image_size`` pixels.

    Raises:
        SettingsError: the name or the size is unknown.
    """
    try:
        config = replace(PRESETS[name], image_size=image_size)
    except KeyError:
        raise SettingsError(f"no preset {name!r}; there are {', '.join(PRESETS)}") from None
    if name == "small" and image_size == 128:
        return replace(
            config,
            extensions=replace(config.extensions, identity_halved=True),
            verifier=replace(config.verifier, side=80),
        )
    return config


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    Attributes:
        path: the file.
        sha256: of the file's bytes: the identity that reports and provenance tags carry.
        config: the model's configuration.
        metadata: everything else: ``stage``, ``steps``, ``data``, ``metrics``, ``license``,
            ``created_by``, ``verification`` ...
    """

    path: Path
    sha256: str
    config: ModelConfig
    metadata: dict[str, Any] = field(default_factory=dict)
