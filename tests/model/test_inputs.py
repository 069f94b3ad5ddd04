"""Where the face is in a crop; that crops become input is tested with the model."""

from __future__ import annotations

import pytest
import torch

from facecycle_cli.model.inputs import face_ellipse, pixel_centers, stack_crops

CPU = torch.device("cpu")


def test_pixel_centers_are_symmetric_fractions():
    centers = pixel_centers(4, CPU)
    assert centers.tolist() == [0.125, 0.375, 0.625, 0.875]
    torch.testing.assert_close(centers + centers.flip(0), torch.ones(4))


@pytest.mark.parametrize("side", [64, 80])
def test_the_ellipse_is_one_in_the_face_and_zero_in_the_corners(side):
    mask = face_ellipse(side, CPU)
    assert mask.shape == (side, side)
    assert mask[side * 56 // 100, side // 2] > 0.999
    for corner in (mask[0, 0], mask[0, -1], mask[-1, 0], mask[-1, -1]):
        assert corner < 0.01
    torch.testing.assert_close(mask, mask.flip(-1))


def test_every_face_has_an_ellipse_of_its_own():
    width, height = torch.tensor([0.5, 1.0]).view(2, 1, 1), torch.tensor([1.0, 0.5]).view(2, 1, 1)
    narrow, low = face_ellipse(64, CPU, width, height)
    average = face_ellipse(64, CPU)
    middle = 36
    assert narrow[middle].sum() < 0.6 * average[middle].sum()
    torch.testing.assert_close(narrow[:, 32].sum(), average[:, 32].sum(), rtol=0.05, atol=0)
    assert low[:, 32].sum() < 0.6 * average[:, 32].sum()
    torch.testing.assert_close(low[middle].sum(), average[middle].sum(), rtol=0.05, atol=0)


def test_a_batch_of_crops_is_not_copied():
    crops = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    stacked = stack_crops(crops, 8)
    assert stacked.shape == (2, 3, 8, 8)
    assert stacked.data_ptr() == crops.data_ptr()
