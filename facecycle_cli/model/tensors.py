"""Tensors from files: the right type, the right shape, and nothing but finite numbers.

One number that is not finite in the weights makes every face alike, and every picture black.
"""

from __future__ import annotations

import math
import pickle
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facecycle_cli.errors import CheckpointError
from facecycle_cli.system import check_zip

MAX_FILE_BYTES = 4 << 30
"""Of a file with weights: VGG-19, the largest that is of use here, takes half a gigabyte."""

_FLOATS = frozenset({torch.float32, torch.float16, torch.bfloat16, torch.float64})

_ZIP_START = b"PK"


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a floating point tensor are finite."""
    # A number that is not finite never leaves a sum. The sum of many large ones may overflow, and
    # only then is each looked at, which takes fifteen times as long.
    return math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())


def checked_tensor(name: str, value: Any, shape: Sequence[int]) -> Tensor:
    """``value`` as a float32 tensor, not copied if it is one.

    Raises:
        CheckpointError: it is no tensor of floating point numbers, of another shape, or a number
            is not finite as float32; the message begins with ``name``.
    """
    if not isinstance(value, Tensor) or value.dtype not in _FLOATS or value.is_sparse:
        raise CheckpointError(f"{name} is not a tensor of floating point numbers")
    if value.shape != torch.Size(shape):
        raise CheckpointError(f"{name} is {tuple(value.shape)}, not {tuple(shape)}")
    tensor = value.detach().float()
    if not is_finite(tensor):
        raise CheckpointError(f"{name} holds values that are not finite")
    return tensor


def unpickle(path: Path) -> Any:
    """What ``torch.save`` wrote, by torch's restricted unpickler, on the CPU. No code is run.

    Raises:
        CheckpointError: it asks for code to be run, is damaged, or is far larger than any weights.
        OSError: it cannot be read.
    """
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual pickles; what matters becomes an error
        start = file.read(len(_ZIP_START))
        if not start:
            raise CheckpointError("the file is empty")
        _check_size(path, start)
        file.seek(0)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
            what = f"it asks for {wanted[1]} on load" if wanted else "or it is damaged"
        except Exception:  # torch raises whatever its parsers stumble over
            raise CheckpointError("truncated, or not a file of torch.save") from None
    raise CheckpointError(f"refused: the file is not plain weights, {what}")


def _check_size(path: Path, start: bytes) -> None:
    """Check the size of the file, and of what it says it unpacks to."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{size:,} bytes are more than any weights take")
    if start == _ZIP_START:
        try:
            # torch.save compresses nothing: what unpacks to more than the file was made otherwise.
            check_zip(path, size)
        except ValueError as error:
            raise CheckpointError(f"not a file of torch.save: {error}") from None
