"""Motions and what they are relative to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.faces.smoothing import smoothed
from facecycle_cli.portrait.head import Head
from facecycle_cli.translate.measurement import Measurement
from facecycle_cli.translate.motion import MotionTiming, motions, with_references
from facecycle_cli.translate.placement import HeadPlacement
from tests.translate.placed import alignment, plain_look, posed


def measured(track, strength=0.0, yaw=0.0, mouth=0.0, eyes=0.3, roll=0.0, lids=-0.2):
    """What was measured of a frame; None without a track."""
    if track is None:
        return None
    placement = HeadPlacement.of(alignment(roll=roll))
    backflow = np.full((2, 4, 4), strength, np.float32)
    face = posed(yaw)
    head = Head.of(face)
    look = plain_look()
    return Measurement(face, track, placement, backflow, mouth, eyes, lids, head, head, look)


def test_the_reference_is_the_most_neutral_quarter():
    strengths = [0.5, 0.4, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9]
    motions = [measured(0, s, yaw=100 * s) for s in strengths]
    result = list(with_references(motions, 8))
    assert [m.backflow[0, 0, 0] for m in result] == pytest.approx(strengths)
    assert {id(m.reference) for m in result} == {id(result[0].reference)}
    assert result[0].reference.backflow == pytest.approx(np.full((2, 4, 4), 0.15))
    assert result[0].reference.yaw == pytest.approx(15)


def test_the_head_at_rest_is_that_of_the_frames_that_are_trusted():
    """The mouth closes while the head is turned."""
    frames = [measured(0, s, yaw=y, mouth=m) for s, y, m in ((0.1, 2, 0.3), (0.11, 37, 0.0))]
    reference = next(with_references(frames + 4 * [measured(0, 0.9, mouth=0.5)], 6)).reference
    assert reference.trust == 1
    assert reference.head.angles[0] == pytest.approx(reference.yaw)


@pytest.mark.parametrize(("yaw", "trust"), [(0, 1), (3, 1), (-9, 0.5), (30, 0)])
def test_a_turned_head_is_no_reference(yaw, trust):
    (motion,) = with_references([measured(0, yaw=yaw)], 1)
    assert motion.reference.trust == pytest.approx(trust)


@pytest.mark.parametrize(("roll", "kept"), [(0.05, 0.05), (-0.6, 0.0)])
def test_a_tilted_head_is_upright_at_rest(roll, kept):
    (motion,) = with_references([measured(0, roll=roll)], 1)
    assert motion.reference.placement.roll == pytest.approx(kept, abs=1e-3)


def test_each_track_has_its_own_reference_and_nothing_gets_lost():
    tracks = [None, 0, 0, None, 0, 1, 1, None, 2]
    result = list(with_references([measured(t, 0.1 * (t or 0)) for t in tracks], 4))
    assert [None if motion is None else motion.track for motion in result] == tracks
    for motion in result:
        if motion is not None:
            assert motion.reference.backflow == pytest.approx(motion.backflow)


def test_only_the_first_motions_of_a_track_are_held_back():
    taken = []

    def source():
        for i in range(40):
            taken.append(i)
            yield measured(0, 0.1)

    result = with_references(source(), 10)
    next(result)
    assert len(taken) == 10
    for _ in range(20):
        next(result)
    assert len(taken) == 21


@pytest.mark.parametrize(("mouths", "closed"), [((0.0, 0.2, 0.3, 0.4), 0.0), ((0.2,) * 4, 0.05)])
def test_the_mouth_at_rest_is_the_most_closed_one(mouths, closed):
    first, *_ = with_references([measured(0, mouth=mouth) for mouth in mouths], 4)
    assert first.reference.mouth == pytest.approx(closed)


def test_a_blink_is_measured_against_the_eyes_of_the_track():
    openings = [0.3, 0.3, 0.3, 0.05, 0.3]
    closed = [m.eyes_closed for m in with_references([measured(0, eyes=e) for e in openings], 5)]
    assert closed == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_eyes_shut_where_landmarks_almost_meet():
    """A blink of real landmarks: the head is turned, and always has been."""
    eyes = [0.255, 0.264, 0.254, 0.088, 0.227]
    lids = [-0.127, -0.13, -0.127, -0.008, -0.11]
    blink = [measured(0, yaw=17.0, eyes=e, lids=low) for e, low in zip(eyes, lids, strict=True)]
    assert [m.lids_beyond_landmarks for m in with_references(blink, 5)] == [0, 0, 0, 1, 0]


def test_a_head_that_rises_far_does_not_shut_its_eyes():
    def risen(by: float) -> float:
        blink = measured(0, eyes=0.088, lids=-0.008)
        angles = blink.head.angles + np.array([0.0, by, 0.0])
        frames = [measured(0, eyes=0.255, lids=-0.127) for _ in range(4)]
        frames.append(replace(blink, head=replace(blink.head, angles=angles)))
        return [m.lids_beyond_landmarks for m in with_references(frames, 4)][-1]

    assert [risen(0.0), risen(7.0), risen(-7.0)] == [1, 1, 1]
    assert 0.0 < risen(10.0) < 1.0
    assert risen(15.0) == 0.0


def test_a_blink_of_three_frames_is_not_smoothed_away():
    eyes = [0.244] * 4 + [0.205, 0.186, 0.205] + [0.244] * 4
    frames = [measured(0, eyes=e, lids=0.07 - e) for e in eyes]
    after = [m.eyes for m in smoothed(frames, [0.9] * len(frames[0].signals()))]
    assert after[5] < 0.2
    assert after[0] == pytest.approx(0.244)


def test_the_slow_head_trembles_less_and_arrives_at_the_same_time():
    places = [0.0, 0.02] * 10 + [1.0, 1.02] * 10
    frames = []
    for place in places:
        one = measured(0)
        head = replace(one.head, center=one.head.center + place * one.head.size)
        frames.append(replace(one, head=head, slow=head))
    timing = MotionTiming(3.5, 1.0, 0.9, 4.9, 10)
    after = list(motions(frames, timing))
    start, size = frames[0].head.center[0], frames[0].head.size
    fast, slow = (
        np.array([(h.center[0] - start) / size for h in heads])
        for heads in ([m.head for m in after], [m.slow for m in after])
    )
    assert np.abs(np.diff(slow[5:15])).max() < 0.5 * np.abs(np.diff(fast[5:15])).max()
    assert slow[19] < 0.1
    assert slow[20] > 0.9


def test_values_are_smoothed_and_the_face_stays_as_it_was_found():
    before = measured(0, 0.5, mouth=0.1, eyes=0.2, lids=-0.1)
    after = before.with_signals([signal.value * 2 for signal in before.signals()])
    assert (after.mouth, after.eyes, after.lids) == (0.2, 0.4, -0.2)
    assert after.backflow[0, 0, 0] == 1.0
    assert (after.face, after.track, after.placement) == (
        before.face,
        before.track,
        before.placement,
    )
