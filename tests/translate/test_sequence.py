"""A video as a sequence: read ahead, smoothed, relative to its reference, and measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.faces import Face
from facecycle_cli.translate.ahead import ahead
from facecycle_cli.translate.motion import Performance, batches, with_reference
from facecycle_cli.translate.report import Agreement
from facecycle_cli.translate.smoothing import smoothed
from facecycle_cli.translate.source import Observation, check_choice, follow

from .placed import alignment

# -- ahead -----------------------------------------------------------------------------------------


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


# -- smoothing -------------------------------------------------------------------------------------


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


# -- reference -------------------------------------------------------------------------------------


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


# -- source ----------------------------------------------------------------------------------------


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


# -- report ----------------------------------------------------------------------------------------

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
