"""Losses and geometry on a small example, and how far they are from their float64 values.

Without pytest: ``benchmarks/gpu.py`` runs the same checks on a GPU where only torch is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

import torch
from torch import Tensor

from facecycle_cli.model import flow as flows
from facecycle_cli.training import losses
from facecycle_cli.training.guidance import Guide
from facecycle_cli.training.stages import full_precision

TOLERANCE = 1e-3
"""Largest relative deviation of a loss and of its gradient."""

Loss: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Computes a number from two batches of pictures and a batch of flows."""

CPU = torch.device("cpu")


def images(dtype):
    """Faces that are nearly rebuilt: smooth, far from zero, and so hard for a variance."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(2, 3, 8, 8, generator=generator, dtype=torch.float64)
    x = torch.nn.functional.interpolate(rough, size=(64, 64), mode="bicubic") + 1.5
    x[..., :24] = 2.1  # a plain background
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x.to(dtype), (x + 0.02 * noise).to(dtype)


def flow(dtype):
    """Flows of two faces, (2, 2, 32, 32)."""
    generator = torch.Generator().manual_seed(1)
    rough = 0.1 * torch.randn(2, 2, 6, 6, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(rough, size=(32, 32), mode="bicubic")
    return smooth.to(dtype)


def guide(like: Tensor) -> Guide:
    """Twenty landmarks of two faces, on the device and in the number format of ``like``."""
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(2, 20, 2, generator=generator, dtype=torch.float64) - 0.5
    source = target + 0.05 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    weight = torch.ones(2, 20, dtype=torch.float64)
    return Guide(*(t.to(like) for t in (target, source, weight)))


LOSSES: dict[str, Loss] = {
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
    "guide": lambda x, y, f: losses.guide_loss(f, guide(f)),
    "gauge": lambda x, y, f: losses.gauge_loss(f.mean(0)),
    "warp": lambda x, y, f: (flows.warp(y, f) - x).square().mean(),
    "backward_flow": lambda x, y, f: flows.backward_flow(f, 4).square().mean(),
    "invert": lambda x, y, f: flows.invert(f).square().mean(),
    "compose": lambda x, y, f: flows.compose(f, flows.mirror(f)).square().mean(),
}  # fmt: skip


def computed(
    loss: Loss,
    dtype: torch.dtype,
    context: AbstractContextManager[object],
    device: torch.device = CPU,
) -> tuple[Tensor, Tensor]:
    """A loss and its gradient, in float64, as they are computed with ``dtype`` in ``context``."""
    x, y = (t.to(device) for t in images(dtype))
    f = flow(dtype).to(device)
    y.requires_grad_()
    f.requires_grad_()
    with context:
        with full_precision(x):
            value = loss(x, y, f)
        if not torch.is_autocast_enabled(device.type):
            value.backward()
    if y.grad is None and f.grad is None:  # a step leaves autocast before its backward pass
        value.backward()
    gradients = [t.grad for t in (y, f) if t.grad is not None]
    return value.detach().double(), torch.cat([g.double().flatten() for g in gradients])


def deviations(
    name: str, context: AbstractContextManager[object], device: torch.device = CPU
) -> tuple[float, float]:
    """How far a loss and its gradient in float32 are from those in float64, relative to these.

    Args:
        name: of the loss in :data:`LOSSES`.
        context: of the float32 computation.
        device: computes both.
    """
    value, gradient = computed(LOSSES[name], torch.float64, nullcontext(), device)
    got, got_gradient = computed(LOSSES[name], torch.float32, context, device)
    return (
        float(abs(got - value) / abs(value)),
        float((got_gradient - gradient).norm() / gradient.norm()),
    )


@contextmanager
def matmul_precision(precision: str):
    """A context with ``torch.set_float32_matmul_precision(precision)``."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def gpu_contexts(device: torch.device) -> dict[str, AbstractContextManager[object]]:
    """What a GPU does to float32 products, and half precision, by name."""
    half = torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else None
    return {
        "float32": matmul_precision("highest"),
        "reduced products": matmul_precision("high"),
        "autocast": torch.autocast(device.type, half or torch.bfloat16),
    }
