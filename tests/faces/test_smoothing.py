"""Temporal smoothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.faces.smoothing import Signal, smoothed


@dataclass(frozen=True)
class Sample:
    """A frame with two values, of which each may be smoothed on its own."""

    value: np.ndarray
    track: int = 0
    second: float = 0.0
    tolerance: float = 1.0

    def signals(self):
        return Signal(self.value, self.tolerance), Signal(np.array(self.second), 0.5)

    def with_signals(self, values):
        value, second = values
        return replace(self, value=value, second=float(second))


def smooth(samples, width=1.0, second_width=0.0):
    return list(smoothed(samples, [width, second_width]))


def values(samples):
    return np.array([float(s.value[0]) for s in samples])


def row(numbers, tracks=None):
    """Samples; None where the track is None."""
    tracks = tracks or [0] * len(numbers)
    pairs = zip(numbers, tracks, strict=True)
    return [None if track is None else Sample(np.array([n]), track) for n, track in pairs]


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


def test_tracks_do_not_mix():
    together = smooth(row([0.0, 0.1, 0.9, 1.0], [1, 1, 2, 2]))
    alone = smooth(row([0.0, 0.1], [1, 1])) + smooth(row([0.9, 1.0], [2, 2]))
    assert np.allclose(values(together), values(alone))


def test_frames_without_a_face_stay_where_they_are():
    result = smooth(row([0.0, 0.0, 1.0], [0, None, 0]), width=2.0)
    assert [sample is None for sample in result] == [False, True, False]
    assert 0 < result[0].value[0] < result[2].value[0] < 1


@given(st.lists(st.floats(-5, 5), max_size=30), st.floats(0, 4), st.floats(0, 4))
def test_each_value_has_its_own_width(numbers, width, second_width):
    """Smoothed together they are what they are when each is smoothed alone."""
    samples = [Sample(np.array([n]), second=-n) for n in numbers]
    together = smooth(samples, width, second_width)
    first, second = smooth(samples, width, 0.0), smooth(samples, 0.0, second_width)
    assert [s.value[0] for s in together] == [s.value[0] for s in first]
    assert [s.second for s in together] == [s.second for s in second]


def test_no_more_frames_are_held_than_the_widest_kernel_needs():
    taken = []

    def source():
        for i in range(50):
            taken.append(i)
            yield Sample(np.array([0.0]))

    next(smoothed(source(), [3.0, 1.0]))
    assert len(taken) == 7
