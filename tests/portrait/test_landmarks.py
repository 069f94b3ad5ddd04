"""Landmarks correct the networks' flow where they know more, and only there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces import Alignment, HeadPose
from facecycle_cli.faces.topology import IBUG_68, MESH_468
from facecycle_cli.media import read_image
from facecycle_cli.portrait.correction import near_mouth, sampled
from facecycle_cli.portrait.folds import stretch
from facecycle_cli.portrait.landmarks import FaceLandmarks, landmarks_of
from facecycle_cli.portrait.motions import FRONTAL, MEAN, NEUTRAL, NEUTRAL_BY_FLOW, choose_motion
from facecycle_cli.portrait.portraits import find_faces, move_crops, move_faces

EDGES = {i for lip in (MESH_468.upper_lip, MESH_468.lower_lip) for i in lip}
EDGES |= {i for lids in (MESH_468.left_lids, MESH_468.right_lids) for lid in lids for i in lid}
TO_CELLS = np.array([[1.0, 0, 1], [0, 1, 1]]) * 63 / 2


@pytest.fixture(scope="module")
def people(examples, backend):
    """Picture and face of a laughing woman, and the same neutral."""

    def found(name):
        image = cv2.resize(read_image(examples / "faces" / name), None, fx=0.6, fy=0.6)
        return image, find_faces(image, backend)[0]

    return {e: found(f"person2_{e}.jpg") for e in ("smiling", "neutral")}


@pytest.fixture(scope="module")
def own(people):
    """The face and its alignment."""
    face = people["smiling"][1]
    return face, Alignment.from_face(face, 128)


def mouth(face) -> np.ndarray:
    """Its width over that of the eyes, and the gap between the lips."""
    points = face.landmarks[:, :2]
    left, right = (points[list(eye)].mean(0) for eye in (MESH_468.left_eye, MESH_468.right_eye))
    pairs = MESH_468.mouth, MESH_468.inner_lips
    lengths = [np.linalg.norm(np.subtract(*points[list(pair)])) for pair in pairs]
    return np.array(lengths) / np.linalg.norm(left - right)


def still() -> np.ndarray:
    return np.zeros((64, 64, 2), np.float32)


def test_a_laugh_becomes_the_own_neutral_mouth(people, model, backend):
    image, face = people["smiling"]
    wide, neutral = mouth(face), mouth(people["neutral"][1])
    left = {}
    for motion in (NEUTRAL, NEUTRAL.by_networks()):
        (made,) = move_faces(image, [face], model, motion)
        width, gap = mouth(find_faces(made.result, backend)[0])
        left[motion.shape] = (width - neutral[0]) / (wide[0] - neutral[0])
        assert gap < 0.05  # of 0.22; the lips meet, and the mesh still reads a little
        assert stretch(made.flow.transpose(1, 2, 0), 2 / (made.flow.shape[-1] - 1)).min() > 0
    assert abs(left["neutral"]) < 0.3 < left[None]


def test_a_kept_laugh_stays(people, model, backend):
    image, face = people["smiling"]
    (made,) = move_faces(image, [face], model, FRONTAL)
    assert mouth(find_faces(made.result, backend)[0]) == pytest.approx(mouth(face), rel=0.1)


@pytest.mark.parametrize("shape", ["neutral", "own"])
def test_landmarks_arrive(own, shape):
    landmarks = FaceLandmarks(*own, shape, mouth=True)
    flow, wanted = landmarks.corrected(still())
    points = 2 * own[1].apply(own[0].landmarks[:, :2]) / 127 - 1
    others = [i for i in range(468) if i not in EDGES]
    missed = np.linalg.norm(wanted + sampled(flow, wanted, TO_CELLS) - points, axis=1)[others]
    way = np.linalg.norm(wanted - points, axis=1)[others]
    assert missed.mean() < 0.2 * way.mean()
    assert np.abs(flow[[0, 0, -1, -1], [0, -1, 0, -1]]).max() < 1e-6  # the background stays


def test_the_mouth_may_be_left_to_the_networks(own):
    landmarks = FaceLandmarks(*own, "neutral", mouth=False)
    flow, wanted = landmarks.corrected(still())
    with_mouth, _ = FaceLandmarks(*own, "neutral", mouth=True).corrected(still())
    lips = wanted[near_mouth(wanted, MESH_468)]
    moves = [np.linalg.norm(sampled(f, lips, TO_CELLS), axis=1).mean() for f in (flow, with_mouth)]
    assert moves[0] < 0.7 * moves[1]
    corrected = landmarks.corrected(still())
    assert len(landmarks.openings(corrected, 128, 32)) == 2  # the eyes


def test_a_face_in_profile_is_left_to_the_networks(own):
    face, alignment = own
    points = face.landmarks - face.landmarks.mean(0)
    turn = HeadPose(40 - face.pose.yaw, 0, 0).rotation
    turned = replace(face, landmarks=(points @ turn.T + face.landmarks.mean(0)).astype(np.float32))
    assert turned.pose.yaw > 30
    flow = np.random.default_rng(0).normal(0, 0.01, (64, 64, 2)).astype(np.float32)
    corrected, _ = FaceLandmarks(turned, alignment, "neutral", mouth=True).corrected(flow)
    assert np.array_equal(corrected, flow)


def test_other_landmarks_correct_nothing(own):
    face, alignment = own
    other = replace(face, landmarks=face.landmarks[:68], topology=IBUG_68)
    assert landmarks_of([other], [alignment], "neutral", mouth=True) == []
    assert len(landmarks_of([face], [alignment], "own", mouth=True)) == 1


@pytest.mark.parametrize("motion", [FRONTAL, NEUTRAL_BY_FLOW])
def test_networks_alone_are_the_crop_moved_without_landmarks(people, model, motion):
    image, face = people["smiling"]
    (made,) = move_faces(image, [face], model, motion.by_networks(), size=96)
    wide = Alignment.from_face(face, 96).widened(24).crop(image)
    (result,), (flow,) = move_crops(model, made.crop[None], motion, wide=wide[None])
    assert np.array_equal(made.result, result)
    assert np.array_equal(made.flow, flow)


def test_what_moves_a_face_is_chosen():
    assert choose_motion("remove") is NEUTRAL
    assert choose_motion("keep", motion_from="networks").shape is None
    assert choose_motion("remove", mouth="flow", motion_from="networks") == replace(
        NEUTRAL_BY_FLOW, shape=None
    )
    assert choose_motion("remove", mean=True, motion_from="networks") == MEAN
