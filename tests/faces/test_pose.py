"""Head pose: exact on synthetic heads, right in sign and size on real ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.faces import HeadPose
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import IBUG_68, MESH_468, Topology

topologies = st.sampled_from([MESH_468, IBUG_68])
yaws, pitches, rolls = st.floats(-80, 80), st.floats(-60, 60), st.floats(-179, 179)


def head(topology: Topology, seed: int = 0) -> np.ndarray:
    """A head that looks straight ahead: random but for its symmetry and its profile."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 30, (topology.count, 3))
    for left, right in topology.pairs:
        x, y, z = 10 + 40 * rng.random(), *rng.normal(0, 30, 2)
        points[left], points[right] = (-x, y, z), (x, y, z)
    slope = math.radians(topology.rest_pitch)
    points[list(topology.upper)] = (0, -50, 3)
    points[list(topology.lower)] = (0, -50 + 80 * math.cos(slope), 3 - 80 * math.sin(slope))
    return points


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rz(roll) Ry(yaw) Rx(pitch), written down independently of the code under test.

    x right, y down, z away: a head turned to the image's right moves its image-right side away, a
    head that looks up moves its chin nearer, a head tilted clockwise moves its image-right
    side down.
    """
    y, p, r = (math.radians(v) for v in (yaw, pitch, roll))
    rx = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    ry = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    rz = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return rz @ ry @ rx


def close(pose: HeadPose, yaw: float, pitch: float, roll: float, tolerance: float = 1e-6) -> bool:
    difference = np.array([pose.yaw - yaw, pose.pitch - pitch, pose.roll - roll])
    return bool((np.abs((difference + 180) % 360 - 180) < tolerance).all())


@given(topology=topologies, yaw=yaws, pitch=pitches, roll=rolls, seed=st.integers(0, 99))
def test_recovers_the_rotation(topology, yaw, pitch, roll, seed):
    points = head(topology, seed) @ rotation(yaw, pitch, roll).T
    assert close(head_pose(points, topology), yaw, pitch, roll)


@given(topology=topologies, yaw=yaws, pitch=pitches, roll=rolls, scale=st.floats(0.01, 100))
def test_ignores_size_and_place(topology, yaw, pitch, roll, scale):
    points = head(topology) @ rotation(yaw, pitch, roll).T * scale + (300, 200, 0)
    assert close(head_pose(points, topology), yaw, pitch, roll, 1e-3)


@given(topology=topologies, yaw=yaws, pitch=pitches, roll=rolls, turn=st.floats(-180, 180))
def test_turning_the_picture_changes_roll_only(topology, yaw, pitch, roll, turn):
    points = head(topology) @ rotation(yaw, pitch, roll).T
    turned = points @ rotation(0, 0, turn).T
    assert close(head_pose(turned, topology), yaw, pitch, roll + turn)


def test_example_portraits_look_ahead(faces):
    poses = [face.pose for face in faces]
    assert max(abs(p.yaw) for p in poses) < 12
    assert max(abs(p.roll) for p in poses) < 8
    assert abs(np.median([p.pitch for p in poses])) < 6


def test_head_turn_goes_from_left_to_right(turning_faces):
    yaws = [face.pose.yaw for face in turning_faces]
    assert min(yaws) < -30
    assert max(yaws) > 20
    # She begins looking to the image's left; no two frames of the loop are a jump apart.
    assert yaws[0] < -30


def test_mirrored_pictures_flip_yaw_and_roll(backend, portraits, turning):
    pictures = [*portraits[::3], *turning[::2]]
    mirrored = [np.ascontiguousarray(p[:, ::-1]) for p in pictures]
    for (a, *_), (b, *_) in zip(backend.detect(pictures), backend.detect(mirrored), strict=True):
        assert a.pose.yaw == pytest.approx(-b.pose.yaw, abs=6)
        assert a.pose.pitch == pytest.approx(b.pose.pitch, abs=6)
        assert a.pose.roll == pytest.approx(-b.pose.roll, abs=3)


def test_turned_picture_changes_roll(backend, portraits, faces):
    """A quarter turn clockwise of the whole photograph is a roll of +90 degrees."""
    turned = np.ascontiguousarray(np.rot90(portraits[0], -1))
    pose = backend.detect([turned])[0][0].pose
    assert pose.roll - faces[0].pose.roll == pytest.approx(90, abs=3)
    assert pose.yaw == pytest.approx(faces[0].pose.yaw, abs=5)
    assert pose.pitch == pytest.approx(faces[0].pose.pitch, abs=5)
