"""Products that stay exact where a GPU reduces them: those of losses and positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["compiled", "exact"]


def exact(x: Tensor) -> Tensor:
    """``x`` in a format whose matrix products, forward and backward, are exact enough for a loss.

    A GPU multiplies float32 matrices with 10 bits of mantissa (TF32) where
    ``torch.set_float32_matmul_precision`` allows it. SSIM takes a variance as the difference of two
    products of nearly the same size: with 10 bits nothing is left of it, and its gradient grows
    from 0.007 to 167. Products of float64 are not reduced. Where float32 is exact already, it
    stays: training does not ask for reduced products, because autocast halves those of the
    networks, and the losses have no other.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    return x.double() if _reduces_products() and x.device.type != "mps" else x


def _reduces_products() -> bool:
    """Whether float32 products lose digits; fixed when a step is compiled."""
    return torch.get_float32_matmul_precision() != "highest"


def compiled(module: nn.Module) -> nn.Module:
    """A module compiled by ``torch.compile``, in which :func:`exact` may be called."""
    # Here and not as a decorator: it loads the compiler, which takes as long as torch itself.
    torch.compiler.assume_constant_result(_reduces_products)  # type: ignore[no-untyped-call]
    made: nn.Module = torch.compile(module)  # type: ignore[assignment]
    return made
