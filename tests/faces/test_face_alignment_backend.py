"""The second backend, as far as it goes without its networks.

Its weights cannot be part of a test, so nothing here says how good its landmarks are. Tested is
what is ours: what the package is given, what becomes of its answer, and every way in which it may
be missing. A stand-in plays the package; the code of the real one runs with stand-in networks.
"""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import face_alignment
import numpy as np
import pytest
import torch

from facecycle_cli.errors import FaceError, MissingExtraError
from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.faces.detector import Detection
from facecycle_cli.faces.face_alignment_backend import FaceAlignmentBackend
from facecycle_cli.faces.topology import IBUG_68
from facecycle_cli.faces.tracking import FaceTracker

URLS = {
    "3DFAN-4": "https://example.org/python-fan/3DFAN4-0123456789.pth.tar",
    "depth": "https://example.org/python-fan/depth-0123456789.pth.tar",
}


class Landmarker:
    """In place of `face_alignment.FaceAlignment`: the same face in whatever box it is given."""

    made = 0

    def __init__(self, landmarks_type, device, face_detector, compile):  # noqa: A002
        assert landmarks_type == "3D"
        assert face_detector == "folder"
        assert not compile
        type(self).made += 1
        self.calls = []

    def get_landmarks_from_image(self, image, detected_faces, return_landmark_score):
        assert return_landmark_score
        self.calls.append((image, detected_faces))
        ((x0, y0, x1, y1, _score),) = detected_faces
        center = np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0])
        return [center + FACE * ((x1 - x0) / 2, (y1 - y0) / 2, x1 - x0)], [np.full(68, 1.6)], None


def upright_face():
    """68 points of a schematic face, in half widths of its box; depth grows towards the camera."""
    points = np.zeros((68, 3))
    turn = np.linspace(math.pi, 0, 17)
    points[:17] = np.stack([np.cos(turn) * 0.8, np.sin(turn) * 0.9, 0 * turn - 0.4], -1)
    points[17:27] = np.stack([np.linspace(-0.7, 0.7, 10), np.full(10, -0.5), np.zeros(10)], -1)
    points[27:31] = np.stack([np.zeros(4), np.linspace(-0.3, 0.1, 4), np.full(4, 0.2)], -1)
    points[31:36] = np.stack([np.linspace(-0.2, 0.2, 5), np.full(5, 0.2), np.full(5, 0.2)], -1)
    points[36:42] = (-0.4, -0.3, 0)
    points[42:48] = (0.4, -0.3, 0)
    points[48:68] = (0, 0.5, 0.1)
    points[48], points[54] = (-0.3, 0.5, 0), (0.3, 0.5, 0)
    points[27, 2] = points[33, 2] = 0.2
    return points


FACE = upright_face()


@pytest.fixture
def package(monkeypatch):
    """The stand-in for the package, importable."""
    module = ModuleType("face_alignment")
    module.FaceAlignment = type("FaceAlignment", (Landmarker,), {"made": 0})
    module.LandmarksType = SimpleNamespace(THREE_D="3D")
    module.api = SimpleNamespace(models_urls=URLS)
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    return module


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of torch.hub."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def failing(error):
    class FaceAlignment:
        def __init__(self, *_args, **_options):
            raise error

    return FaceAlignment


def test_package_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'facecycle\[face-alignment\]'"
    ) as caught:
        load_backend("face-alignment")
    assert "\n" not in str(caught.value)


def test_networks_are_opened_at_the_first_face_and_once(package, portraits):
    backend = load_backend("face-alignment", threads=1)
    assert backend.detect([np.zeros((40, 40, 3), np.uint8)]) == [[]]
    assert package.FaceAlignment.made == 0
    backend.detect(portraits[:2])
    backend.detect(portraits[:1])
    assert package.FaceAlignment.made == 1


def test_finds_the_faces_the_mesh_finds(package, portraits, faces):
    found = load_backend("face-alignment", threads=1).detect(portraits[:4])
    for (face,), mesh in zip(found, faces, strict=False):
        assert face.topology is IBUG_68
        assert face.landmarks.shape == (68, 3)
        assert face.oval.shape == (27, 2)
        assert np.allclose(face.box, mesh.box, atol=1)
        assert face.presence == pytest.approx(0.8)
        left, right, nose, *mouth = face.five_points
        assert left[0] < nose[0] < right[0]
        assert all(corner[1] > nose[1] for corner in mouth)
        # In front of the face: nearer to the camera is negative.
        assert face.landmarks[30, 2] < face.landmarks[0, 2]
        assert abs(face.pose.yaw) < 1
        assert Alignment.from_face(face, 64).crop(portraits[0]).shape == (64, 64, 3)


def test_the_package_sees_each_face_upright_and_at_one_size(package):
    """A tilted face is turned level for the package, and its answer is turned back."""
    backend = FaceAlignmentBackend(threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    tilt = math.radians(30)
    eyes = np.array([[-20, 0], [20, 0]]) @ [
        [math.cos(tilt), math.sin(tilt)],
        [-math.sin(tilt), math.cos(tilt)],
    ]
    points = np.concatenate([eyes, np.zeros((3, 2))]) + 250
    detection = Detection(np.array([200, 200, 300, 300], np.float32), 0.9, points)
    face = backend._measure(picture, detection.box, detection.points[:2], detection.score)
    seen, boxes = backend._opened().calls[0]
    assert seen.shape == (640, 640, 3)
    x0, y0, x1, y1, _ = boxes[0]
    assert (x0 + x1) / 2 == (y0 + y1) / 2 == pytest.approx(319.5)
    assert face.pose.roll == pytest.approx(30, abs=1e-3)
    assert face.pose.yaw == pytest.approx(0, abs=1e-3)
    # The stand-in's eyes are 0.4 half widths of *its* box from the middle: 195/165 of the face's.
    left, right = face.five_points[:2]
    assert np.linalg.norm(right - left) == pytest.approx(0.8 * 50 * 195 / 165, rel=1e-3)
    depth = face.landmarks[30, 2] - face.landmarks[0, 2]
    assert depth == pytest.approx(-(0.2 + 0.4) * 100 * 195 / 165, rel=1e-3)


def test_follows_a_face_without_detecting_it(package, portraits, monkeypatch):
    """The stand-in finds its face in the middle of what it is shown: where the face was."""
    backend = FaceAlignmentBackend(threads=1)
    ((face,),) = backend.detect(portraits[:1])
    monkeypatch.setattr(backend._detector, "detect", None)
    near, lost = backend.follow(portraits[:2], [face, None])
    assert lost is None
    assert near.topology is IBUG_68
    assert near.score == face.score
    assert np.abs(near.landmarks - face.landmarks).max() < 1
    assert np.abs(near.box - face.box).max() < 1


def test_the_box_of_a_followed_face_grows_with_it(package, portraits):
    """The last frame's landmarks were smaller than what the stand-in finds in the same box."""
    backend = FaceAlignmentBackend(threads=1)
    ((face,),) = backend.detect(portraits[:1])
    smaller = replace(face, landmarks=(0.8 * face.landmarks).astype(np.float32))
    (found,) = backend.follow(portraits[:1], [smaller])
    assert np.allclose(found.landmarks, face.landmarks, atol=1)
    grown = (found.box[2:] - found.box[:2]) / (face.box[2:] - face.box[:2])
    assert np.allclose(grown, 1 / 0.8, rtol=0.02)


def test_a_followed_face_that_is_uncertain_is_lost(package, portraits):
    backend = FaceAlignmentBackend(threads=1)
    ((face,),) = backend.detect(portraits[:1])
    backend.min_presence = 0.9
    assert backend.follow(portraits[:1], [face]) == [None]


def test_is_tracked_through_a_video(package, portraits):
    frames = [portraits[0]] * 12
    tracker = FaceTracker(FaceAlignmentBackend(threads=1))
    tracked = [frame.faces for _, frame in tracker.track(frames)]
    assert [list(faces) for faces in tracked] == [[0]] * 12


def test_networks_can_be_opened_early(package):
    backend = FaceAlignmentBackend(threads=1)
    backend.prepare()
    backend.prepare()
    assert package.FaceAlignment.made == 1


def test_uncertain_landmarks_are_no_face(package, portraits):
    backend = FaceAlignmentBackend(threads=1, min_presence=0.9)
    assert backend.detect(portraits[:1]) == [[]]


def test_weights_that_cannot_be_had(package, cache, portraits):
    package.FaceAlignment = failing(URLError("Name or service\nnot known"))
    with pytest.raises(FaceError) as caught:
        load_backend("face-alignment", threads=1).detect(portraits[:1])
    line = str(caught.value)
    assert "\n" not in line
    assert "3DFAN4-0123456789.pth.tar" in line
    assert URLS["3DFAN-4"] in line
    assert str(cache) in line
    assert "not known" in line


def test_the_second_file_is_named_when_the_first_is_there(package, cache, portraits):
    (cache / "3DFAN4-0123456789.pth.tar").touch()
    package.FaceAlignment = failing(URLError("timed out"))
    with pytest.raises(FaceError, match="cannot get depth-0123456789") as caught:
        load_backend("face-alignment", threads=1).detect(portraits[:1])
    assert URLS["depth"] in str(caught.value)


def test_damaged_weights(package, cache, portraits):
    for url in URLS.values():
        (cache / url.rsplit("/", 1)[1]).write_bytes(b"half a file")
    package.FaceAlignment = failing(RuntimeError("not a ZIP archive"))
    with pytest.raises(FaceError, match="perhaps damaged: not a ZIP archive"):
        load_backend("face-alignment", threads=1).detect(portraits[:1])


def test_travels_to_worker_processes(package):
    backend = pickle.loads(pickle.dumps(FaceAlignmentBackend(threads=1, min_presence=0.4)))
    assert (backend.threads, backend.min_presence) == (1, 0.4)


def test_the_real_package_with_stand_in_networks(monkeypatch):
    """The package's own cutting, scaling and rounding: a bright spot is found where it is."""

    class BrightestPlace(torch.nn.Module):
        def forward(self, x):
            heat = torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4)
            return [heat.repeat(1, 68, 1, 1) / heat.amax()]

    class Flat(torch.nn.Module):
        def forward(self, x):
            return torch.full((len(x), 68), 10.0)

    package = face_alignment.FaceAlignment
    monkeypatch.setattr(package, "_load_native", lambda *_: BrightestPlace())
    monkeypatch.setattr(package, "_load_native_depth", lambda *_: Flat())
    for name in ("transform_np", "_get_preds_fromhm"):  # compiling them takes 15 s
        compiled = getattr(face_alignment.utils, name)
        monkeypatch.setattr(face_alignment.utils, name, compiled.py_func)
    backend = FaceAlignmentBackend(threads=1)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:400, 0:400]
    errors = []
    for _ in range(30):
        spot = rng.uniform(150, 250, 2)
        bright = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 50)
        picture = np.repeat(bright[..., None], 3, axis=2).astype(np.uint8)
        points = np.array([[180, 190], [220, 190], [200, 200], [190, 220], [210, 220]], np.float32)
        detection = Detection(np.array([130, 130, 270, 270], np.float32), 0.9, points)
        face = backend._measure(picture, detection.box, detection.points[:2], detection.score)
        errors.append(face.landmarks[0, :2] - spot)
        assert face.landmarks[0, 2] < 0
        assert face.presence == 1
    # A heat map's cell is 5.3 pixels wide here, and the package finds quarters of it.
    assert np.abs(np.mean(errors, axis=0)).max() < 0.5
    assert np.std(errors) < 1.5
