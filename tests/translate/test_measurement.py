"""What is measured of each frame of a source."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.translate import measurement
from facecycle_cli.translate.measurement import measure
from facecycle_cli.translate.motion import MotionTiming
from facecycle_cli.translate.source import SourceFace
from tests.translate.placed import alignment, plain_look, posed


@pytest.fixture
def seen_by_networks(monkeypatch) -> list[float]:
    """The gray levels of the crops that the networks see; each is also the flow of its crop."""
    levels: list[float] = []

    def encode(model, crops):
        levels.extend(float(crop.mean()) for crop in crops)
        return np.stack([np.full((2, 4, 4), crop.mean(), np.float32) for crop in crops])

    monkeypatch.setattr(measurement, "_encode_backflow", encode)
    return levels


def _seen(level: int | None, track: int = 0) -> SourceFace | None:
    if level is None:
        return None
    crop = np.full((4, 4, 3), level, np.uint8)
    return SourceFace(posed(0.0), track, alignment(), crop, plain_look())


def _flows(batch, step):
    return [None if m is None else float(m.backflow[0, 0, 0]) for m in measure(None, [batch], step)]


@pytest.mark.parametrize(("step", "count"), [(1, 8), (2, 4), (4, 2)])
def test_flows_of_frames_between_lie_between(seen_by_networks, step, count):
    levels = list(range(0, 80, 10))
    assert _flows([_seen(level) for level in levels], step) == pytest.approx(levels)
    assert len(seen_by_networks) == count
    assert {0.0, 70.0} <= set(seen_by_networks)


def test_no_flow_is_taken_from_another_face_or_over_a_gap(seen_by_networks):
    batch = [_seen(0), _seen(10), None, _seen(200), _seen(90, 1), _seen(90, 1), _seen(90, 1)]
    assert _flows(batch, 4) == pytest.approx([0, 10, None, 200, 90, 90, 90])
    assert _flows([None, None], 2) == [None, None]


@pytest.mark.parametrize(("width", "step"), [(0.0, 1), (2.0, 1), (3.5, 2), (9.0, 4), (50.0, 4)])
def test_the_less_flows_are_smoothed_the_more_of_them_are_measured(width, step):
    timing = MotionTiming(width, pose_width=1.0, lips_width=1.0, slow_width=1.0, reference_frames=9)
    assert timing.flow_step == step
