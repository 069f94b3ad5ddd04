"""The networks as ONNX files, each compared with torch before it gets its name.

Needs the extra ``onnx``. The files are for onnxruntime and its like: any number of faces at once,
everything that a network needs inside (the noise of D_exp too, so that its pictures are those that
``facecycle neutralize`` draws).
"""

from __future__ import annotations

import copy
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.errors import ExportError
from facecycle_cli.model.facecycle import FaceCycle
from facecycle_cli.model.inputs import IMAGENET_MEAN, IMAGENET_STD
from facecycle_cli.system import atomic_path, require_extra

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
IR_VERSION = 8
"""What opset 18 came with: any onnxruntime from 1.14 on reads it."""

TOLERANCE = 1e-4
"""Largest difference to torch, relative to the largest value where that is above 1."""


@dataclass(frozen=True)
class ExportedNetwork:
    """A file that was written.

    Attributes:
        name: of the network.
        path: the ``.onnx`` file.
        inputs: names of its inputs.
        outputs: names of its outputs.
        difference: largest difference to torch that was seen, see :data:`TOLERANCE`.
    """

    name: str
    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


class _Example(NamedTuple):
    """A batch on which all networks can run."""

    x: Tensor
    expression_code: Tensor
    identity_code: Tensor
    flow: Tensor

    @classmethod
    def random(cls, model: FaceCycle, n: int) -> _Example:
        config, source = model.config, torch.Generator().manual_seed(n)
        side = config.image_size
        coarse = torch.randn(n, 3, side // 4, side // 4, generator=source)
        x = F.interpolate(coarse, (side, side), mode="bicubic")  # smooth, as faces are
        codes = torch.rand(2, n, config.code_size, generator=source) * 2 - 1
        flow = torch.randn(n, 2, config.flow_size, config.flow_size, generator=source) / 4
        return cls(x, codes[0], codes[1], flow)

    @classmethod
    def of_faces(cls, model: FaceCycle, x: Tensor) -> _Example:
        codes = model.encode(x)
        flow = model.decode_flow(codes.expression_code).flow
        return cls(x, codes.expression_code, codes.identity_code, flow)


class _EncoderFile(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


class _FlowDecoderFile(nn.Module):
    def __init__(self, model: FaceCycle) -> None:
        super().__init__()
        self.decoder = model.flow_decoder

    def forward(self, expression_code: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder(expression_code)


class _ExpressionDecoderFile(nn.Module):
    """D_exp with its trunk, and its noise as a constant."""

    noise_half: Tensor
    noise_quarter: Tensor

    def __init__(self, model: FaceCycle) -> None:
        super().__init__()
        self.trunk, self.expression_decoder = model.trunk, model.expression_decoder
        for name, noise in zip(("noise_half", "noise_quarter"), model.noise(), strict=True):
            self.register_buffer(name, noise)

    def forward(self, x: Tensor, flow: Tensor) -> Tensor:
        return self.expression_decoder(self.trunk(x), flow, (self.noise_half, self.noise_quarter))


class _IdentityDecoderFile(nn.Module):
    """D_id with its trunk; ``restore`` chooses between MLP_de and MLP_re at run time."""

    def __init__(self, model: FaceCycle) -> None:
        super().__init__()
        self.trunk, self.identity_decoder = model.trunk, model.identity_decoder

    def forward(self, x: Tensor, identity_code: Tensor, restore: Tensor) -> Tensor:
        quarter = self.trunk(self.identity_decoder.reads(x)).quarter
        restored = self.identity_decoder.mlp_re(quarter, identity_code)
        removed = self.identity_decoder.mlp_de(quarter, identity_code)
        return self.identity_decoder.draw(torch.where(restore, restored, removed))


@dataclass(frozen=True)
class _Network:
    """What is exported as one file.

    Attributes:
        module: makes the module out of the whole model.
        inputs: makes the module's arguments, by name, out of a batch; several if it has modes.
        outputs: names.
    """

    module: Callable[[FaceCycle], nn.Module]
    inputs: Callable[[_Example], Sequence[dict[str, Tensor]]]
    outputs: tuple[str, ...]


_NETWORKS = {
    "expression_encoder": _Network(
        lambda model: _EncoderFile(model.expression_encoder),
        lambda example: [{"x": example.x}],
        ("expression_code",),
    ),
    "flow_decoder": _Network(
        _FlowDecoderFile,
        lambda example: [{"expression_code": example.expression_code}],
        ("flow", "backflow"),
    ),
    "expression_decoder": _Network(
        _ExpressionDecoderFile,
        lambda example: [{"x": example.x, "flow": example.flow}],
        ("image",),
    ),
    "identity_encoder": _Network(
        lambda model: _EncoderFile(model.identity_encoder),
        lambda example: [{"x": example.x}],
        ("identity_code",),
    ),
    "identity_decoder": _Network(
        _IdentityDecoderFile,
        lambda example: [
            {"x": example.x, "identity_code": example.identity_code, "restore": restore}
            for restore in (torch.tensor(False), torch.tensor(True))
        ],
        ("image",),
    ),
}

NETWORKS = tuple(_NETWORKS)
"""What can be exported. Inputs, outputs and shapes are those of :class:`FaceCycle`'s methods, with
any number of faces. ``expression_decoder`` (``x``, ``flow``) and ``identity_decoder`` (``x``,
``identity_code``, ``restore``) contain the trunk; ``restore`` is a single bool: put the identity
back instead of taking it away.
"""


def export_onnx(
    model: FaceCycle, name: str, path: str | os.PathLike[str], faces: Tensor | None = None
) -> ExportedNetwork:
    """Write one network as an ONNX file, if onnxruntime computes with it what torch computes.

    The file's metadata has ``image_size``, ``mean`` and ``std`` (for ``x``, JSON), ``license`` and
    the checkpoint's hash.

    Args:
        model: has the network, and the seed of D_exp's noise.
        name: one of :data:`NETWORKS`.
        path: the file to write; its folder must exist.
        faces: x (N, 3, S, S), real faces to compare on, in addition to random input.

    Raises:
        MissingExtraError: the extra ``onnx`` is not installed.
        ExportError: the network cannot be exported, or the comparison fails; nothing is written.
    """
    require_extra("onnx")
    require_extra("onnxscript")
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    network = _NETWORKS[name]
    module = network.module(model).eval()
    examples = [_Example.random(model, n) for n in (2, 1, 3)]
    if faces is not None:
        examples.append(_Example.of_faces(model, faces.cpu()))
    proto = _to_proto(module, network.inputs(examples[0])[0], network.outputs)
    _describe(proto, model, name)
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        arguments = [inputs for example in examples for inputs in network.inputs(example)]
        difference = _largest_difference(module, temporary, arguments)
        if not difference <= TOLERANCE:  # NaN is none either
            raise ExportError(f"onnxruntime differs from torch by {difference:.1e}")
    return ExportedNetwork(name, Path(path), tuple(arguments[0]), network.outputs, difference)


def _to_proto(
    module: nn.Module, arguments: dict[str, Tensor], outputs: Sequence[str]
) -> ModelProto:
    batch = torch.export.Dim("N", min=1, max=1 << 16)
    shapes = {name: {0: batch} if value.ndim else None for name, value in arguments.items()}
    with _quiet():
        program = torch.onnx.export(
            module,
            kwargs=arguments,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:  # only where torch writes the file itself
        raise ExportError("torch returned no program")
    return program.model_proto


def _describe(proto: ModelProto, model: FaceCycle, name: str) -> None:
    """Say what the file is; take out what the exporter notes down (paths of this machine)."""
    del proto.metadata_props[:]
    for message in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input,
                    *proto.graph.output):  # fmt: skip
        message.doc_string = ""
        del message.metadata_props[:]
    for value in proto.graph.initializer:
        del value.metadata_props[:]
    proto.ir_version = IR_VERSION
    checkpoint = model.checkpoint
    properties: dict[str, Any] = {
        "network": name,
        "image_size": model.config.image_size,
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "seed": model.seed,
        "checkpoint_sha256": checkpoint.sha256 if checkpoint else None,
        "license": checkpoint.metadata.get("license") if checkpoint else None,
    }
    for key, value in properties.items():
        proto.metadata_props.add(
            key=key, value=value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        )


def _largest_difference(
    module: nn.Module, path: Path, arguments: Sequence[dict[str, Tensor]]
) -> float:
    """Between the module in torch and the file in onnxruntime; NaN if either computes one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    differences = []
    for inputs in arguments:
        with torch.no_grad():
            expected = module(**inputs)
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        expected = expected if isinstance(expected, tuple) else (expected,)
        for ours, theirs in zip(expected, found, strict=True):
            scale = max(1.0, float(ours.abs().max()))
            differences.append(np.abs(ours.numpy() - theirs).max() / scale)
    return float(np.max(differences))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's notes to its developers are of no use to a user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
