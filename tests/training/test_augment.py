"""What augmentation does to known pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facecycle_cli.errors import SettingsError
from facecycle_cli.training.augment import Augmentation, apply, draw
from tests.training.conftest import face

NOTHING = Augmentation(scale=0, color=0, hue=0, color_probability=0, flip=0)
STRONG = Augmentation(
    scale=0.2,
    rotation=20,
    shift=0.1,
    color=0.4,
    hue=0.1,
    gray=0.2,
    coarse=0.3,
    light=0.3,
    cover=0.5,
    tone=0.3,
    tint=0.1,
    surroundings=0.5,
)


def views(pairs=3, size=64):
    """(2, pairs, size, size, 3) uint8."""
    pictures = [face(i, size) for i in range(2 * pairs)]
    return torch.from_numpy(np.stack(pictures)).unflatten(0, (2, pairs))


def augmented(pictures, settings, *, mirrored=(), seed=0, size=64, **share):
    which = torch.tensor([i in mirrored for i in range(pictures.shape[1])])
    drawn = draw(which, settings, torch.Generator().manual_seed(seed), **share)
    return apply(pictures, drawn, size)


def plain(pictures):
    return pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 255


def test_no_strength_changes_nothing():
    pictures = views()
    torch.testing.assert_close(augmented(pictures, NOTHING), plain(pictures), atol=1e-5, rtol=0)


def test_a_function_of_the_generator_alone():
    pictures = views()
    first, again, other = (augmented(pictures, STRONG, seed=s) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.01)


def test_values_stay_between_black_and_white():
    result = augmented(views(8), replace(STRONG, color=1.0, color_probability=1.0), size=48)
    assert result.shape == (16, 3, 48, 48)
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.std() > 0.05


def test_gray_is_gray():
    result = augmented(views(), replace(STRONG, gray=1.0, tint=0.0, surroundings=0.0))
    torch.testing.assert_close(result[:, 0], result[:, 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(result[:, 0], result[:, 2], atol=1e-5, rtol=0)


def test_coarse_loses_detail_and_keeps_the_light():
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8))
    lost = augmented(noise, replace(NOTHING, coarse=1.0))
    assert lost.std() < 0.7 * plain(noise).std()
    torch.testing.assert_close(lost.mean((2, 3)), plain(noise).mean((2, 3)), atol=0.01, rtol=0)
    some = augmented(noise, replace(NOTHING, coarse=0.5))
    changed = (some - plain(noise)).abs().amax((1, 2, 3)) > 0.1
    assert 0 < changed.sum() < 6


def test_light_makes_one_side_brighter():
    gray = torch.full((2, 50, 32, 32, 3), 128, dtype=torch.uint8)
    result = augmented(gray, replace(NOTHING, light=0.4), size=32)[:, 0]
    torch.testing.assert_close(
        result.mean((1, 2)), torch.full((100,), 128 / 255), atol=1e-3, rtol=0
    )
    across = result[:, 16, -1] - result[:, 16, 0]
    assert across.max() > 0.2
    assert across.min() < -0.2
    assert (result.amax((1, 2)) <= 128 / 255 * (1 + 0.4 * 2**0.5)).all()


def test_cover_hides_a_rectangle_of_some_pictures():
    black = torch.zeros(2, 200, 32, 32, 3, dtype=torch.uint8)
    result = augmented(black, replace(NOTHING, cover=0.5), size=32)[:, 0]
    covered = result > 0
    share = covered.float().mean((1, 2))
    assert 0.3 < (share > 0).float().mean() < 0.7
    assert share.max() <= 0.4**2 + 0.03
    for one in covered[share > 0][:20]:
        rows, columns = one.any(1), one.any(0)
        assert one.sum() == rows.sum() * columns.sum(), "one rectangle"


def test_tone_bends_grays_and_leaves_black_and_white():
    ramp = torch.arange(256, dtype=torch.uint8).view(16, 16, 1).expand(2, 100, 16, 16, 3)
    result = augmented(ramp, replace(NOTHING, tone=0.5), size=16)
    torch.testing.assert_close(result[:, :, 0, 0], torch.zeros(200, 3), atol=0.02, rtol=0)
    torch.testing.assert_close(result[:, :, -1, -1], torch.ones(200, 3), atol=1e-5, rtol=0)
    middle = result[:, 0, 8, 0]
    assert middle.min() == pytest.approx(0.5 ** math.exp(0.5), abs=0.02)
    assert middle.max() == pytest.approx(0.5 ** math.exp(-0.5), abs=0.02)


def test_tint_scales_each_color():
    gray = torch.full((2, 100, 8, 8, 3), 100, dtype=torch.uint8)
    result = augmented(gray, replace(NOTHING, tint=0.2), size=8) * 255 / 100
    assert result.amin() == pytest.approx(0.8, abs=0.02)
    assert result.amax() == pytest.approx(1.2, abs=0.02)
    assert (result.amax((2, 3)) - result.amin((2, 3))).max() < 1e-4, "the whole picture alike"
    assert (result.amax(1) - result.amin(1)).max() > 0.1


def test_surroundings_give_way_and_the_face_stays():
    pictures = views(100)
    result = augmented(pictures, replace(NOTHING, surroundings=0.5))
    change = (result - plain(pictures)).abs().amax(1)
    assert change[:, 30:42, 24:40].max() < 0.01
    replaced = change[:, :4].amax((1, 2)) > 0.02
    assert 0.35 < replaced.float().mean() < 0.65
    assert change[~replaced].max() < 1e-4
    rows = result[replaced][:, :, 10, :3]
    assert (rows.amax(2) - rows.amin(2)).max() < 0.02, "a row has one color beside the face"


def test_independent_views_share_nothing():
    pictures = views()
    pictures[1] = pictures[0]
    settings = replace(STRONG, independent=True, cover=0, coarse=0)
    first, second = augmented(pictures, settings, mirrored=(0, 1, 2)).chunk(2)
    assert (first - second.flip(-1)).abs().mean((1, 2, 3)).min() > 0.02
    with pytest.raises(SettingsError, match="both coupled and independent"):
        replace(settings, coupled=True)


def test_flip_mirrors():
    pictures = views()
    result = augmented(pictures, replace(NOTHING, flip=1.0))
    torch.testing.assert_close(result, plain(pictures).flip(-1), atol=1e-5, rtol=0)


def test_coupled_views_share_mirror_and_colors():
    same = views()
    same[1] = same[0]
    settings = replace(STRONG, coupled=True, scale=0, rotation=0, shift=0)
    first, second = augmented(same, settings).chunk(2)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    free = replace(settings, coupled=False)
    first, second = augmented(same, free).chunk(2)
    assert not torch.allclose(first, second, atol=0.01)


@pytest.mark.parametrize(
    "settings", [STRONG, replace(STRONG, coupled=True, scale=0, rotation=0, shift=0)]
)
def test_a_mirrored_pair_is_a_picture_and_its_mirror_image(settings):
    """The paper mirrors the augmented first view; coupled pairs differ in their geometry alone."""
    pictures = views()
    pictures[1] = pictures[0]
    first, second = augmented(pictures, settings, mirrored=(0, 2)).chunk(2)
    for pair in (0, 2):
        torch.testing.assert_close(second[pair], first[pair].flip(-1), atol=1e-4, rtol=0)


def test_shift_moves_by_its_fraction_of_the_side():
    settings = replace(NOTHING, shift=0.25)
    dot = torch.zeros(2, 200, 32, 32, 3, dtype=torch.uint8)
    dot[:, :, 16, 16] = 255
    result = augmented(dot, settings, size=32)[:, 0]
    rows = (result.sum(2) * torch.arange(32)).sum(1) / result.sum((1, 2))
    assert 7.5 < (rows - 16).abs().max() <= 8.01
    assert abs((rows - 16).mean()) < 1


def test_a_share_of_the_pairs_gets_what_all_of_them_would_have_got():
    pictures = views(4)
    whole = augmented(pictures, STRONG, mirrored=(1, 2)).unflatten(0, (2, 4))
    part = augmented(pictures[:, 2:], STRONG, mirrored=(0,), pairs=4, start=2).unflatten(0, (2, 2))
    assert torch.equal(whole[:, 2:], part)


@pytest.mark.parametrize("wrong", [{"color": 1.5}, {"scale": 1.0}, {"gray": -0.1}])
def test_impossible_strengths(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Augmentation(**wrong)
