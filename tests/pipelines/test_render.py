"""Full-resolution rendering of low-resolution motion."""

from __future__ import annotations

import pytest
import torch

from facecycle_cli.pipelines.render import blur, distortion, render, resize


@pytest.fixture
def photo() -> torch.Tensor:
    """Noise: detail at every scale."""
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


def still(n: int = 2, side: int = 16) -> torch.Tensor:
    return torch.zeros(n, 2, side, side)


def test_no_motion_and_nothing_to_correct_is_the_photograph(photo):
    assert torch.allclose(render(photo, still(), resize(photo, 64)), photo, atol=2e-3)


def test_keeps_detail_where_nothing_moves_however_soft_the_generator(photo):
    soft = blur(resize(photo, 64), 4.0)
    result = render(photo, still(), soft)
    detail = photo - blur(photo, 4.0)
    kept = ((result - blur(result, 4.0)) * detail).sum() / (detail**2).sum()
    assert kept > 0.97


def test_takes_light_and_colour_from_the_generator(photo):
    brighter = resize(photo, 64) + torch.tensor([0.5, 0.0, -0.25]).view(1, 3, 1, 1)
    change = (render(photo, still(), brighter) - photo).mean(dim=(0, 2, 3))
    assert torch.allclose(change, torch.tensor([0.5, 0.0, -0.25]), atol=1e-2)


def test_takes_fine_structure_from_the_generator_only_where_the_flow_tears():
    photo = torch.zeros(1, 3, 256, 256)
    drawn = torch.zeros(1, 3, 64, 64)
    drawn[..., 24:40, 24:40] = torch.rand(16, 16, generator=torch.Generator().manual_seed(1)) - 0.5
    torn = still(1)
    torn[:, 0, 5:11, 6:10] = torch.tensor([-0.1, 0.1, 0.3, -0.2])  # squeezed and stretched
    calm, redrawn = (render(photo, f, drawn).abs().mean() for f in (still(1), torn))
    assert redrawn > 3 * calm


def test_distortion_is_zero_for_shifts_and_one_for_folds():
    shift = still()
    shift[:, 0] = 0.2
    assert distortion(shift, 64).max() == 0
    fold = still()
    fold[:, 0, :, 8:] = -0.5
    assert distortion(fold, 64).max() == 1


@pytest.mark.parametrize("side", [64, 100, 256, 512])
def test_resize_keeps_the_mean(photo, side):
    assert resize(photo, side).shape[-2:] == (side, side)
    assert resize(photo, side).mean().item() == pytest.approx(photo.mean().item(), abs=1e-3)
