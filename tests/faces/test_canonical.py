"""What a turn of the head does to landmarks, undone."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.faces import TEMPLATE, HeadPose, load_backend
from facecycle_cli.faces.canonical import frontal_shape, visibility
from facecycle_cli.faces.pose import head_pose
from facecycle_cli.faces.topology import MESH_468, MESH_468_MIRRORED
from facecycle_cli.media import read_image


@pytest.fixture(scope="module")
def landmarks(examples):
    picture = read_image(examples / "faces" / "person3_neutral.jpg")
    return load_backend().detect([picture])[0][0].landmarks.astype(np.float64)


@pytest.mark.parametrize("pose", [(0, 0, 0), (30, 0, 0), (-40, 15, 20), (10, -25, -60)])
def test_rotation_is_the_pose(pose):
    wanted = HeadPose(*map(float, pose))
    rotation = wanted.rotation
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.allclose(wanted.backwards, rotation[:, 2])


def test_a_turn_changes_nothing(landmarks):
    upright = (landmarks - landmarks.mean(0)) @ head_pose(landmarks, MESH_468).rotation
    front = frontal_shape(landmarks, MESH_468)
    turned = HeadPose(25.0, -10.0, 30.0).rotation
    again = frontal_shape(3 * upright @ turned.T + [100, 50, 7], MESH_468)
    assert np.allclose(again, front, atol=1e-6)
    assert np.abs(MESH_468.five_points(front) - TEMPLATE).max() < 0.06


def test_the_mirror_table_belongs_to_the_mesh(landmarks):
    order = np.array(MESH_468_MIRRORED)
    assert np.array_equal(order[order], np.arange(MESH_468.count))
    assert order[MESH_468.mouth[0]] == MESH_468.mouth[1]
    assert all(order[left] == right for left, right in MESH_468.pairs)
    front = frontal_shape(landmarks, MESH_468)
    mirrored = front[order] * [-1, 1] + [1, 0]
    assert np.abs(mirrored - front).mean() < 0.01  # faces are nearly symmetric


def test_the_far_cheek_is_occluded(landmarks):
    straight = visibility(landmarks, MESH_468)
    assert straight[MESH_468.nose_tip] == 1
    upright = (landmarks - landmarks.mean(0)) @ head_pose(landmarks, MESH_468).rotation
    turned = visibility(upright @ HeadPose(50.0, 0.0, 0.0).rotation.T, MESH_468)
    # Turned towards the image's right, the cheek on the right is behind the face.
    right, left = 454, 234
    assert turned[right] < 0.2 < turned[left]
