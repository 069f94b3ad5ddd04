"""Every loss against a known answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from facecycle_cli.training.losses import (
    SsimTarget,
    face_region,
    folding_loss,
    gauge_loss,
    gram,
    margin_loss,
    pixel_loss,
    smoothness_loss,
    ssim_loss,
    ssim_map,
    symmetry_loss,
)


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_ssim_is_scikit_images_inside_the_border():
    a, b = pictures(2, 3, 40, 48), pictures(2, 3, 40, 48, seed=1)
    b = 0.7 * a + 0.3 * b
    ours = ssim_map(a, SsimTarget.of(b))
    for i in range(2):
        for channel in range(3):
            _, theirs = structural_similarity(
                b[i, channel].double().numpy(),
                a[i, channel].double().numpy(),
                win_size=11,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=1.0,
                full=True,
            )
            inner = np.s_[5:-5, 5:-5]
            np.testing.assert_allclose(ours[i, channel].numpy()[inner], theirs[inner], atol=2e-5)


def test_ssim_is_symmetric_and_one_for_equal_pictures():
    a, b = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    assert ssim_loss(a, SsimTarget.of(a)).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(ssim_map(a, SsimTarget.of(b)), ssim_map(b, SsimTarget.of(a)))


def test_ssim_blurs_with_zeros_beyond_the_border():
    """A depthwise convolution says the same as the two matrix products."""
    line = torch.exp(-((torch.arange(11) - 5.0) ** 2) / 4.5)
    window = torch.outer(line, line) / line.sum() ** 2
    a = pictures(1, 3, 20, 20)
    blurred = torch.nn.functional.conv2d(a, window.expand(3, 1, 11, 11), padding=5, groups=3)
    torch.testing.assert_close(SsimTarget.of(a).mean, blurred)


def test_gram_of_two_orthogonal_channels():
    features = torch.zeros(1, 2, 2, 2)
    features[0, 0, 0] = 2.0
    features[0, 1, 1] = 1.0
    expected = torch.tensor([[[2.0, 0.0], [0.0, 0.5]]])  # sums of squares over 4 positions
    torch.testing.assert_close(gram(features), expected)


def test_symmetry_is_the_difference_of_the_mirrored_halves():
    left = pictures(1, 3, 8, 4)
    mirror_image = torch.cat((left, left.flip(-1)), dim=-1)
    assert symmetry_loss(mirror_image) == 0
    brighter = torch.cat((left, left.flip(-1) + 0.25), dim=-1)
    assert symmetry_loss(brighter).item() == pytest.approx(0.25)
    odd = torch.cat((left, pictures(1, 3, 8, 1), left.flip(-1)), dim=-1)
    assert symmetry_loss(odd) == 0  # the middle column is its own mirror image


def test_margin_forgives_a_tenth_and_its_gradient_is_zero_there():
    neutral = torch.zeros(2, 3, 4, 4)
    near = torch.full((1, 3, 4, 4), 0.09, requires_grad=True)
    loss = margin_loss(near, neutral)
    loss.backward()
    assert loss == 0
    assert near.grad.abs().sum() == 0
    assert margin_loss(torch.full((1, 3, 4, 4), -0.35), neutral).item() == pytest.approx(0.25)


def affine_flow(matrix, shift, side=16):
    line = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack((x, y), dim=-1)
    return (grid @ torch.tensor(matrix).T + torch.tensor(shift)).permute(2, 0, 1)[None]


def test_smoothness_ignores_affine_motion_and_sees_a_tear():
    assert smoothness_loss(affine_flow([[0.1, 0.2], [-0.3, 0.0]], [0.1, 0.0])).item() < 1e-6
    torn = torch.zeros(1, 2, 16, 16)
    torn[..., 8:] = 0.5
    # One step: two columns of second differences of 14 in x, 2 x 0 mixed ones.
    assert smoothness_loss(torn).item() == pytest.approx(0.5 * 2 / 14)


def test_folding_begins_where_cells_lose_three_quarters_of_their_area():
    assert folding_loss(torch.zeros(1, 2, 8, 8)) == 0
    half = affine_flow([[-0.5, 0.0], [0.0, -0.4]], [0.0, 0.0])  # area 0.5 x 0.6 = 0.3
    assert folding_loss(half) == 0
    folded = affine_flow([[-1.5, 0.0], [0.0, 0.0]], [0.0, 0.0])  # area -0.5
    assert folding_loss(folded).item() == pytest.approx(0.75, abs=1e-5)


def test_gauge_is_the_squared_affine_part():
    flow = affine_flow([[0.1, 0.2], [0.0, -0.3]], [0.05, 0.0])[0]
    expected = 0.1**2 + 0.2**2 + 0.3**2 + 0.05**2
    assert gauge_loss(flow).item() == pytest.approx(expected, rel=1e-4)
    line = torch.linspace(-1, 1, 16)
    smile = torch.stack(
        (torch.zeros(16, 16), (line.square() - line.square().mean()).expand(16, 16))
    )
    assert gauge_loss(smile).item() == pytest.approx(0, abs=1e-8)


def test_the_face_region_weighs_the_middle_and_changes_no_average():
    region = face_region(64, torch.device("cpu"))
    assert region.mean().item() == pytest.approx(1, abs=1e-5)
    assert region[36, 32] > 1.5
    assert region[0, 0] < 0.01
    torch.testing.assert_close(region, region.flip(-1))
    a, b = torch.zeros(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5)
    assert pixel_loss(a, b, region).item() == pytest.approx(pixel_loss(a, b).item(), abs=1e-5)
