"""From the host's memory to the device that trains, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; one that is there already is returned as it is.

    A GPU copies from page-locked memory while the CPU goes on. The memory is torch's own, which
    reuses it only after the copy.

    Args:
        tensor: of any shape and type, on the CPU or on ``device``.
        device: that trains.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)
