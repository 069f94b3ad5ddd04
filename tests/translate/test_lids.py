"""How far eyelids are closed."""

from __future__ import annotations

import pytest

from facecycle_cli.portrait.head import Head
from facecycle_cli.translate.lids import (
    eyelid_closure,
    eyelid_closure_beyond_landmarks,
    upper_lids,
)


@pytest.mark.parametrize(
    ("opening", "usual", "yaw", "expected"),
    [
        (0.30, 0.30, 0, 0.0),
        (0.35, 0.30, 0, 0.0),
        (0.26, 0.30, 0, 0.0),  # landmarks tremble
        (0.12, 0.30, 0, 1.0),
        (0.00, 0.30, 0, 1.0),
        (0.12, 0.30, 35, 0.0),  # a turned head
        (0.06, 0.06, 0, 1.0),  # eyes that were shut from the beginning
    ],
)
def test_what_counts_as_closed(opening, usual, yaw, expected):
    assert eyelid_closure(opening, usual, yaw) == pytest.approx(expected)
    assert eyelid_closure(opening, usual, -yaw) == eyelid_closure(opening, usual, yaw)


def test_half_a_blink_is_in_between():
    assert 0.3 < eyelid_closure(0.19, 0.30, 5.0) < 0.7
    assert 0.2 < eyelid_closure_beyond_landmarks(0.125, 0.25, 0.08, 5.0) < 0.7


@pytest.mark.parametrize(
    ("opening", "lowered", "expected"),
    [
        (0.09, 0.10, 1.0),  # a blink
        (0.09, 0.03, 0.0),  # a smile: lids come up from below
        (0.25, 0.10, 0.0),  # a nod: both lids seem lower
        (0.24, 0.03, 0.0),  # landmarks tremble
    ],
)
def test_lids_close_further_where_the_eye_is_narrower_from_above(opening, lowered, expected):
    assert eyelid_closure_beyond_landmarks(opening, 0.25, lowered, 0.0) == expected


def test_upper_lids_rise_with_the_eye(face):
    shape, topology = Head.of(face).shape, face.topology
    assert -0.3 < upper_lids(shape, topology) < -0.05
    shut = shape.copy()
    for upper, lower in (topology.left_lids, topology.right_lids):
        shut[list(upper)] = shape[list(lower)]
    assert upper_lids(shut, topology) > upper_lids(shape, topology) + 0.1
