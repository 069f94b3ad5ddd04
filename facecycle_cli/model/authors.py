"""The authors' ``finalmodel.tar`` to a checkpoint of ours: same weights, other names.

The file is what ``torch.save`` made of five state dicts (Chang et al., ICCV 2021; repository
JiaRenChang/FaceCycle). Their layers compute the same as the ``paper`` preset's, in the same order;
only the names differ, and the frozen VGG-19 trunk that they keep twice is kept once here.

A ``.tar`` of this kind is a pickle, and a pickle can run code. It is read by torch's restricted
unpickler only, which knows how to make tensors and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facecycle_cli import __version__
from facecycle_cli.errors import CheckpointError
from facecycle_cli.model.checkpoint import save_checkpoint
from facecycle_cli.model.config import preset
from facecycle_cli.model.facecycle import FaceCycle
from facecycle_cli.model.skeleton import fill, skeleton
from facecycle_cli.model.tensors import checked_tensor, unpickle
from facecycle_cli.system import sha256_of

_TRUNK = {f"{name}.0": name for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")}

_ENCODER = {
    "conv1.0": "stem.0",
    "conv1.2": "stem.2",
    "layer1.0": "stem.4",
    "layer1.2": "stem.6",
    "layer1.3": "stem.7",
    "layer2_1.0": "middle.0",
    "layer2_1.2": "middle.2",
    "layer2_1.3": "middle.3",
    "resblock1": "middle.5",
    "resblock2": "middle.6",
    "layer2_2.0": "top.0",
    "layer2_2.2": "top.2",
    "layer3_1.0": "top.4",
    "layer3_1.2": "top.6",
    "layer3_2.0": "top.8",
    "layer3_2.2": "top.10",
    "expresscode.0": "code.0",
    "expresscode.2": "code.2",
}

_FLOW_DECODER = {
    "motiongen1.0": "expand",
    "motiongen1.3": "start.2",
    "motiongen1.4": "start.3",
    "motiongen2.1": "middle.1",
    "motiongen2.3": "middle.3",
    "motiongen2.4": "middle.4",
    "resblock1": "middle.6",
    "resblock2": "middle.7",
    "toflow4.1": "out.1",
    "toflow4.3": "to_flow",
}

_EXPRESSION_DECODER = {
    "noise_encoding1.0": "noise_half.conv1",
    "noise_encoding1.2": "noise_half.conv2",
    "noise_encoding0.0": "noise_quarter.conv1",
    "noise_encoding0.2": "noise_quarter.conv2",
    "redconv.0": "reduce",
    "cnn": "blocks",
    "up.0": "up2",
    "up.2": "conv2",
    "up2.0": "up1",
    "up2.2": "conv1",
    "torgb": "to_rgb",
}

_IDENTITY_DECODER = {
    "denorm": "mlp_de",
    "renorm": "mlp_re",
    "cnn": "blocks",
    "cnn3.0": "blocks.6",
    "up.0": "up2",
    "up.2": "conv2",
    "up.4": "up1",
    "torgb": "to_rgb",
}

AUTHORS_NETWORKS: dict[str, dict[str, dict[str, str]]] = {
    "codegeneration": {"expression_encoder": _ENCODER},
    "exptoflow": {"flow_decoder": _FLOW_DECODER},
    "Swap_Generator": {"trunk": _TRUNK, "expression_decoder": _EXPRESSION_DECODER},
    "idcodegen": {"identity_encoder": _ENCODER},
    "Swap_Norm": {"trunk": _TRUNK, "identity_decoder": _IDENTITY_DECODER},
}
"""Their state dict -> our networks -> their layer's prefix -> ours. What lies below the prefixes
(``weight``, ``g.bias``, ``conv1.weight`` ...) has the same names on both sides."""


def convert(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Write the model in the authors' file ``source`` as the checkpoint ``destination``.

    Raises:
        CheckpointError: as :func:`read_authors`.
        OSError: ``destination`` cannot be written.
    """
    path = Path(source)
    model = read_authors(path)
    metadata = {
        "stage": "identity",
        "created_by": f"facecycle {__version__}, checkpoint convert",
        "converted_from": {"file": path.name, "sha256": sha256_of(path)},
        "license": "that of the file it was converted from",
    }
    save_checkpoint(destination, model, metadata)


def read_authors(path: str | os.PathLike[str]) -> FaceCycle:
    """The ``paper`` model at 64x64 with the weights of the authors' file, ready for inference.

    Both formats of ``torch.save`` are read, and state dicts saved from ``DataParallel`` (names
    that begin with ``module.``) as well.

    Raises:
        CheckpointError: not readable, not a file of the authors' five networks, a tensor missing,
            left over, of another shape or not finite, the two trunks differ, or the file asks for
            code to be run.
    """
    networks = _state_dicts(unpickle(Path(path)))
    model = skeleton(preset("paper"))
    expected = model.state_dict()
    ours: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    for network, parts in AUTHORS_NETWORKS.items():
        found = networks[network]
        for theirs, name in _pairs(parts, expected):
            origin = f"{network}.{theirs}"
            if theirs not in found:
                raise CheckpointError(f"{origin} is missing")
            tensor = checked_tensor(origin, found.pop(theirs), expected[name].shape)
            if name in ours and not torch.equal(ours[name], tensor):
                raise CheckpointError(
                    f"{origins[name]} and {origin} differ: both must be the same frozen VGG-19"
                )
            ours[name], origins[name] = tensor, origin
        if found:
            raise CheckpointError(f"{network}.{min(found)} is not a tensor of the authors' network")
    return fill(model, ours)


def _pairs(
    parts: Mapping[str, Mapping[str, str]], ours: Mapping[str, Tensor]
) -> Iterator[tuple[str, str]]:
    """(their name, our name) of every tensor in one of their state dicts."""
    for part, layers in parts.items():
        # Ours by longest prefix: "blocks.6" belongs to "cnn3.0", not to "cnn".
        prefixes = sorted(layers.items(), key=lambda pair: -len(pair[1]))
        for name in ours:
            if not name.startswith(f"{part}."):
                continue
            below = name.removeprefix(f"{part}.")
            theirs, mine = next(p for p in prefixes if below.startswith(f"{p[1]}."))
            yield theirs + below.removeprefix(mine), name


def _state_dicts(saved: Any) -> dict[str, dict[str, Any]]:
    """The five state dicts, without ``module.``; they may be emptied."""
    if not isinstance(saved, Mapping):
        raise CheckpointError(f"not the authors' checkpoint: a {type(saved).__name__}, not a dict")
    missing = [name for name in AUTHORS_NETWORKS if not isinstance(saved.get(name), Mapping)]
    if len(missing) == len(AUTHORS_NETWORKS):
        raise CheckpointError(f"not the authors' checkpoint: no {', '.join(AUTHORS_NETWORKS)}")
    if missing:
        hint = ""
        if missing == ["idcodegen", "Swap_Norm"]:
            hint = " (a file of their first stage, without the identity networks)"
        raise CheckpointError(f"the authors' {' and '.join(missing)} is missing{hint}")
    for name, value in saved.items():
        if name not in AUTHORS_NETWORKS and isinstance(value, Tensor | Mapping | list | tuple):
            raise CheckpointError(f"{name} is not one of the authors' five networks")
    return {network: _without_module(saved[network]) for network in AUTHORS_NETWORKS}


def _without_module(state: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "module."
    names = [str(name) for name in state]
    if not all(name.startswith(prefix) for name in names):
        prefix = ""
    return {n.removeprefix(prefix): t for n, t in zip(names, state.values(), strict=True)}
