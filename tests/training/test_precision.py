"""Losses and geometry are those of float64, whatever a GPU does to float32 and half precision.

``reduced_products`` does on a CPU what TF32 does on a GPU: the inputs of matrix products and
convolutions are rounded to 10 bits of mantissa, in the backward pass too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from facecycle_cli.model import flow as flows
from facecycle_cli.training import losses
from facecycle_cli.training.guidance import Guide
from facecycle_cli.training.stages import full_precision

_TOLERANCE = 1e-3
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
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with _Rounding() as mode:
            yield mode
    finally:
        torch.set_float32_matmul_precision(before)


def _images(dtype):
    """Faces that are nearly rebuilt: smooth, far from zero, and so hard for a variance."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    x = torch.nn.functional.interpolate(rough, size=(64, 64), mode="bicubic") + 1.5
    x[..., :24] = 2.1  # a plain background
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x.to(dtype), (x + 0.02 * noise).to(dtype)


def _flow(dtype):
    generator = torch.Generator().manual_seed(1)
    rough = 0.1 * torch.randn(2, 2, 6, 6, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(rough, size=(32, 32), mode="bicubic")
    return smooth.to(dtype)


def _guide(dtype):
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(2, 20, 2, generator=generator, dtype=torch.float64) - 0.5
    source = target + 0.05 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return Guide(target.to(dtype), source.to(dtype), torch.ones(2, 20, dtype=dtype))


LOSSES = {
    "ssim": lambda x, y, f: losses.ssim_loss(y, losses.SsimTarget.of(x)),
    "focused_ssim": lambda x, y, f: losses.ssim_loss(
        y, losses.SsimTarget.of(x), losses.face_region(64, x.device).to(x.dtype)
    ),
    "pixel": lambda x, y, f: losses.pixel_loss(y, x),
    "gram": lambda x, y, f: torch.nn.functional.mse_loss(
        losses.gram((11 * y - 10 * x).relu()), losses.gram(x.relu())
    ),
    "symmetry": lambda x, y, f: losses.symmetry_loss(y),
    "margin": lambda x, y, f: losses.margin_loss(y[:1] + 0.3, y),
    "contrast": lambda x, y, f: losses.contrast_loss(
        torch.cat((y, y.flip(-1))).flatten(1)[:, ::17] - 1.5
    ),
    "smoothness": lambda x, y, f: losses.smoothness_loss(f),
    "folding": lambda x, y, f: losses.folding_loss(f, least=1.0),
    "jacobian": lambda x, y, f: flows.jacobian_determinant(f).square().mean(),
    "guide": lambda x, y, f: losses.guide_loss(f, _guide(f.dtype)),
    "gauge": lambda x, y, f: losses.gauge_loss(f.mean(0)),
    "warp": lambda x, y, f: (flows.warp(y, f) - x).square().mean(),
    "backward_flow": lambda x, y, f: flows.backward_flow(f, 4).square().mean(),
    "invert": lambda x, y, f: flows.invert(f).square().mean(),
    "compose": lambda x, y, f: flows.compose(f, flows.mirror(f)).square().mean(),
}  # fmt: skip


def _computed(loss, dtype, context: AbstractContextManager[object]):
    x, y = _images(dtype)
    f = _flow(dtype)
    y.requires_grad_()
    f.requires_grad_()
    with context:
        with full_precision(x):
            value = loss(x, y, f)
        if not torch.is_autocast_enabled("cpu"):
            value.backward()
    if y.grad is None and f.grad is None:  # a step leaves autocast before its backward pass
        value.backward()
    gradients = [t.grad for t in (y, f) if t.grad is not None]
    return value.detach().double(), torch.cat([g.double().flatten() for g in gradients])


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "reduced"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_geometry_are_those_of_float64(name, precision):
    context = {
        "float32": nullcontext(),
        "bfloat16": torch.autocast("cpu", torch.bfloat16),
        "reduced": reduced_products(),
    }[precision]
    value, gradient = _computed(LOSSES[name], torch.float64, nullcontext())
    got, got_gradient = _computed(LOSSES[name], torch.float32, context)
    assert abs(got - value) <= _TOLERANCE * abs(value)
    assert (got_gradient - gradient).norm() <= _TOLERANCE * gradient.norm()


def test_the_emulation_would_notice(monkeypatch):
    """Without float64 in it, SSIM loses its variances: this is what the emulation is for."""
    monkeypatch.setattr(losses, "exact", lambda x: x)
    value, gradient = _computed(LOSSES["ssim"], torch.float64, nullcontext())
    got, got_gradient = _computed(LOSSES["ssim"], torch.float32, reduced_products())
    assert abs(got - value) > 100 * _TOLERANCE * abs(value)
    assert (got_gradient - gradient).norm() > gradient.norm()


def test_products_stay_float32_where_they_are_exact():
    x, y = _images(torch.float32)
    assert losses.ssim_map(y, losses.SsimTarget.of(x)).dtype == torch.float32
    assert losses.gram(x).dtype == torch.float32


@pytest.mark.parametrize("name", LOSSES)
def test_on_a_gpu(name):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        results = []
        for dtype in (torch.float64, torch.float32):
            x, y = (t.cuda() for t in _images(dtype))
            f = _flow(dtype).cuda()
            leaves = [y.requires_grad_(), f.requires_grad_()]
            if name == "guide":
                guide = Guide(*(t.cuda() for t in _guide(dtype)))
                value = losses.guide_loss(f, guide)
            else:
                value = LOSSES[name](x, y, f)
            value.backward()
            gradients = [t.grad.double().flatten() for t in leaves if t.grad is not None]
            results.append((value.detach().double(), torch.cat(gradients)))
    finally:
        torch.set_float32_matmul_precision(before)
    (value, gradient), (got, got_gradient) = results
    assert abs(got - value) <= _TOLERANCE * abs(value)
    assert (got_gradient - gradient).norm() <= _TOLERANCE * gradient.norm()
