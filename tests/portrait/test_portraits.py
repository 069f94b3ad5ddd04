"""neutralize and frontalize on arrays, with the shipped weights."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest

from facecycle_cli.errors import CommandError, MediaError, NoFaceError, SettingsError
from facecycle_cli.faces import Alignment
from facecycle_cli.media import read_frames
from facecycle_cli.portrait.grid import flow_colors, step_grid
from facecycle_cli.portrait.motions import FRONTAL, MEAN, NEUTRAL, NEUTRAL_BY_FLOW, choose_motion
from facecycle_cli.portrait.portraits import (
    find_faces,
    move_crops,
    move_faces,
    paste_portraits,
    portraits,
    portraits_of_many,
    replaced_region,
)
from facecycle_cli.portrait.verbs import (
    frontalize,
    frontalize_crops,
    frontalize_many,
    neutralize,
    neutralize_crops,
    neutralize_many,
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
    made = portraits(couple, NEUTRAL, faces="all", size=128, **together)
    crops = [portrait.result for portrait in made]
    assert [crop.shape for crop in crops] == [(128, 128, 3)] * 2
    assert made[0].face.area > made[1].face.area
    alone = neutralize(couple, size=128, **together).astype(int)
    assert np.abs(crops[0] - alone).max() <= 1  # sums of other lengths round differently


def test_same_input_same_bytes(smiling, together):
    assert np.array_equal(frontalize(smiling, **together), frontalize(smiling, **together))


def test_a_batch_gives_what_one_crop_gives(model, backend, couple):
    found = find_faces(couple, backend, "all")
    crops = np.stack([Alignment.from_face(face, 128).crop(couple) for face in found])
    batch = neutralize_crops(model, crops).astype(int)
    single = np.concatenate([neutralize_crops(model, crops[i : i + 1]) for i in range(2)])
    assert np.abs(batch - single).max() <= 1


@pytest.mark.parametrize("motion", [FRONTAL, NEUTRAL, MEAN])
def test_numbers_that_are_not_finite_are_not_drawn(motion, model, smiling):
    """Weights that are finite may still overflow; the picture would be black."""
    broken = copy.deepcopy(model)
    for parameter in broken.parameters():
        parameter.mul_(1e18)
    with pytest.raises(CommandError, match="draws faces that are not finite"):
        move_crops(broken, smiling[None, :128, :128], motion)


def test_no_face_is_an_error(together):
    with pytest.raises(NoFaceError, match="no face"):
        neutralize(np.full((80, 100, 3), 127, np.uint8), **together)


def test_paste_back_changes_the_face_and_nothing_else(smiling, model, backend):
    found = find_faces(smiling, backend)
    (portrait,) = move_faces(smiling, found, model, NEUTRAL)
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
        (portrait,) = move_faces(frames[index], [faces[index]], model, FRONTAL)
        region = replaced_region(portrait)
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
    neutral = [move_faces(image, [face], model, NEUTRAL)[0].result for image, face in turned]
    after = [faces[0].pose.yaw for faces in backend.detect(neutral)]
    before = [face.pose.yaw for _, face in turned]
    assert np.abs(after).mean() < 0.4 * np.abs(before).mean()


def test_the_mean_face_is_the_same_for_everyone(model, backend, couple):
    found = find_faces(couple, backend, "all")
    crops = np.stack([Alignment.from_face(face, 64).crop(couple) for face in found])
    means = move_crops(model, crops, MEAN)[0].astype(float)
    faces = crops.astype(float)
    assert np.abs(means[0] - means[1]).mean() < 0.5 * np.abs(faces[0] - faces[1]).mean()


def test_frontalize_can_remove_the_expression(model, backend, smiling, together):
    removed = frontalize(smiling, expression="remove", **together)
    assert np.array_equal(removed, neutralize(smiling, **together))
    assert not np.array_equal(removed, frontalize(smiling, **together))


def test_a_mirrored_face_is_frontalized_to_the_mirror_image(model, backend, smiling):
    found = find_faces(smiling, backend)
    crop = Alignment.from_face(found[0], 128).crop(smiling)[None]
    plain = frontalize_crops(model, crop)[0].astype(float)
    mirrored = frontalize_crops(model, np.ascontiguousarray(crop[:, :, ::-1]))[0, :, ::-1]
    assert np.abs(plain - mirrored).mean() < 0.35 * np.abs(plain - plain[:, ::-1]).mean() + 6


# -- one way, many pictures ------------------------------------------------------------------------


@pytest.mark.parametrize("motion", [FRONTAL, NEUTRAL, NEUTRAL_BY_FLOW, MEAN])
def test_many_pictures_give_what_each_gives(motion, smiling, photograph, together):
    blank = np.full((90, 120, 3), 200, np.uint8)
    first, none, second = portraits_of_many(
        iter([smiling, blank, photograph]), motion, size=96, **together
    )
    assert none == []
    for made, image in ((first, smiling), (second, photograph)):
        (alone,) = portraits(image, motion, size=96, **together)
        assert np.array_equal(made[0].result, alone.result)
        assert np.array_equal(made[0].flow, alone.flow)


def test_many_pictures_are_taken_in_batches(smiling, together):
    taken = 0

    def pictures():
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield np.full((40, 40, 3), 200, np.uint8)

    made = portraits_of_many(pictures(), NEUTRAL, **together)
    assert taken == 0
    assert next(made) == []
    assert taken == 16
    assert len(list(made)) == 39


def test_verbs_are_the_portraits_results(smiling, together):
    for verb, motion, options in (
        (neutralize, NEUTRAL, {}),
        (neutralize, NEUTRAL_BY_FLOW, {"mouth": "flow"}),
        (neutralize, MEAN, {"mean": True}),
        (frontalize, FRONTAL, {}),
        (frontalize, FRONTAL, {"mouth": "flow"}),
        (frontalize, NEUTRAL, {"expression": "remove"}),
        (frontalize, NEUTRAL_BY_FLOW, {"expression": "remove", "mouth": "flow"}),
    ):
        (portrait,) = portraits(smiling, motion, size=96, **together)
        assert np.array_equal(verb(smiling, size=96, **options, **together), portrait.result)


@pytest.mark.parametrize("verb", [neutralize_many, frontalize_many])
def test_verbs_of_many(verb, smiling, couple, together):
    one = {neutralize_many: neutralize, frontalize_many: frontalize}[verb]
    blank = np.full((90, 120, 3), 200, np.uint8)
    for options in ({"size": 96}, {"paste_back": True, "faces": "all"}):
        found = verb(iter([smiling, blank, couple]), **options, **together)
        assert found[1] is None
        assert np.array_equal(found[0], one(smiling, **options, **together))
        assert np.array_equal(found[2], one(couple, **options, **together))
    assert verb([], **together) == []


def test_all_faces_are_replaced_in_the_picture(couple, together):
    largest = neutralize(couple, paste_back=True, **together)
    both = neutralize(couple, paste_back=True, faces="all", **together)
    assert both.shape == couple.shape
    changed = [(picture != couple).any(-1).sum() for picture in (largest, both)]
    assert changed[1] > 1.5 * changed[0]


@pytest.mark.parametrize("verb", [neutralize, frontalize, neutralize_many, frontalize_many])
def test_all_faces_make_no_single_picture(verb, smiling, together):
    with pytest.raises(SettingsError, match="`portraits`"):
        verb(smiling, faces="all", **together)


def test_what_is_no_picture_is_an_error(together):
    with pytest.raises(MediaError, match="picture must be uint8 RGB"):
        portraits(np.zeros((8, 8), np.uint8), NEUTRAL, **together)
    with pytest.raises(MediaError, match="picture 1 must be"):
        list(portraits_of_many([np.zeros((8, 8, 3), np.uint8), "x"], NEUTRAL, **together))


def test_the_mean_face_keeps_no_expression():
    with pytest.raises(SettingsError, match="mean face"):
        choose_motion("keep", mean=True)


# -- grid ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("motion", [NEUTRAL, NEUTRAL_BY_FLOW, FRONTAL, MEAN])
def test_grid_shows_the_steps_of_its_own_result(motion, smiling, together, model):
    made = portraits(smiling, motion, size=96, **together)
    grid = step_grid(model, made)
    assert grid.shape == (96, 5 * 96, 3)
    shown = [grid[:, start : start + 96] for start in range(0, 5 * 96, 96)]
    assert np.array_equal(shown[0], made[0].crop)
    assert np.array_equal(shown[1], flow_colors(made[0].flow, 96))
    assert np.array_equal(shown[2], made[0].result)
    assert np.array_equal(shown[3], move_crops(model, made[0].crop[None], MEAN)[0][0])


def test_the_grid_of_a_frontal_face_shows_another_flow_than_that_of_a_neutral_one(
    smiling, together, model
):
    frontal, neutral = (
        step_grid(model, portraits(smiling, motion, size=96, **together))
        for motion in (FRONTAL, NEUTRAL)
    )
    flow, rest = slice(96, 192), slice(288, None)
    assert not np.array_equal(frontal[:, flow], neutral[:, flow])
    assert np.array_equal(frontal[:, rest], neutral[:, rest])


def test_a_row_for_every_face(couple, together, model):
    made = portraits(couple, NEUTRAL, faces="all", size=64, **together)
    grid = step_grid(model, made)
    assert grid.shape == (128, 5 * 64, 3)
    assert np.array_equal(grid[64:, :64], made[1].crop)


def test_color_wheel():
    still = flow_colors(np.zeros((2, 16, 16), np.float32), 32)
    assert (still == 255).all()
    right = np.zeros((2, 16, 16), np.float32)
    right[0] = 1
    assert (flow_colors(right, 32) == (255, 0, 0)).all()
    assert (flow_colors(-right, 32) == (0, 255, 255)).all()
