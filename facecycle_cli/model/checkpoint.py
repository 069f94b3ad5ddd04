"""One file for a model: safetensors weights, and in its header everything needed to use them.

The header's ``facecycle`` entry is JSON (see :func:`save_checkpoint`). Loading never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .config import ModelConfig
from .facecycle import FaceCycle

FORMAT_VERSION = 1
"""Version of the metadata; files with a higher one are refused, not guessed at."""

HEADER_KEY = "facecycle"
EMBEDDED = ("small",)
"""Checkpoints that are installed with the package, by name."""

_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


class CheckpointError(ValueError):
    """A file that is no checkpoint of ours, or not one that this version can use."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    Attributes:
        path: the file.
        sha256: of the file's bytes: the identity that reports and provenance tags carry.
        config: the model's configuration.
        metadata: everything else: ``stage``, ``steps``, ``data``, ``metrics``, ``licence``,
            ``created_by``, ``verification`` ...
    """

    path: Path
    sha256: str
    config: ModelConfig
    metadata: dict[str, Any] = field(default_factory=dict)


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that a name (``small``) or a path stands for.

    Raises:
        CheckpointError: neither the name of an embedded checkpoint nor an existing file.
    """
    if str(name_or_path) in EMBEDDED:
        return _WEIGHTS / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if not path.is_file():
        raise CheckpointError(
            f"no checkpoint {str(name_or_path)!r}: neither a file nor one of {', '.join(EMBEDDED)}"
        )
    return path


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
            ``data``, ``metrics``, ``licence`` and ``created_by``.
        dtype: precision of the weights in the file; loading always gives float32.
    """
    path = Path(path)
    header = {"format_version": FORMAT_VERSION, "config": model.config.to_dict(), **metadata}
    state = {k: v.detach().cpu().to(dtype).contiguous() for k, v in model.state_dict().items()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        save_file(state, temporary, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_info(name_or_path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read a checkpoint's header without loading its weights.

    Raises:
        CheckpointError: not found, truncated, no facecycle checkpoint, or of a newer format.
    """
    path = resolve(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(_unreadable(path, error)) from None
    if header is None:
        raise CheckpointError("a safetensors file, but not a facecycle checkpoint (no metadata)")
    try:
        metadata = json.loads(header)
        version = int(metadata.pop("format_version"))
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"written by a newer facecycle (format {version}, this one reads up to "
                f"{FORMAT_VERSION}): upgrade facecycle"
            )
        config = ModelConfig.from_dict(metadata.pop("config"))
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"damaged checkpoint metadata: {error}") from None
    return CheckpointInfo(path, _sha256(path), config, metadata)


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
        CheckpointError: as :func:`read_info`, or the weights do not fit the configuration.
    """
    info = read_info(name_or_path)
    try:
        state = load_file(info.path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(_unreadable(info.path, error)) from None
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        model = FaceCycle(info.config)
    _check_shapes(state, model.state_dict())
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    model.set_constants()
    model.checkpoint = info
    return model.to(device).eval().requires_grad_(False)


def _check_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
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


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, SafetensorError) and error.strerror:
        return f"cannot read the checkpoint: {error.strerror}"
    size = path.stat().st_size if path.exists() else 0
    reason = "the file is empty" if not size else "truncated, or no safetensors file"
    hint = ""
    if size and path.suffix.lower() in {".tar", ".pt", ".pth", ".ckpt", ".bin"}:
        hint = "; `facecycle checkpoint convert` reads the authors' .tar"
    return f"not a facecycle checkpoint: {reason}{hint}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
