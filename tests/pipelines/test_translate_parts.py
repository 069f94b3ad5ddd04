"""The parts of translate, each on what it can be given directly."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.pipelines.translate.ahead import ahead
from facecycle_cli.pipelines.translate.motion import Performance, batches, with_reference
from facecycle_cli.pipelines.translate.placement import STILL, HeadPlace, mean_place, place
from facecycle_cli.pipelines.translate.report import Agreement
from facecycle_cli.pipelines.translate.smoothing import smoothed
from facecycle_cli.pipelines.translate.source import Observation, check_choice, follow
from facecycle_cli.pipelines.translate.stage import Drawing, crop_stage, picture_stage
from facecycle_cli.pipelines.translate.target import Target

# -- ahead ----------------------------------------------------------------------------------------


def test_ahead_keeps_the_order():
    assert list(ahead(lambda: iter(range(100)))) == list(range(100))


def test_ahead_works_in_another_thread_but_not_far_ahead():
    made, threads = [], set()

    def produce():
        for i in range(50):
            threads.add(threading.get_ident())
            made.append(i)
            yield i

    items = ahead(produce, depth=3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 6  # one taken, three waiting, one that waits for room, one begun
    assert threads != {threading.get_ident()}
    items.close()


def test_ahead_raises_in_its_place():
    def produce():
        yield 1
        raise KeyError("two")

    items = ahead(produce)
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)


def test_closing_ahead_closes_its_source():
    closed = threading.Event()

    def produce():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(produce)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


# -- smoothing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    value: np.ndarray
    group: int | None = 0


def smooth(samples, width=1.0, tolerance=1.0):
    return list(
        smoothed(
            samples,
            width=width,
            tolerance=lambda _: tolerance,
            group=lambda s: s.group,
            get=lambda s: s.value,
            put=lambda s, value: replace(s, value=value),
        )
    )


def values(samples):
    return np.array([float(s.value[0]) for s in samples])


def row(numbers, groups=None):
    groups = groups or [0] * len(numbers)
    return [Sample(np.array([n]), g) for n, g in zip(numbers, groups, strict=True)]


@given(st.lists(st.floats(-5, 5), max_size=40), st.floats(0, 4))
def test_smoothing_loses_no_item_and_never_overshoots(numbers, width):
    result = values(smooth(row(numbers), width))
    assert len(result) == len(numbers)
    if numbers:
        assert result.min() >= min(numbers) - 1e-9
        assert result.max() <= max(numbers) + 1e-9


def test_no_smoothing_is_the_same_objects():
    samples = row([1.0, 5.0, 2.0])
    assert all(a is b for a, b in zip(smooth(samples, 0), samples, strict=True))


def test_smoothing_halves_noise_and_does_not_lag():
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal(400)
    assert values(smooth(row(noise))).std() < 0.6 * noise.std()
    ramp = 0.1 * np.arange(40.0)
    assert np.abs(values(smooth(row(ramp))) - ramp)[4:-4].max() < 1e-9


def test_a_jump_stays_a_jump():
    step = np.repeat([0.0, 100.0], 20)
    assert np.abs(values(smooth(row(step))) - step).max() < 1e-6


def test_groups_do_not_mix():
    together = smooth(row([0.0, 0.1, 0.9, 1.0], [1, 1, 2, 2]))
    apart = smooth(row([0.0, 0.1], [1, 1])) + smooth(row([0.9, 1.0], [2, 2]))
    assert np.allclose(values(together), values(apart))
    assert values(smooth(row([0.0, 1.0, 0.0], [0, None, 0])))[1] == 1.0


# -- placement ------------------------------------------------------------------------------------


def alignment(x=50.0, y=40.0, side=80.0, roll=0.0, size=64) -> Alignment:
    """The alignment of a face with its crop's centre at (x, y), that wide, turned by ``roll``."""
    scale = size / side
    c, s = scale * math.cos(roll), scale * math.sin(roll)
    linear = np.array([[c, s], [-s, c]])
    middle = (size - 1) / 2
    return Alignment(np.column_stack([linear, middle - linear @ (x, y)]), size)


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(10, 500), st.floats(-3, 3))
def test_head_place_is_what_the_alignment_was_made_of(x, y, side, roll):
    found = HeadPlace.of(alignment(x, y, side, roll))
    assert found.centre == pytest.approx(complex(x, y), abs=1e-6)
    assert math.exp(found.size) == pytest.approx(side)
    assert found.roll == pytest.approx(roll)


def test_a_head_at_its_reference_stands_still():
    here = HeadPlace.of(alignment(10, 20, 70, 0.3))
    assert place(here, here) == STILL


def test_placement_moves_as_the_source_does():
    """A quarter of the crop to the right is half a unit; small motions are followed exactly."""
    reference = HeadPlace.of(alignment(50, 40, 80))
    moved = place(HeadPlace.of(alignment(54, 38, 84, 0.1)), reference)
    assert moved.shift == pytest.approx(complex(4, -2) / 40)
    assert abs(moved.turn) == pytest.approx(84 / 80)
    assert np.angle(moved.turn) == pytest.approx(0.1)


def test_relative_motion_is_along_the_face_and_absolute_motion_along_the_picture():
    reference = HeadPlace.of(alignment(50, 40, 80, math.pi / 2))
    now = HeadPlace.of(alignment(54, 40, 80, math.pi / 2))
    assert place(now, reference).shift == pytest.approx(-0.1j)
    assert place(now, reference).turn == pytest.approx(1)
    level = place(now, reference, level=0.0)
    assert level.shift == pytest.approx(0.1)
    assert np.angle(level.turn) > 0.5


def test_a_head_does_not_leave_the_picture():
    reference = HeadPlace.of(alignment(50, 40, 80))
    far = place(HeadPlace.of(alignment(500, 40, 300, 3.0)), reference)
    assert abs(far.shift) < 0.36
    assert abs(far.turn) < 1.4
    assert abs(np.angle(far.turn)) < math.radians(41)


@given(st.floats(-0.5, 0.5), st.floats(-20, 20), st.complex_numbers(max_magnitude=2))
def test_undo_is_the_inverse(roll, shift, point):
    moved = place(
        HeadPlace.of(alignment(50 + shift, 40, 90, roll)), HeadPlace.of(alignment(50, 40, 80))
    )
    a, b = moved.undo()
    assert a * (moved.turn * point + moved.shift) + b == pytest.approx(point, abs=1e-9)


def test_mean_place_knows_that_angles_are_round():
    mean = mean_place([HeadPlace(0j, 1.0, math.pi - 0.1), HeadPlace(2j, 3.0, -math.pi + 0.1)])
    assert abs(mean.roll) == pytest.approx(math.pi)
    assert (mean.centre, mean.size) == (1j, 2.0)


# -- target and stage -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks() -> FaceCycle:
    """Random ones whose flows are not small."""
    torch.manual_seed(1)
    model = FaceCycle(preset("small")).eval().requires_grad_(False)
    model.flow_decoder.to_flow.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(120, 140, 3): smooth, so that resampling loses nothing, and different everywhere."""
    y, x = np.mgrid[0:120, 0:140]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return (128 + 50 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def target(networks, picture) -> Target:
    return Target(networks, networks.to_input(alignment(70, 60, 64).crop(picture)))


def grid(side=24) -> torch.Tensor:
    line = torch.linspace(-1.2, 1.2, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def test_the_own_motion_at_rest_changes_nothing(target):
    fields = target.perform(target.backflow, [STILL], grid(), at_rest=True)
    inner = fields.inside.abs().amax(dim=1, keepdim=True) <= 1
    assert fields.displacement.abs().max() < 1e-5
    assert (fields.change * inner).abs().max() < 1e-3


def test_without_rest_it_is_the_cycle(target):
    fields = target.perform(target.backflow, [STILL], grid(), at_rest=False)
    assert fields.displacement.abs().max() > 1e-2


def test_a_batch_performs_as_single_frames_do(target):
    torch.manual_seed(2)
    backflows = 0.1 * torch.randn(3, 2, 16, 16)
    places = [
        place(HeadPlace.of(alignment(50 + k, 40)), HeadPlace.of(alignment())) for k in range(3)
    ]
    together = target.perform(backflows, places, grid(), at_rest=True)
    for k in range(3):
        alone = target.perform(backflows[k : k + 1], places[k : k + 1], grid(), at_rest=True)
        for a, b in zip(together, alone, strict=True):
            assert torch.allclose(a[k], b[0], atol=1e-4)


def test_a_placement_alone_is_a_similarity(target):
    moved = place(HeadPlace.of(alignment(54, 38, 84, 0.1)), HeadPlace.of(alignment()))
    fields = target.perform(target.backflow, [moved], grid(), at_rest=True)
    a, b = moved.undo()
    points = torch.complex(*grid().double().unbind(-1))
    expected = a * points + b
    got = torch.complex(fields.inside[0, 0].double(), fields.inside[0, 1].double())
    assert torch.allclose(got, expected, atol=1e-5)
    displaced = torch.complex(*fields.displacement[0].double()) + points
    assert torch.allclose(displaced, expected, atol=1e-4)


def still(stage) -> Drawing:
    height, width = stage.points.shape[:2]
    return Drawing(
        np.zeros((height, width, 2), np.float32), np.zeros((height, width, 3), np.float32)
    )


@pytest.mark.parametrize("size", [64, 96, 200])
def test_nothing_moves_nothing_changes(picture, size):
    place_ = alignment(70, 60, 64)
    stage = crop_stage(picture, place_, size, cells=64)
    crop = place_.scaled(size).crop(picture)
    assert np.array_equal(stage.draw(still(stage)), stage.still)
    assert np.abs(stage.still.astype(int) - crop).max() <= 2
    whole = picture_stage(picture, place_, cells=64)
    assert np.array_equal(whole.draw(still(whole)), picture)
    assert whole.size == (140, 120)


def test_grid_points_lie_where_the_alignment_says(picture):
    place_ = alignment(70, 60, 64, roll=0.2)
    stage = picture_stage(picture, place_, cells=64)
    corner = (stage.points + 1) / 2 * 63  # grid units to pixels of the crop
    pixels = place_.apply_inverse(corner)
    steps = np.diff(pixels, axis=1)
    assert np.allclose(steps[..., 0], steps[0, 0, 0], atol=1e-3)
    assert np.allclose(steps[..., 1], 0, atol=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_a_displacement_moves_pixels(picture, whole):
    """Every pixel takes its colour from 3 pixels to the right in the networks' crop."""
    place_ = alignment(70, 60, 64)
    stage = (
        picture_stage(picture, place_, cells=64)
        if whole
        else crop_stage(picture, place_, 64, cells=64)
    )
    height, width = stage.points.shape[:2]
    displacement = np.zeros((2, height, width), np.float32)
    displacement[0] = 3 * 2 / 63
    inside = stage.points.transpose(2, 0, 1)
    drawing = stage.prepare(displacement, np.zeros((3, height, width), np.float32), inside)
    frame = stage.draw(drawing).astype(int)
    x, y = (70, 60) if whole else (32, 32)
    expected = stage.still[y - 9 : y + 9, x - 6 : x + 12].astype(int)
    assert np.abs(frame[y - 9 : y + 9, x - 9 : x + 9] - expected).max() <= 2


def test_the_motion_ends_around_the_head(picture):
    stage = picture_stage(picture, alignment(70, 60, 30), cells=64)
    height, width = stage.points.shape[:2]
    everywhere = np.full((2, height, width), 0.3, np.float32)
    colour = np.full((3, height, width), 90, np.float32)
    frame = stage.draw(stage.prepare(everywhere, colour, stage.points.transpose(2, 0, 1)))
    changed = (frame != picture).any(axis=2)
    assert changed[60, 70]
    rows, columns = changed.nonzero()
    assert not set(rows) - set(range(30, 95))
    assert not set(columns) - set(range(40, 100))


def test_a_face_at_the_border_of_its_picture(picture):
    for x, y in ((0, 0), (139, 119), (-30, 60)):
        stage = picture_stage(picture, alignment(x, y, 60), cells=64)
        assert np.array_equal(stage.draw(still(stage)), picture)


# -- reference ------------------------------------------------------------------------------------


def seen(track, face=None, place_=None) -> Observation:
    if track is None:
        return Observation(None, None, None, 0)
    return Observation(None, face, track, 0, place_ or alignment(), np.zeros((64, 64, 3), np.uint8))


class Posed:
    """A face of which only the pose is asked."""

    def __init__(self, yaw: float) -> None:
        self.pose = type("Pose", (), {"yaw": yaw})()


def motion(track, strength=0.0, yaw=0.0) -> Performance:
    if track is None:
        return Performance(seen(None))
    return Performance(seen(track, Posed(yaw)), np.full((2, 4, 4), strength, np.float32))


def test_the_reference_is_the_most_neutral_quarter():
    strengths = [0.5, 0.4, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9]
    motions = [motion(0, s, yaw=100 * s) for s in strengths]
    result = list(with_reference(motions, 8))
    assert [m.backflow[0, 0, 0] for m in result] == pytest.approx(strengths)
    assert {id(m.reference) for m in result} == {id(result[0].reference)}
    assert result[0].reference.backflow == pytest.approx(np.full((2, 4, 4), 0.15))
    assert result[0].reference.yaw == pytest.approx(15)


@pytest.mark.parametrize(("yaw", "trust"), [(0, 1), (3, 1), (-9, 0.5), (30, 0)])
def test_a_turned_head_is_no_reference(yaw, trust):
    (referred,) = with_reference([motion(0, yaw=yaw)], settle=1)
    assert referred.reference.trust == pytest.approx(trust)


@pytest.mark.parametrize(("roll", "kept"), [(0.05, 0.05), (-0.6, 0.0)])
def test_a_tilted_head_is_upright_at_rest(roll, kept):
    tilted = replace(motion(0), seen=seen(0, Posed(0), alignment(roll=roll)))
    (referred,) = with_reference([tilted], settle=1)
    assert referred.reference.place.roll == pytest.approx(kept, abs=1e-3)


def test_each_track_has_its_own_reference_and_nothing_gets_lost():
    tracks = [None, 0, 0, None, 0, 1, 1, None, 2]
    result = list(with_reference([motion(t, 0.1 * (t or 0)) for t in tracks], 4))
    assert [m.track for m in result] == tracks
    for m in result:
        if m.track is not None:
            assert m.reference.backflow == pytest.approx(m.backflow)
    assert result[0].reference is None


def test_only_the_first_motions_of_a_track_are_held_back():
    taken = []

    def source():
        for i in range(40):
            taken.append(i)
            yield motion(0, 0.1)

    result = with_reference(source(), 10)
    next(result)
    assert len(taken) == 10
    for _ in range(20):
        next(result)
    assert len(taken) == 21


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_batches_are_a_partition(items, count):
    parts = list(batches(items, count))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == count for part in parts[:-1])


# -- source ---------------------------------------------------------------------------------------


class Script:
    """A backend that finds what is written down for each frame: places (x, y, size) of faces."""

    name = "script"

    def __init__(self, frames: Sequence[Sequence[tuple[float, float, float]]]) -> None:
        points = np.random.default_rng(0).uniform(-1, 1, (468, 3)).astype(np.float32)
        self._shape = points * (0.5, 0.5, 0)
        self.frames = frames

    def detect(self, images, *, min_face=24):
        return [[self._face(*spot) for spot in self.frames[int(im[0, 0, 0])]] for im in images]

    def _face(self, x: float, y: float, size: float) -> Face:
        half = size / 2
        box = np.array([x - half, y - half, x + half, y + half], np.float32)
        return Face(box, 0.9, (self._shape * size + (x, y, 0)).astype(np.float32), 1.0)


def followed(script, choice="largest", cuts=()):
    """x of the followed face in each frame, None where there is none."""
    images = []
    for index in range(len(script)):
        image = np.full((64, 64, 3), 60 if sum(index >= c for c in cuts) % 2 else 200, np.uint8)
        image[0, 0, 0] = index
        images.append(image)
    found = list(follow(iter(images), Script(script), choice))
    assert [f.image[0, 0, 0] for f in found] == list(range(len(script)))
    return [
        None if f.face is None else round(float(f.face.box[[0, 2]].mean())) for f in found
    ], found


LEFT, RIGHT = (100.0, 100.0, 60.0), (300.0, 100.0, 80.0)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("largest", 300), ("left", 100), ("right", 300), ("1", 300), ("2", 100)],
)
def test_which_face_is_followed(choice, expected):
    places, found = followed([[RIGHT, LEFT]] * 5, choice)
    assert places == [expected] * 5
    assert all(f.others == 1 for f in found)


def test_the_third_of_two_faces_is_none():
    assert followed([[RIGHT, LEFT]] * 4, "3")[0] == [None] * 4


def test_the_followed_face_stays_the_same_when_another_grows():
    huge = (300.0, 100.0, 84.0)
    script = [[(100.0, 100.0, 82.0), (300.0, 100.0, 80.0)]] + [[(100.0, 100.0, 82.0), huge]] * 5
    assert followed(script)[0] == [100] * 6


def test_a_hidden_face_is_waited_for_and_then_replaced():
    script = [[RIGHT, LEFT]] * 3 + [[LEFT]] * 3 + [[RIGHT, LEFT]] * 2
    assert followed(script)[0] == [300] * 3 + [None] * 3 + [300] * 2
    places, found = followed([[RIGHT, LEFT]] * 3 + [[LEFT]] * 12)
    assert places[3] is None
    assert places[-1] == 100
    assert found[0].track != found[-1].track


def test_a_cut_chooses_anew():
    script = [[RIGHT, LEFT]] * 4 + [[(90.0, 80.0, 90.0), (320.0, 100.0, 50.0)]] * 4
    places, found = followed(script, cuts=(4,))
    assert places == [300] * 4 + [90] * 4
    assert found[3].track != found[4].track


@pytest.mark.parametrize("choice", ["largest", "left", "right", "1", "12"])
def test_choices(choice):
    assert check_choice(choice) == choice


@pytest.mark.parametrize("choice", ["", "0", "-1", "middle", "1.5", "01"])
def test_wrong_choices(choice):
    with pytest.raises(ValueError, match="none of largest"):
        check_choice(choice)


# -- report ---------------------------------------------------------------------------------------

numbers = st.floats(-100, 100).map(lambda v: round(v, 3))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=50))
def test_agreement_is_numpys(pairs):
    agreement = Agreement()
    for wanted, got in pairs:
        agreement.add(wanted, got)
    wanted, got = np.array(pairs).T
    assert agreement.difference == pytest.approx(np.abs(wanted - got).mean())
    if min(wanted.std(), got.std()) > 1e-3:
        assert agreement.correlation == pytest.approx(np.corrcoef(wanted, got)[0, 1], abs=1e-6)


def test_agreement_of_nothing():
    agreement = Agreement()
    assert agreement.difference is None
    assert agreement.correlation is None
    for _ in range(5):
        agreement.add(1.0, 2.0)
    assert agreement.correlation is None
    assert agreement.difference == 1.0
