"""Translate with landmarks: the face arrives where they say, and the photograph stays where nothing
moves.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.media import read_image
from facecycle_cli.model import load
from facecycle_cli.portrait.dense import interpolate
from facecycle_cli.portrait.head import Head, mean_head, shape_distance
from facecycle_cli.portrait.neutral import neutral_shape
from facecycle_cli.translate.measurement import measure_still
from facecycle_cli.translate.motion import Motion, motion_of_still
from facecycle_cli.translate.rest import rest_shape
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import crop_still
from facecycle_cli.translate.target import Target
from facecycle_cli.translate.video import Translation


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def pictures(examples) -> dict[str, np.ndarray]:
    """Neutral and smiling person 2, and neutral person 1, a third as large."""
    names = ("person2_neutral", "person2_smiling", "person1_neutral")
    images = {name: read_image(examples / "faces" / f"{name}.jpg") for name in names}
    return {n: cv2.resize(i, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
            for n, i in images.items()}  # fmt: skip


@pytest.fixture(scope="module")
def faces(backend, pictures):
    return {name: found[0] for name, found in
            zip(pictures, backend.detect(list(pictures.values())), strict=True)}  # fmt: skip


@pytest.fixture(scope="module")
def targets(model, pictures, faces):
    """Whole pictures, by name and mode."""

    def make(name: str, mode: str = "absolute", **settings) -> Target:
        options = TranslateSettings(motion=mode, paste_back=True, **settings)
        return Target(pictures[name], faces[name], model, options)

    return make


@pytest.fixture(scope="module")
def still(model, pictures, faces):
    """The motion of a picture."""
    side = model.config.image_size
    return lambda name: motion_of_still(
        measure_still(model, crop_still(pictures[name], [faces[name]], "largest", side))
    )


def drawn(target: Target, motion: Motion) -> np.ndarray:
    (drawing,) = target.prepare([motion])
    return target.draw(drawing)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(cv2.PSNR(a, b))


# -- nothing moves where nothing moved ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["absolute", "relative"])
@pytest.mark.parametrize("name", ["person2_neutral", "person2_smiling"])
def test_the_own_motion_gives_the_photograph_back(targets, still, pictures, mode, name):
    assert psnr(drawn(targets(name, mode), still(name)), pictures[name]) > 40


@pytest.mark.parametrize("mode", ["absolute", "relative"])
def test_a_compressed_video_in_which_nothing_moves_gives_the_photograph_back(
    pictures, model, backend, mode
):
    """Landmarks of frames that are searched and of frames that are followed are the same ones."""
    picture = pictures["person2_neutral"]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 60]
    frame = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    settings = TranslateSettings(motion=mode, paste_back=True)
    with Translation([frame] * 6, picture, model=model, backend=backend, settings=settings) as made:
        assert min(psnr(output, picture) for output in made) > 40


def test_half_of_a_motion_lies_in_between(targets, still, faces, backend):
    """Of a smile, and of nothing: no jump where landmarks begin to count."""
    target, smile = targets("person2_neutral"), still("person2_smiling")
    rest = Head.of(faces["person2_neutral"])
    rest_motion = still("person2_neutral")
    reference = replace(
        smile.reference, head=rest, first=rest, neutral=rest_motion.reference.neutral
    )
    frames = []
    for share in (0.0, 0.02, 0.04, 0.5, 1.0):
        shape = rest.shape + share * (smile.head.shape - rest.shape)
        head = replace(rest, shape=shape)
        frames.append(
            drawn(target, replace(smile, head=head, eyes=1.0, lids=-1.0, reference=reference))
        )
    steps = [float(np.abs(frames[0].astype(int) - frame).mean()) for frame in frames]
    assert steps == sorted(steps)
    assert steps[2] < 0.2 * steps[-1]
    widths = [found[0].mouth_width for found in backend.detect([frames[i] for i in (0, 3, 4)])]
    assert widths == sorted(widths)


# -- what moves arrives ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["person1_neutral", "person2_smiling"])
def test_who_smiles_all_the_time_smiles_in_relative_motion_too(pictures, model, backend, target):
    """On somebody else; the own smile of a target is not doubled."""
    smiles = [pictures["person2_smiling"]] * 4
    settings = TranslateSettings(size=192, motion="relative")
    with Translation(
        smiles, pictures[target], model=model, backend=backend, settings=settings
    ) as made:
        frame = list(made)[-1]
        still = made._target.still
    before, after = (found[0].mouth_width for found in backend.detect([still, frame]))
    if target == "person2_smiling":
        assert psnr(frame, still) > 40
    else:
        assert after > 1.05 * before


def test_landmarks_arrive_where_the_source_has_them(targets, still, faces, backend):
    """A person performs another picture of herself: the shape is that of the other picture."""
    smile = faces["person2_smiling"]
    made = drawn(targets("person2_neutral"), still("person2_smiling"))
    ((found,),) = backend.detect([made])
    before = shape_distance(Head.of(faces["person2_neutral"]).shape, Head.of(smile).shape)
    after = shape_distance(Head.of(found).shape, Head.of(smile).shape)
    assert after < 0.45 * before
    assert found.mouth_width - smile.mouth_width > -0.08
    assert found.mouth_opening == pytest.approx(smile.mouth_opening, abs=0.05)


def test_an_open_mouth_shows_the_teeth_of_the_source(targets, still, faces, pictures):
    mouth = faces["person2_smiling"].landmarks[[13, 14], :2].mean(0)
    made = drawn(targets("person1_neutral"), still("person2_smiling"))
    flow = drawn(targets("person1_neutral", mouth="flow"), still("person2_smiling"))
    x, y = np.rint(faces["person1_neutral"].landmarks[[13, 14], :2].mean(0)).astype(int)
    assert mouth.shape == (2,)
    teeth, none = (picture[y - 12 : y + 12, x - 15 : x + 15].mean(-1) for picture in (made, flow))
    assert np.percentile(teeth, 90) > np.percentile(none, 90) + 15


@pytest.mark.parametrize(("angle", "by"), [(0, 15.0), (0, -15.0), (1, 8.0), (2, 12.0)])
def test_the_head_turns_as_the_source_does(targets, still, faces, backend, angle, by):
    """Yaw, pitch and roll, and the face is not narrower than a turned one."""
    motion = still("person2_neutral")
    angles = motion.head.angles.copy()
    angles[angle] += by
    turned = replace(motion, head=replace(motion.head, angles=angles))
    ((found,),) = backend.detect([drawn(targets("person2_neutral"), turned)])
    before, after = (Head.of(f) for f in (faces["person2_neutral"], found))
    assert (after.angles - before.angles)[angle] == pytest.approx(by, rel=0.45)
    assert after.size == pytest.approx(before.size, rel=0.08)


def test_what_is_around_the_head_moves_with_the_slow_one(targets, still):
    """A word's nod moves the face, and neither shoulders nor background; a jump moves all."""
    motion, target = still("person2_neutral"), targets("person2_neutral")
    x, y = np.moveaxis(target.stage.points, -1, 0)

    def displaced(fast: float, slow: float) -> np.ndarray:
        head = motion.head
        fast_head, slow_head = (
            replace(head, center=head.center + np.array([0, by * head.size])) for by in (fast, slow)
        )
        (drawing,) = target.prepare([replace(motion, head=fast_head, slow=slow_head)])
        return drawing.displacement

    nod, both = displaced(0.03, 0.0), displaced(0.03, 0.03)
    face = (np.abs(x) < 0.3) & (np.abs(y) < 0.4)
    beside = (np.abs(x) > 0.7) & (np.abs(x) < 0.9) & (y > 0.5) & (y < 0.9)
    hair = (np.abs(x) < 0.3) & (y > -1.0) & (y < -0.8)
    for same in (face, hair):
        np.testing.assert_allclose(nod[same], both[same], atol=0.05)
    assert np.abs(both[face, 1]).min() > 1
    assert np.abs(nod[beside]).mean() < 0.2 * np.abs(both[beside]).mean()
    np.testing.assert_array_equal(displaced(0.25, 0.0), displaced(0.25, 0.25))


def test_shading_makes_the_face_lighter_and_nothing_else(targets, still, pictures, faces):
    motion = still("person2_neutral")
    light = motion.look.light + np.float32(0.3)
    lit = replace(motion, look=replace(motion.look, light=light))
    name = "person2_neutral"
    dark, bright = (drawn(targets(name, shading=s), lit).astype(int) for s in (0.0, 1.0))
    x, y = np.rint(faces[name].five_points[2]).astype(int)
    ratio = bright[y - 5 : y, x - 5 : x + 5].mean() / dark[y - 5 : y, x - 5 : x + 5].mean()
    assert ratio == pytest.approx(np.exp(0.3), rel=0.05)
    assert np.array_equal(bright[:10], pictures[name][:10])
    assert np.array_equal(dark, pictures[name])


def test_lids_close_with_the_skin_of_the_lid(targets, still, faces, backend, pictures):
    motion = still("person2_neutral")
    shut = replace(motion, eyes=0.0, lids=0.1)
    name = "person2_neutral"
    made = drawn(targets(name), shut)
    ((found,),) = backend.detect([made])
    # Landmarks of shut eyes keep a distance.
    assert found.eye_opening < 0.85 * faces[name].eye_opening
    points = faces[name].landmarks[:, :2]
    x, y = np.rint((points[159] + points[145]) / 2).astype(int)
    iris, lid = (p[y - 1 : y + 2, x - 2 : x + 3].mean() for p in (pictures[name], made))
    above = np.rint(points[159] - [0, 6]).astype(int)
    skin = pictures[name][above[1] - 1 : above[1] + 2, above[0] - 2 : above[0] + 3].mean()
    assert abs(lid - skin) < abs(iris - skin)


# -- the parts ------------------------------------------------------------------------------------


def test_a_head_is_its_pose_and_its_shape(face):
    head = Head.of(face)
    assert np.allclose(head.points, face.landmarks[:, :2], atol=1e-3)
    turned = replace(head, angles=head.angles + np.array([20, 0, 0]))
    assert shape_distance(turned.shape, head.shape) == 0
    assert np.abs(turned.points - head.points).max() > 0.1 * head.size
    assert np.allclose(mean_head([head, head]).points, head.points)


def test_the_neutral_shape_of_a_smile_is_less_of_a_smile(faces):
    neutral, smile = (Head.of(faces[f"person2_{name}"]) for name in ("neutral", "smiling"))
    estimate = neutral_shape(smile)
    assert shape_distance(estimate, neutral.shape) < 0.8 * shape_distance(
        smile.shape, neutral.shape
    )
    few = replace(smile, shape=smile.shape[:68])
    assert np.array_equal(neutral_shape(few), few.shape[:, :2]), "no statistics of other landmarks"


def test_a_faint_smile_is_no_neutral_mouth(faces):
    """Most of a face looks neutral then; its mouth does not."""
    neutral, smile = (Head.of(faces[f"person2_{name}"]) for name in ("neutral", "smiling"))
    faint = replace(neutral, shape=neutral.shape + 0.4 * (smile.shape - neutral.shape))

    def width(shape: np.ndarray) -> float:
        return float(shape[291, 0] - shape[61, 0])

    smiled = width(faint.shape) - width(neutral.shape)
    assert width(faint.shape) - width(rest_shape(faint)) > 0.6 * smiled
    assert width(rest_shape(neutral)) == pytest.approx(width(neutral.shape), abs=0.1 * smiled)


def test_lips_are_closed_at_rest(faces):
    head = Head.of(faces["person2_smiling"])
    rest = rest_shape(head)
    assert np.array_equal(rest[13], rest[14])
    assert np.array_equal(rest[[61, 291, 152]], neutral_shape(head)[[61, 291, 152]])
    few = replace(head, shape=head.shape[:68])
    assert np.array_equal(rest_shape(few), few.shape[:, :2])


def test_interpolation_is_exact_at_its_points_and_constant_beyond_what_they_say():
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*rng.uniform(0, 100, (2, 12))), axis=-1)[:9]
    some = rng.choice(9 * 12, 30, replace=False)
    points, values = grid.reshape(-1, 2)[some], rng.normal(size=(30, 3))
    there = interpolate(points, values, grid)
    assert there.shape == (9, 12, 3)
    assert np.allclose(there.reshape(-1, 3)[some], values, atol=1e-3)
    same = np.full((30, 1), 2.5)
    assert np.allclose(interpolate(points, same, grid - 50), 2.5, atol=1e-4)
    twice = np.concatenate([points, points[:1]]), np.concatenate([values, values[:1] + 1])
    assert np.isfinite(interpolate(*twice, grid)).all()
