"""Landmarks that stay where they are, also from frame to frame."""

from __future__ import annotations

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import FaceError
from facecycle_cli.faces import load_backend
from facecycle_cli.faces.mesh import FaceMesh, Region
from facecycle_cli.faces.mesh_backend import MeshBackend


def eye_distance(face):
    return float(np.linalg.norm(face.five_points[1] - face.five_points[0]))


def overlap(a, b):
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def test_a_face_is_what_it_says(faces):
    for face in faces:
        assert face.landmarks.shape == (468, 3)
        assert face.landmarks.dtype == face.box.dtype == face.five_points.dtype == np.float32
        assert face.oval.shape == (36, 2)
        assert 0.9 < face.presence <= 1
        assert 0.6 < face.score <= 1
        left, right, nose, left_mouth, right_mouth = face.five_points
        assert left[0] < nose[0] < right[0]
        assert left_mouth[0] < nose[0] < right_mouth[0]
        assert max(left[1], right[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert face.landmarks[face.topology.nose_tip, 2] < face.landmarks[:, 2].mean()
        width, height = face.box[2:] - face.box[:2]
        assert face.area == pytest.approx(width * height)


def test_smiles_are_wide(faces):
    """The example portraits come as neutral, smiling, neutral, smiling ..."""
    neutral, smiling = faces[::2], faces[1::2]
    wider = [s.mouth_width / n.mouth_width for n, s in zip(neutral, smiling, strict=True)]
    assert min(wider) > 1
    assert np.median(wider) > 1.1
    assert all(face.mouth_opening < 0.06 for face in neutral)
    assert max(face.mouth_opening for face in smiling) > 0.15


def test_mouth_is_measured_in_space(turning_faces):
    """While she turns by 70 degrees, her mouth narrows in the image but not in this measure."""

    flat = np.array([np.linalg.norm(f.five_points[4] - f.five_points[3]) for f in turning_faces])
    flat /= [np.ptp(f.landmarks[:, 1]) for f in turning_faces]
    spatial = np.array([f.mouth_width for f in turning_faces])
    assert spatial.std() / spatial.mean() < 0.6 * flat.std() / flat.mean()


@pytest.mark.parametrize("shift", [(3, 2), (-7, 5), (11, -4)])
def test_eyes_stay_when_the_frame_moves(backend, portraits, faces, shift):
    dx, dy = shift
    moved = [np.roll(p, (dy, dx), axis=(0, 1)) for p in portraits[::3]]
    errors = []
    for face, (again, *_) in zip(faces[::3], backend.detect(moved), strict=True):
        error = again.five_points[:2] - face.five_points[:2] - shift
        errors.append(np.linalg.norm(error, axis=1).mean() / eye_distance(face))
    assert np.mean(errors) < 0.015


def test_landmarks_scale_with_the_picture_depth_too(backend, portraits, faces):
    image = Image.fromarray(portraits[4])
    double = np.asarray(image.resize((2 * image.width, 2 * image.height), Image.BICUBIC))
    face = backend.detect([double])[0][0]
    before = faces[4].landmarks - faces[4].landmarks.mean(0)
    after = face.landmarks - face.landmarks.mean(0)
    for axis in range(3):
        assert after[:, axis].std() / before[:, axis].std() == pytest.approx(2, rel=0.03)


def test_region_around_landmarks_is_level_and_holds_them(faces):
    for face in faces:
        region = Region.from_landmarks(face.landmarks)
        matrix = region.matrix
        seen = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        assert seen.min() > 0
        assert seen.max() < 191
        eyes = face.five_points[:2] @ matrix[:, :2].T + matrix[:, 2]
        assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-2)
        assert eyes[0, 0] < eyes[1, 0]


def test_box_around_landmarks_is_much_like_the_detectors(faces):
    for face in faces:
        assert overlap(Region.from_landmarks(face.landmarks).box, face.box) > 0.75


@pytest.mark.parametrize("degrees", [-45, -20, 20, 45])
def test_tilted_heads_are_aligned(backend, portraits, faces, degrees):
    """What turns the photograph turns the points of the face, and nothing else."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    tilted = [
        np.asarray(Image.fromarray(p).rotate(-degrees, Image.BICUBIC, fillcolor=(180, 180, 180)))
        for p in portraits[::3]
    ]
    for image, face, found in zip(tilted, faces[::3], backend.detect(tilted), strict=True):
        assert len(found) == 1
        middle = (np.array(image.shape[1::-1]) - 1) / 2
        expected = (face.five_points - middle) @ turn.T + middle
        error = np.linalg.norm(found[0].five_points - expected, axis=1).mean()
        assert error < 0.04 * eye_distance(face)
        assert found[0].pose.roll == pytest.approx(face.pose.roll + degrees, abs=3)


def test_no_face_no_presence():
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    _, presence = FaceMesh(threads=1).locate([noise], [Region((96, 96), 150, 0.0)])
    assert presence[0] < 0.1


def test_follow_a_turning_head(backend, turning, turning_faces):
    """Frame to frame without detection ends where detection would."""
    face = turning_faces[0]
    for frame, detected in zip(turning[1:], turning_faces[1:], strict=True):
        (face,) = backend.follow([frame], [face])
        assert face is not None
        gap = np.linalg.norm(face.five_points - detected.five_points, axis=1).mean()
        assert gap < 0.08 * eye_distance(detected)
        assert overlap(face.box, detected.box) > 0.6
        assert face.score == turning_faces[0].score


def test_follow_a_face_that_leaves(backend, turning, turning_faces):
    empty = np.full_like(turning[0], 128)
    assert backend.follow([empty, turning[0], empty], [turning_faces[0], None, None]) == [None] * 3


def test_detect_and_follow_nothing(backend):
    assert backend.detect([]) == []
    assert backend.follow([], []) == []
    assert backend.detect([np.zeros((1, 1, 3), np.uint8)]) == [[]]


def test_threads_share_a_backend(portraits, faces):
    backend = MeshBackend(threads=1)  # fresh, so that the threads race to open the networks
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda p: backend.detect([p])[0][0], portraits[:4]))
    for result, expected in zip(results, faces, strict=False):
        assert np.allclose(result.landmarks, expected.landmarks, atol=0.05)


def test_backends_travel_to_worker_processes(backend, portraits, faces):
    again = pickle.loads(pickle.dumps(backend))
    assert np.allclose(again.detect([portraits[0]])[0][0].landmarks, faces[0].landmarks, atol=0.01)


def test_load_backend_by_name():
    assert isinstance(load_backend(), MeshBackend)
    assert load_backend("mesh", threads=2).name == "mesh"
    with pytest.raises(FaceError, match="no face backend named 'dlib'"):
        load_backend("dlib")
    with pytest.raises(ValueError, match="threads"):
        load_backend("mesh", threads=0)


def test_prepared_networks_are_open_before_the_first_face():
    backend = MeshBackend(threads=1)
    backend.prepare()
    assert backend._detector.network._session is not None
    assert backend._mesh.network._session is not None


@pytest.mark.parametrize("refine", [True, False])
def test_landmarks_that_are_no_numbers_are_no_face(portraits, faces, refine):
    broken = MeshBackend(threads=1)
    locate = broken._mesh.locate

    def without_numbers(images, regions, **settings):
        landmarks, presence = locate(images, regions, **settings)
        return np.full_like(landmarks, np.nan), presence

    broken._mesh.locate = without_numbers
    assert broken.detect(portraits[:2], refine=refine) == [[], []]
    assert broken.follow(portraits[:1], faces[:1]) == [None]
