"""Landmarks that lead the flows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecycle_cli.errors import DataError
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.training.augment import Augmentation, apply, draw, unchanged
from facecycle_cli.training.guidance import (
    CropLandmarks,
    Guides,
    LandmarkBatch,
    augmented_guide,
)
from facecycle_cli.training.losses import contrast_loss, guide_loss
from facecycle_cli.training.neutral_shape import NeutralShape
from tests.training.conftest import people

COUNT = MESH_468.count


def guide_of(crop, drawn):
    """Of a pair whose views are both this crop."""
    return augmented_guide(LandmarkBatch.stack([crop, crop]), drawn, 64)


def test_landmarks_of_a_crop(face_crops, face_landmarks):
    eyes = face_landmarks[0][[33, 133, 362, 263], :2]
    assert np.abs(eyes.mean(0) - [0.5, 0.42]).max() < 0.02  # the template's eyes
    smaller = LandmarkReader()(np.ascontiguousarray(face_crops[0][::2, ::2]))
    assert np.abs(smaller[:, :2] - face_landmarks[0][:, :2]).max() < 0.04
    assert LandmarkReader()(np.full((80, 80, 3), 90, np.uint8)) is None


def test_brows_lids_and_lips_may_count_more():
    at, weight = np.full((COUNT, 2), 0.5, np.float32), np.full(COUNT, 0.5, np.float32)
    crop = CropLandmarks(at, at, weight)
    landmarks = LandmarkBatch.stack([crop, crop])
    still = unchanged(torch.tensor([False]))
    plain, weighted = (augmented_guide(landmarks, still, 64, f).weight[0] for f in (0.0, 0.5))
    counts_more = (weighted / plain).round(decimals=4)
    assert sorted(set(counts_more.tolist())) == [1.0, 3.0]
    for feature in (105, 159, 145, 13, 14, 61):  # a brow, both lids, both lips, a corner
        assert counts_more[feature] == counts_more[MESH_468_MIRRORED[feature]] == 3.0
    assert counts_more[MESH_468.nose_tip] == counts_more[MESH_468.chin] == 1.0


def test_neutral_shape_takes_the_expression_out(face_landmarks, tmp_path):
    fitted = NeutralShape.fit(people(face_landmarks))
    of_neutral, of_smile = fitted(face_landmarks[0]), fitted(face_landmarks[1])
    left, right = MESH_468.mouth

    def width(shape):
        return np.linalg.norm(shape[left, :2] - shape[right, :2])

    gained = width(face_landmarks[1]) - width(face_landmarks[0])
    assert abs(width(of_smile) - width(of_neutral)) < 0.4 * gained
    mirrored = of_smile[list(MESH_468_MIRRORED)] * [-1, 1] + [1, 0]
    assert np.allclose(mirrored, of_smile, atol=1e-6)  # whoever turns, the neutral face is frontal
    fitted.save(tmp_path / "shape.npz")
    assert np.allclose(NeutralShape.load(tmp_path / "shape.npz")(face_landmarks[1]), of_smile)


def test_neutral_shape_needs_people(face_landmarks):
    with pytest.raises(DataError, match="needs 96 neutral faces and 96 pairs"):
        NeutralShape.fit(people(face_landmarks, persons=3))


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_move_with_the_picture(face_crops, face_landmarks, seed):
    """A dot painted where a landmark is, is where the landmark's guide says after augmentation."""
    fitted = NeutralShape.fit(people(face_landmarks))
    known = CropLandmarks.of(face_landmarks[1], fitted)
    picture = np.zeros((80, 80, 3), np.uint8)
    number = 291  # a corner of the mouth
    x, y = np.round(known.source[number] * 80 - 0.5).astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    settings = Augmentation(scale=0.1, rotation=15, shift=0.05, color=0)
    mirrored = torch.tensor([bool(seed % 2)])
    drawn = draw(mirrored, settings, torch.Generator().manual_seed(seed))
    views = torch.from_numpy(np.stack([picture, picture])[:, None])
    out = apply(views, drawn, 64).mean(1)
    guide = guide_of(known, drawn)
    for k in (0, 1):
        ys, xs = torch.nonzero(out[k] > 0.5 * out[k].max(), as_tuple=True)
        dot = torch.stack((xs.float().mean(), ys.float().mean())) / 63 * 2 - 1
        flipped = bool(torch.linalg.det(drawn.theta[k, 0, :, :2]) < 0)
        same = MESH_468_MIRRORED[number] if flipped else number
        assert (guide.source[k, same] - dot).abs().max() < 2 * 1.5 / 63
    assert torch.equal(guide.target[0], guide.target[1])


def test_what_is_unknown_does_not_guide():
    nothing = CropLandmarks.unknown()
    guide = guide_of(nothing, unchanged(torch.tensor([True])))
    flow = torch.randn(2, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    assert guide_loss(flow, guide).item() == 0


def test_guide_loss_is_zero_for_the_flow_that_is_asked_for(face_landmarks):
    fitted = NeutralShape.fit(people(face_landmarks))
    known = CropLandmarks.of(face_landmarks[0], fitted)
    guide = guide_of(known, unchanged(torch.tensor([False])))
    shift = torch.tensor([0.1, -0.05])
    guide = guide._replace(source=guide.target + shift)
    flow = shift.view(1, 2, 1, 1).expand(2, 2, 16, 16)
    assert guide_loss(flow, guide).item() < 1e-3
    assert guide_loss(torch.zeros(2, 2, 16, 16), guide).item() == pytest.approx(
        shift.norm().item(), abs=1e-3
    )


def test_guides_measure_a_crop_once(face_crops, face_landmarks):
    class Counting:
        def __init__(self):
            self.reader, self.asked = LandmarkReader(), []

        def of_crop(self, crop, image=None):
            self.asked.append(crop)
            return self.reader(image)

    source = Counting()
    guides = Guides(NeutralShape.fit(people(face_landmarks)), source, keep=True)
    first = guides.of_crop(7, face_crops[0])
    assert guides.of_crop(7, face_crops[1]) is first
    assert guides.of_crop(8, face_crops[1]) is not first
    assert source.asked == [7, 8]
    assert first.weight.max() == 1


def test_contrast_is_low_when_views_of_a_pair_agree():
    generator = torch.Generator().manual_seed(0)
    persons = torch.randn(6, 32, generator=generator)
    agreeing = contrast_loss(torch.cat((persons, 3 * persons)))
    strangers = contrast_loss(torch.randn(12, 32, generator=generator))
    assert agreeing < 0.1 < strangers


def test_contrast_does_not_ask_one_person_to_differ_from_himself():
    codes = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    twice = torch.cat((codes, codes[:1], codes, codes[:1]))  # the first person in two pairs
    known = contrast_loss(twice, torch.tensor([0, 1, 2, 3, 0]))
    once = contrast_loss(codes.repeat(2, 1))
    assert known == pytest.approx(once.item(), abs=0.02)
    assert contrast_loss(twice) > known + 0.2
    distinct = contrast_loss(twice, torch.arange(5))
    torch.testing.assert_close(distinct, contrast_loss(twice))


def stored(**changes):
    arrays = {
        "mean": np.zeros(936),
        "basis": np.zeros((24, 936)),
        "neutral": np.zeros(24),
        "shrink": np.zeros((24, 24)),
    }
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": None},
        {"mean": np.full(936, np.nan)},
        {"mean": np.zeros(935)},
        {"shrink": np.full((24, 24), np.inf)},
        {"shrink": np.zeros((24, 23))},
        {"neutral": np.array(["a"] * 24)},
        {"neutral": np.array([{}] * 24)},
        {"basis": np.zeros(())},
        {"mean": np.zeros(2_000_000)},
    ],
)
def test_a_damaged_neutral_shape_is_said_so(tmp_path, changes):
    path = tmp_path / "shape.npz"
    np.savez_compressed(path, **stored())
    NeutralShape.load(path)
    np.savez_compressed(path, **stored(**changes))
    with pytest.raises(DataError, match=r"shape\.npz: damaged, remove it to measure it again"):
        NeutralShape.load(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_neutral_shape(tmp_path, content):
    (tmp_path / "shape.npz").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        NeutralShape.load(tmp_path / "shape.npz")
