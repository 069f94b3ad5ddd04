"""neutralize and frontalize on arrays, with the shipped weights."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError
from facecycle_cli.media import read_frames
from facecycle_cli.portrait import motions as motion
from facecycle_cli.portrait.frontalize import frontalize, frontalize_crops
from facecycle_cli.portrait.grid import flow_colors, step_grid
from facecycle_cli.portrait.neutralize import (
    mean_faces,
    neutral_portraits,
    neutralize,
    neutralize_crops,
)
from facecycle_cli.portrait.portraits import (
    find_faces,
    move_faces,
    paste_portraits,
    replaced,
)


@pytest.fixture
def together(model, backend):
    """Keyword arguments that save loading the networks for every call."""
    return {"model": model, "backend": backend}


@pytest.mark.parametrize("call", [neutralize, frontalize])
def test_one_face_is_one_crop(call, smiling, together):
    crop = call(smiling, **together)
    assert crop.shape == (256, 256, 3)
    assert crop.dtype == np.uint8


def test_all_faces_come_largest_first(couple, together, backend):
    crops = neutralize(couple, faces="all", size=128, **together)
    assert [crop.shape for crop in crops] == [(128, 128, 3)] * 2
    alone = neutralize(couple, size=128, **together).astype(int)
    assert np.abs(crops[0] - alone).max() <= 1  # sums of other lengths round differently


def test_same_input_same_bytes(smiling, together):
    assert np.array_equal(frontalize(smiling, **together), frontalize(smiling, **together))


def test_a_batch_gives_what_one_crop_gives(model, backend, couple):
    (found,) = find_faces([couple], backend, "all")
    from facecycle_cli.faces import Alignment

    crops = np.stack([Alignment.from_face(face, 128).crop(couple) for face in found])
    batch = neutralize_crops(model, crops).astype(int)
    single = np.concatenate([neutralize_crops(model, crops[i : i + 1]) for i in range(2)])
    assert np.abs(batch - single).max() <= 1


def test_no_face_is_an_error(together):
    with pytest.raises(NoFaceError, match="no face"):
        neutralize(np.full((80, 100, 3), 127, np.uint8), **together)


def test_paste_back_changes_the_face_and_nothing_else(smiling, model, backend):
    (found,) = find_faces([smiling], backend)
    (portrait,) = move_faces(smiling, found, model, motion.neutral)
    picture = paste_portraits(smiling, [portrait])
    assert picture.shape == smiling.shape
    changed = np.abs(picture.astype(int) - smiling).max(axis=2) > 0
    assert changed.any()
    rows, columns = changed.nonzero()
    oval = portrait.face.oval
    (x0, y0), (x1, y1) = oval.min(axis=0) - 3, oval.max(axis=0) + 3
    assert x0 <= columns.min()
    assert columns.max() <= x1
    assert y0 <= rows.min()
    assert rows.max() <= y1


def test_more_than_the_oval_of_a_turned_face_is_replaced(model, backend, examples):
    """What was seen of it is narrower than the frontal face that takes its place."""
    with read_frames(examples / "head_turn.gif") as reader:
        frames = [frame.image for frame in reader]
    faces = [found[0] for found in backend.detect(frames)]
    straight, turned = (
        min(range(len(faces)), key=lambda i: abs(abs(faces[i].pose.yaw) - yaw)) for yaw in (0, 28)
    )
    for index, wider in ((straight, False), (turned, True)):
        (portrait,) = move_faces(frames[index], [faces[index]], model, motion.frontal)
        region = replaced(portrait)
        inside = [
            cv2.pointPolygonTest(region, tuple(map(float, p)), True) for p in portrait.face.oval
        ]
        assert min(inside) > -1
        assert (cv2.contourArea(region) > 1.3 * cv2.contourArea(portrait.face.oval)) == wider
    pasted = paste_portraits(frames[turned], [portrait])
    assert abs(backend.detect([pasted])[0][0].pose.yaw) < 8


def test_a_neutral_face_looks_ahead(model, backend, examples):
    """Whichever way the photograph looks."""
    with read_frames(examples / "head_turn.gif") as reader:
        frames = [frame.image for frame in reader][::4]
    found = [
        (image, faces[0])
        for image, faces in zip(frames, backend.detect(frames), strict=True)
        if faces
    ]
    turned = [(image, face) for image, face in found if 12 < abs(face.pose.yaw) < 40]
    assert len(turned) >= 3
    neutral = [neutral_portraits(image, [face], model)[0].result for image, face in turned]
    after = [faces[0].pose.yaw for faces in backend.detect(neutral)]
    before = [face.pose.yaw for _, face in turned]
    assert np.abs(after).mean() < 0.4 * np.abs(before).mean()


def test_the_mean_face_is_the_same_for_everyone(model, backend, couple):
    from facecycle_cli.faces import Alignment

    (found,) = find_faces([couple], backend, "all")
    crops = np.stack([Alignment.from_face(face, 64).crop(couple) for face in found])
    means = mean_faces(model, crops).astype(float)
    faces = crops.astype(float)
    assert np.abs(means[0] - means[1]).mean() < 0.5 * np.abs(faces[0] - faces[1]).mean()


def test_frontalize_can_remove_the_expression(model, backend, smiling, together):
    removed = frontalize(smiling, expression="remove", **together)
    assert np.array_equal(removed, neutralize(smiling, **together))
    assert not np.array_equal(removed, frontalize(smiling, **together))


def test_a_mirrored_face_is_frontalized_to_the_mirror_image(model, backend, smiling):
    from facecycle_cli.faces import Alignment

    (found,) = find_faces([smiling], backend)
    crop = Alignment.from_face(found[0], 128).crop(smiling)[None]
    plain = frontalize_crops(model, crop)[0].astype(float)
    mirrored = frontalize_crops(model, np.ascontiguousarray(crop[:, :, ::-1]))[0, :, ::-1]
    assert np.abs(plain - mirrored).mean() < 0.35 * np.abs(plain - plain[:, ::-1]).mean() + 6


def test_grid_has_five_columns(model, smiling, backend):
    (found,) = find_faces([smiling], backend)
    from facecycle_cli.faces import Alignment

    crops = Alignment.from_face(found[0], 96).crop(smiling)[None]
    grid = step_grid(model, crops)
    assert grid.shape == (96, 5 * 96, 3)
    assert np.array_equal(grid[:, :96], crops[0])
    assert np.array_equal(grid[:, 192:288], neutralize_crops(model, crops)[0])


def test_color_wheel():
    still = flow_colors(np.zeros((2, 16, 16), np.float32), 32)
    assert (still == 255).all()
    right = np.zeros((2, 16, 16), np.float32)
    right[0] = 1
    assert (flow_colors(right, 32) == (255, 0, 0)).all()
    assert (flow_colors(-right, 32) == (0, 255, 255)).all()
