"""VGG-19's ImageNet weights: for the perceptual loss, and for preset paper's frozen trunk."""

from __future__ import annotations

import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from facecycle_cli.errors import TrainingError
from facecycle_cli.model.networks import Vgg19Trunk
from facecycle_cli.training.perceptual import CHANNELS

State = dict[str, Tensor]

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""Torchvision's published ImageNet weights, as ``torch.hub`` caches them."""

_TRUNK_LAYERS = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10}
"""The trunk's layers -> their numbers in ``torchvision.models.vgg19().features``."""

_TIMEOUT = 15.0
"""Seconds to wait for a server that does not answer."""


def cached_file() -> Path:
    """Where ``torch.hub`` keeps the published weights (``$TORCH_HOME``), whether they are there."""
    return Path(torch.hub.get_dir(), "checkpoints", VGG19_URL.rsplit("/", 1)[-1])


def find_vgg19(choice: str, note: Callable[[str], None]) -> State | None:
    """The weights that ``--perceptual`` asks for, or None to train without them.

    Args:
        choice: ``off``; ``auto`` or ``vgg``: torch.hub's cache, filled from the network if it can
            be; or a file.
        note: is told why ``auto`` goes on without.

    Raises:
        TrainingError: no weights although ``vgg`` or a file asks for them. OSError: unreadable.
    """
    if choice == "off":
        return None
    if choice not in ("auto", "vgg"):
        return read_vgg19(Path(choice))
    file = cached_file()
    if not file.is_file():
        try:
            _download(file, note)
        except (URLError, OSError, RuntimeError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            missing = f"VGG-19's weights are not in {file} and cannot be fetched ({reason})"
            if choice == "vgg":
                raise TrainingError(f"{missing}; --perceptual PATH names the file") from None
            note(f"{missing}: training goes on without the perceptual loss")
            return None
    return read_vgg19(file)


def _download(file: Path, note: Callable[[str], None]) -> None:
    note(f"fetching VGG-19's weights (548 MB) into {file}")
    file.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        # torch.hub writes to a temporary name and checks the hash that is part of the name.
        digest = file.stem.rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(VGG19_URL, os.fspath(file), digest, progress=False)
    finally:
        socket.setdefaulttimeout(before)


def read_vgg19(path: Path) -> State:
    """Torchvision's VGG-19 state dict from a ``.pth`` or ``.safetensors`` file; no code is run.

    Raises:
        TrainingError: the file holds something else. OSError: it cannot be read.
    """
    with path.open("rb"):
        pass  # a missing file is the system's complaint, whatever the format
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, zipfile.BadZipFile, EOFError, SafetensorError):
        raise TrainingError(f"{path}: not a file of weights") from None
    for number, (inputs, outputs) in CHANNELS.items():
        for name, shape in (
            (f"features.{number}.weight", (outputs, inputs, 3, 3)),
            (f"features.{number}.bias", (outputs,)),
        ):
            tensor = state.get(name) if isinstance(state, dict) else None
            if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
                raise TrainingError(f"{path}: not VGG-19's weights: no {name} of shape {shape}")
    return state


@torch.no_grad()
def fill_trunk(trunk: Vgg19Trunk, state: State) -> None:
    """Copy the first five convolutions of VGG-19 into the trunk of D_exp and D_id.

    Args:
        trunk: is changed.
        state: as :func:`read_vgg19` gives it.
    """
    for name, number in _TRUNK_LAYERS.items():
        layer = trunk.get_submodule(name)
        for kind in ("weight", "bias"):
            layer.get_parameter(kind).copy_(state[f"features.{number}.{kind}"])
