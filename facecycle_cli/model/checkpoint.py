"""One file for a model: safetensors weights, and in its header everything needed to use them.

The header's ``facecycle`` entry is JSON (see :func:`save_checkpoint`). Loading never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_weights
from safetensors.torch import save as serialize
from torch import Tensor

from facecycle_cli import weights
from facecycle_cli.errors import CheckpointError
from facecycle_cli.model.config import CheckpointInfo, ModelConfig
from facecycle_cli.model.facecycle import FaceCycle
from facecycle_cli.model.format1 import upgrade_config, upgrade_metadata, upgrade_tensors
from facecycle_cli.model.metadata import check_numbers
from facecycle_cli.model.skeleton import fill, skeleton
from facecycle_cli.model.tensors import MAX_FILE_BYTES, checked_tensor
from facecycle_cli.system import atomic_path, parse_json

FORMAT_VERSION = 2
"""Of the files that are written; files of a higher version are refused, not guessed at."""

HEADER_KEY = "facecycle"
EMBEDDED = ("small", "small-128")
"""Checkpoints that are installed with the package, by name; the second one sees 128x128 pixels."""

_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, in so many bytes, little-endian."""
_MAX_HEADER_BYTES = 4_000_000
"""Parsed, a header may take fifty times its size. Those of our largest networks have 60 kB."""


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that a name (``small``) or a path stands for.

    Raises:
        CheckpointError: neither the name of an embedded checkpoint nor an existing file.
    """
    if str(name_or_path) in EMBEDDED:
        try:
            return weights.path(f"{name_or_path}.safetensors")
        except FileNotFoundError:
            missing = f"this installation lacks the embedded checkpoint {name_or_path}"
            raise CheckpointError(missing) from None
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise CheckpointError(
        f"no checkpoint {str(name_or_path)!r}: neither a file nor one of {', '.join(EMBEDDED)}"
    )


def save_checkpoint(
    path: str | os.PathLike[str],
    model: FaceCycle,
    metadata: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write ``model`` and ``metadata`` to ``path``: a temporary file first, then one rename.

    Args:
        path: the file to write; its folder must exist.
        model: weights and configuration.
        metadata: JSON-able; by convention ``stage`` (``expression``, ``identity``), ``steps``,
            ``data``, ``metrics``, ``license`` and ``created_by``.
        dtype: precision of the weights in the file; loading always gives float32.

    Raises:
        CheckpointError: a weight or a number of the metadata is not finite (in this precision), so
            that the file could not be loaded.
        OSError: the file cannot be written.
    """
    state = {k: v.detach().cpu().to(dtype).contiguous() for k, v in model.state_dict().items()}
    for name, tensor in state.items():
        checked_tensor(name, tensor, tensor.shape)
    _write(path, state, model.config, metadata)


def annotate(
    source: CheckpointInfo, path: str | os.PathLike[str], entries: Mapping[str, Any]
) -> None:
    """Write a copy of a checkpoint with more metadata, in today's format.

    The weights keep their bits and their precision.

    Args:
        source: of a loaded model; ``entries`` were found out with its weights.
        path: the file to write; it may be the source itself.
        entries: JSON-able; they replace entries of the same name.

    Raises:
        CheckpointError: the source cannot be read, or is no longer the file that was loaded.
    """
    now, state = _read(source.path)
    if now.sha256 != source.sha256:
        raise CheckpointError(f"{source.path} has changed since it was loaded")
    _write(path, state, now.config, {**now.metadata, **entries})


def _write(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    config: ModelConfig,
    metadata: Mapping[str, Any],
) -> None:
    header = {**metadata, "format_version": FORMAT_VERSION, "config": config.to_dict()}
    check_numbers(metadata)
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    if len(text) > _MAX_HEADER_BYTES // 2:
        raise CheckpointError(f"{len(text):,} bytes of metadata are too many for a checkpoint")
    data = serialize(dict(state), {HEADER_KEY: text})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_info(name_or_path: str | os.PathLike[str]) -> CheckpointInfo:
    """What a checkpoint says of itself.

    Raises:
        CheckpointError: not found, truncated, no facecycle checkpoint, or of a newer format.
    """
    return _read(resolve(name_or_path))[0]


def load(
    name_or_path: str | os.PathLike[str] = "small", device: str | torch.device = "cpu"
) -> FaceCycle:
    """Load a model, ready for inference.

    Args:
        name_or_path: the name of an embedded checkpoint (``small``) or a file.
        device: where the weights go.

    Returns:
        The model in ``eval`` mode with gradients off; ``model.checkpoint`` says where it came from.

    Raises:
        CheckpointError: as :func:`read_info`, the weights do not fit the configuration, or one of
            them is not a finite number.
    """
    info, state = _read(resolve(name_or_path))
    model = skeleton(info.config)
    model = fill(model, _checked_weights(state, model.state_dict()))
    model.checkpoint = info
    model.to(device)
    if model.device.type == "cpu":
        # The layers that draw take up to 40 % less time this way, the encoders as long as before.
        for part in (model.trunk, model.flow_decoder, model.expression_decoder):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    return model


def _read(path: Path) -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """The file's content, read once: a training run may replace it at any moment, and the hash must
    be that of the weights.
    """
    try:
        with path.open("rb") as file:
            length = file.read(_LENGTH_BYTES)
            size = int.from_bytes(length, "little")
            if len(length) < _LENGTH_BYTES or size > _MAX_HEADER_BYTES:
                raise CheckpointError(_not_ours(path, length))
            header = file.read(size)
            # Before the rest, which may be large.
            version, config, metadata = _parse_header(path, header)
            if (total := os.fstat(file.fileno()).st_size) > MAX_FILE_BYTES:
                raise CheckpointError(f"{total:,} bytes are more than any weights take")
            data = b"".join((length, header, file.read(MAX_FILE_BYTES)))
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint: {error.strerror or error}") from None
    try:
        state = parse_weights(data)
    except SafetensorError:
        raise CheckpointError(_not_ours(path, data)) from None
    if version == 1:
        state = upgrade_tensors(state)
    return CheckpointInfo(path, hashlib.sha256(data).hexdigest(), config, metadata), state


def _parse_header(path: Path, header: bytes) -> tuple[int, ModelConfig, dict[str, Any]]:
    """The format's version, the configuration, and the rest of the metadata."""
    try:
        entries = parse_json(header).get("__metadata__") or {}
    except (ValueError, AttributeError):
        raise CheckpointError(_not_ours(path, header)) from None
    if HEADER_KEY not in entries:
        raise CheckpointError("a safetensors file, but not a facecycle checkpoint (no metadata)")
    try:
        metadata = parse_json(entries[HEADER_KEY])
        version = metadata.pop("format_version")
        if type(version) is not int or version < 1:
            raise ValueError(f"format_version must be a whole number, not {version!r}")
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"written by a newer facecycle (format {version}, this one reads up to "
                f"{FORMAT_VERSION}): upgrade facecycle"
            )
        config = metadata.pop("config")
        if version == 1:
            config, metadata = upgrade_config(config), upgrade_metadata(metadata)
        check_numbers(metadata)
        return version, ModelConfig.from_dict(config), metadata
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"damaged checkpoint metadata: no {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"damaged checkpoint metadata: {error}") from None


def _checked_weights(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The weights of a file as float32, if they are what the networks need."""
    for problem, names in (
        ("is missing", expected.keys() - found.keys()),
        ("is unknown", found.keys() - expected.keys()),
    ):
        if names:
            raise CheckpointError(f"weights do not fit the configuration: {min(names)} {problem}")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise CheckpointError(
                f"weights do not fit the configuration: {name} is {tuple(found[name].shape)}, "
                f"not {tuple(tensor.shape)}"
            )
    return {name: checked_tensor(name, found[name], t.shape) for name, t in expected.items()}


def _not_ours(path: Path, content: bytes) -> str:
    reason = "truncated, or no safetensors file" if content else "the file is empty"
    hint = ""
    if content and path.suffix.lower() in {".tar", ".pt", ".pth", ".ckpt", ".bin"}:
        hint = "; `facecycle checkpoint convert` reads the authors' .tar"
    return f"not a facecycle checkpoint: {reason}{hint}"
