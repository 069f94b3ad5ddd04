"""A pasted face fits its photograph, to the pixel where it is the old one."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.errors import FaceError
from facecycle_cli.faces import TEMPLATE, Alignment, paste_back


def psnr(a, b, where):
    error = ((a.astype(float) - b) ** 2)[where].mean()
    return 10 * np.log10(255**2 / error)


@pytest.fixture(scope="module")
def inside(portraits, faces):
    """Where each photograph is well within its face's box."""
    masks = []
    for image, face in zip(portraits, faces, strict=True):
        mask = np.zeros(image.shape[:2], bool)
        low, high = face.oval.min(0).astype(int), face.oval.max(0).astype(int)
        mask[low[1] : high[1], low[0] : high[0]] = True
        masks.append(mask)
    return masks


def outside_oval(image, face):
    """Pixels that lie outside the box around the oval, by a pixel or more."""
    y, x = np.indices(image.shape[:2])
    low, high = face.oval.min(0), face.oval.max(0)
    return (x < low[0] - 1) | (x > high[0] + 1) | (y < low[1] - 1) | (y > high[1] + 1)


@pytest.mark.parametrize(("size", "least"), [(128, 33), (256, 39), (512, 43)])
def test_unchanged_crop_changes_nothing_but_resampling(portraits, faces, inside, size, least):
    quality = []
    for image, face, mask in zip(portraits, faces, inside, strict=True):
        alignment = Alignment.from_face(face, size)
        out = paste_back(image, alignment.crop(image), alignment, face.oval)
        quality.append(psnr(out, image, mask))
    assert np.mean(quality) > least


def test_only_the_face_changes(portraits, faces):
    image, face = portraits[0], faces[0]
    before = image.copy()
    alignment = Alignment.from_face(face, 128)
    crop = np.full((128, 128, 3), (0, 255, 0), np.uint8)
    out = paste_back(image, crop, alignment, face.oval, match_color=False)
    assert np.array_equal(image, before)
    outside = outside_oval(image, face)
    assert np.array_equal(out[outside], image[outside])
    x, y = face.five_points[2].round().astype(int)
    assert tuple(out[y, x]) == (0, 255, 0)


def test_fades_in_without_a_step(portraits, faces):
    """Along every ray out of the face, opacity falls from 1 to 0 in small steps."""
    face = faces[0]
    black, white = np.zeros_like(portraits[0]), np.full((256, 256, 3), 255, np.uint8)
    alignment = Alignment.from_face(face, 256)
    opacity = paste_back(black, white, alignment, face.oval, match_color=False)[..., 0]
    steps = np.abs(np.diff(opacity.astype(int), axis=0)).max()
    feather = 0.12 * np.sqrt((opacity > 0).sum())
    assert steps < 255 * 2.5 / feather
    assert opacity.max() == 255


def test_light_and_color_are_matched(portraits, faces, inside):
    side = np.linspace(0.8, 1.2, 256)[None, :, None]
    changes = {
        "cast": lambda c: c * (0.8, 0.9, 1.1) - 5,
        "dark": lambda c: 255 * (c / 255) ** 1.4,
        "light from the side": lambda c: c * side,
    }
    for name, change in changes.items():
        gains = []
        for image, face, mask in list(zip(portraits, faces, inside, strict=True))[::3]:
            alignment = Alignment.from_face(face, 256)
            crop = np.clip(change(alignment.crop(image).astype(float)), 0, 255).astype(np.uint8)
            plain = paste_back(image, crop, alignment, face.oval, match_color=False)
            matched = paste_back(image, crop, alignment, face.oval)
            gains.append(psnr(matched, image, mask) - psnr(plain, image, mask))
        assert np.mean(gains) > 3, name


def test_one_odd_stretch_of_the_seam_does_not_color_the_face(portraits, faces):
    """Background where the photograph has a cheek: the rest of the face keeps its color."""
    image, face = portraits[2], faces[2]
    alignment = Alignment.from_face(face, 256)
    crop = alignment.crop(image)
    crop[110:190, :75] = 255
    out = paste_back(image, crop, alignment, face.oval)
    change = alignment.crop(out).astype(int) - alignment.crop(image)
    assert np.abs(change[90:190, 130:200]).mean() < 6


@pytest.mark.parametrize("corner", [(-120, -120), (60, -150), (150, 130), (-90, 180)])
def test_faces_cut_by_the_border(portraits, faces, corner):
    """The photograph's border is no seam: the face reaches it at full strength."""
    height, width = portraits[0].shape[:2]
    alignment = Alignment.from_points(faces[0].five_points + corner, 128)
    oval = faces[0].oval + corner
    image = np.zeros((height, width, 3), np.uint8)
    white = np.full((128, 128, 3), 255, np.uint8)
    out = paste_back(image, white, alignment, oval, match_color=False)
    whole = paste_back(
        np.zeros((height + 400, width + 400, 3), np.uint8),
        white,
        Alignment.from_points(faces[0].five_points + corner + 200, 128),
        oval + 200,
        match_color=False,
    )
    assert np.array_equal(out, whole[200:-200, 200:-200])


def test_face_outside_the_photograph():
    image = np.full((50, 50, 3), 9, np.uint8)
    alignment = Alignment.from_points(TEMPLATE * 40 + 500, 64)
    oval = np.array([[500, 500], [540, 500], [520, 540]], np.float32)
    out = paste_back(image, np.full((64, 64, 3), 255, np.uint8), alignment, oval)
    assert np.array_equal(out, image)
    assert out is not image


def test_oval_beyond_the_crop_is_cut_at_the_crop():
    """What the crop does not show stays the photograph's."""
    image = np.zeros((200, 200, 3), np.uint8)
    alignment = Alignment(np.array([[1.0, 0, -60], [0, 1.0, -60]]), 80)
    oval = np.array([[0, 0], [199, 0], [199, 199], [0, 199]], np.float32)
    white = np.full((80, 80, 3), 255, np.uint8)
    out = paste_back(image, white, alignment, oval, match_color=False)[..., 0]
    assert out[100, 100] == 255
    assert out[:59].max() == out[142:].max() == out[:, :59].max() == out[:, 142:].max() == 0


@pytest.mark.parametrize("shape", [(64, 60, 3), (64, 64), (64, 64, 4)])
def test_crop_of_the_wrong_shape(portraits, faces, shape):
    alignment = Alignment.from_face(faces[0], 64)
    with pytest.raises(FaceError, match="square and RGB"):
        paste_back(portraits[0], np.zeros(shape, np.uint8), alignment, faces[0].oval)


def test_oval_that_is_none(portraits, faces):
    alignment = Alignment.from_face(faces[0], 64)
    with pytest.raises(FaceError, match="polygon"):
        paste_back(portraits[0], np.zeros((64, 64, 3), np.uint8), alignment, np.zeros((2, 2)))
