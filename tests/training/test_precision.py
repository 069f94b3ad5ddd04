"""Losses and geometry are those of float64, whatever a GPU does to float32 and half precision.

``reduced_products`` does on a CPU what TF32 does on a GPU: the inputs of matrix products and
convolutions are rounded to 10 bits of mantissa, in the backward pass too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from facecycle_cli.training import losses

from .exact_losses import (
    LOSSES,
    TOLERANCE,
    computed,
    deviations,
    gpu_contexts,
    images,
    matmul_precision,
)

_PRODUCTS = {
    torch.ops.aten.mm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.baddbmm.default,
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
}


def _ten_bits(value):
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        return value
    bits = value.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class _Rounding(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.products = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in _PRODUCTS:
            args = [_ten_bits(arg) for arg in args]
            self.products += 1
        return function(*args, **(kwargs or {}))


@contextmanager
def reduced_products() -> Iterator[_Rounding]:
    with matmul_precision("high"), _Rounding() as mode:
        yield mode


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "reduced"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_geometry_are_those_of_float64(name, precision):
    context = {
        "float32": nullcontext(),
        "bfloat16": torch.autocast("cpu", torch.bfloat16),
        "reduced": reduced_products(),
    }[precision]
    value, gradient = deviations(name, context)
    assert value <= TOLERANCE
    assert gradient <= TOLERANCE


def test_the_emulation_would_notice(monkeypatch):
    """Without float64 in it, SSIM loses its variances: this is what the emulation is for."""
    monkeypatch.setattr(losses, "exact", lambda x: x)
    value, gradient = computed(LOSSES["ssim"], torch.float64, nullcontext())
    got, got_gradient = computed(LOSSES["ssim"], torch.float32, reduced_products())
    assert abs(got - value) > 100 * TOLERANCE * abs(value)
    assert (got_gradient - gradient).norm() > gradient.norm()


def test_products_stay_float32_where_they_are_exact():
    x, y = images(torch.float32)
    assert losses.ssim_map(y, losses.SsimTarget.of(x)).dtype == torch.float32
    assert losses.gram(x).dtype == torch.float32


@pytest.mark.parametrize("precision", ["reduced products", "autocast"])
@pytest.mark.parametrize("name", LOSSES)
def test_on_a_gpu(name, precision):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    device = torch.device("cuda")
    value, gradient = deviations(name, gpu_contexts(device)[precision], device)
    assert value <= TOLERANCE
    assert gradient <= TOLERANCE
