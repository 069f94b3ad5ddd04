"""Mixed precision: which, where, and the loss scaling that fp16 needs."""

from __future__ import annotations

from collections.abc import Callable

import torch

from facecycle_cli.errors import TrainingError


def half_type(
    choice: str, device: torch.device, note: Callable[[str], None] = lambda text: None
) -> torch.dtype | None:
    """The type that the networks compute in under autocast; None for float32.

    Args:
        choice: ``off``, ``auto``, ``bf16`` or ``fp16``.
        device: that trains.
        note: is told if ``auto`` stays with float32.

    Raises:
        TrainingError: fp16 without a CUDA device: gradients would need it to be scaled.
    """
    if choice == "off":
        return None
    if choice == "auto":
        if device.type == "cuda":
            choice = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        elif device.type == "cpu" and _computes_bf16():
            choice = "bf16"
        else:
            note(f"no fast half precision here: training in float32 on {device.type}")
            return None
    if choice == "fp16" and device.type != "cuda":
        raise TrainingError(f"amp fp16 is for CUDA, not for {device.type}")
    return torch.bfloat16 if choice == "bf16" else torch.float16


def _computes_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices faster than float32 ones."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """The context for the forward pass."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def gradient_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """Scales losses so that fp16 gradients do not vanish; does nothing for other types."""
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
