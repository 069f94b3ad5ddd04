"""Full-resolution rendering of low-resolution motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecycle_cli.media import read_image
from facecycle_cli.portrait.render import (
    blur,
    distortion,
    fill_occlusion,
    occlusion,
    render,
    resize,
)
from facecycle_cli.portrait.verbs import neutralize


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


def test_takes_light_and_color_from_the_generator(photo):
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


def test_draws_what_lies_beyond_the_crop(photo):
    crop = photo[..., 64:192, 64:192]
    flow = still(side=128)
    flow[:, 0] = 2 * 30 / 127  # thirty pixels to the right
    drawn = resize(photo[..., 64:192, 94:222], 64)
    moved = render(photo, flow, drawn, margin=64)
    assert moved.shape == crop.shape
    expected = photo[..., 64:192, 94:222]
    assert (moved - expected)[..., :90].abs().mean() < 0.02
    # Beyond the crop the generator cannot know: only its corrections of what it saw are added.
    assert (moved - expected).abs().mean() < (render(crop, flow, drawn) - expected).abs().mean() / 2


def turned(amount: float, side: int = 64) -> torch.Tensor:
    """The flow that brings a head to the front whose right half was narrow and whose left was wide,
    or the reverse for negative amounts."""
    x = torch.linspace(-1, 1, side).expand(1, 1, side, side)
    bend = amount * (1 - x**2)
    return torch.cat((bend, torch.zeros_like(bend)), dim=1)


def test_nothing_is_occluded_of_a_face_that_was_frontal():
    mirrored, colored = occlusion(still(), 64)
    assert mirrored.max() == 0
    assert colored.max() == 0
    face = torch.rand(1, 3, 128, 128)
    torch.testing.assert_close(fill_occlusion(face, still(1), 64), face)


@pytest.mark.parametrize("far_is_right", [True, False])
def test_the_far_half_becomes_the_mirror_image_of_the_near_one(far_is_right):
    face = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    done = fill_occlusion(face, turned(0.7 if far_is_right else -0.7), 64)
    left, right = slice(0, 50), slice(78, 128)
    near, far = (left, right) if far_is_right else (right, left)
    torch.testing.assert_close(done[..., near], face[..., near], rtol=0, atol=1e-3)
    torch.testing.assert_close(done[..., far], face.flip(-1)[..., far], rtol=0, atol=1e-3)


def test_the_far_eye_is_kept_while_it_is_seen_and_takes_the_colors_of_the_other_half():
    face = torch.full((1, 3, 128, 128), 0.5)
    face[..., :64] = 0.2
    eye = slice(50, 58), slice(42, 50)
    face[..., eye[0], eye[1]] = 0.5
    done = fill_occlusion(face, turned(-0.46), 64)[0, 0]
    assert done[90:100, 42:50].mean() > 0.3, "the cheek takes on the near one's light"
    surroundings = torch.cat((done[50:58, 38:41].flatten(), done[50:58, 51:54].flatten())).mean()
    assert done[eye].mean() > surroundings + 0.2, "the eye is still to be seen"
    assert surroundings > 0.25, "what is around it has the cheek's light"


# -- mouths ----------------------------------------------------------------------------------------


def test_a_neutral_mouth_is_closed(backend, examples):
    """Lips move over teeth, which no smooth flow can do."""
    photos = [read_image(examples / "faces" / f"person{i}_smiling.jpg") for i in (2, 4, 6)]
    before = [backend.detect([photo])[0][0].mouth_opening for photo in photos]
    openings = {}
    for mouth in ("flow", "landmarks"):
        how = {"backend": backend, "mouth": mouth, "motion_from": "networks"}
        neutral = [neutralize(photo, **how) for photo in photos]
        openings[mouth] = [backend.detect([face])[0][0].mouth_opening for face in neutral]
    for start, flow, landmarks in zip(before, *openings.values(), strict=True):
        assert start > 0.08
        assert landmarks < 0.7 * flow
        assert landmarks < 0.02  # as close as those of a closed mouth


def test_a_mouth_that_is_closed_already_is_left_alone(backend, photograph):
    how = {"backend": backend, "motion_from": "networks"}
    shut, flow = (neutralize(photograph, mouth=m, **how) for m in ("landmarks", "flow"))
    assert np.array_equal(shut, flow)


def test_nothing_but_the_mouth_is_moved(backend, examples):
    photo = read_image(examples / "faces" / "person2_smiling.jpg")
    how = {"backend": backend, "motion_from": "networks"}
    shut, flow = (neutralize(photo, mouth=m, **how) for m in ("landmarks", "flow"))
    changed = (shut != flow).any(-1)
    assert changed[128:].mean() > 0.02
    assert not changed[:110].any()
    assert not changed[:, :20].any()
