"""Faces of all sizes and tilts are found; what holds none gives none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.faces.detector import Detection, FaceDetector


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(threads=1)


@pytest.fixture(scope="module")
def heads(detector, portraits) -> list[tuple[Image.Image, Detection]]:
    found = detector.detect(portraits)
    assert [len(f) for f in found] == [1] * len(portraits)
    return [(Image.fromarray(p), f[0]) for p, f in zip(portraits, found, strict=True)]


def scene(heads, places, size, *, height, angle=0.0):
    """A plain picture with the portraits pasted in, their faces `height` pixels high."""
    canvas = Image.new("RGB", size, (140, 150, 160))
    for (portrait, detection), (x, y) in zip(heads, places, strict=False):
        x0, y0, x1, y1 = (float(v) for v in detection.box)
        zoom = height / (y1 - y0)
        small = portrait.resize(
            (round(portrait.width * zoom), round(portrait.height * zoom)), Image.LANCZOS
        )
        center = ((x0 + x1) / 2 * zoom, (y0 + y1) / 2 * zoom)
        mask = Image.new("L", small.size, 255)
        turned = small.rotate(angle, Image.BICUBIC, center=center)
        mask = mask.rotate(angle, Image.BICUBIC, center=center)
        canvas.paste(turned, (round(x - center[0]), round(y - center[1])), mask)
    return np.asarray(canvas)


def centers(detections):
    return np.array([d.center for d in detections]).reshape(-1, 2)


def misses(detections, places, height):
    """How many places have no detection within a third of a face."""
    at = centers(detections)
    return sum(
        not (np.linalg.norm(at - place, axis=1) < height / 3).any() if len(at) else True
        for place in np.array(places, float)
    )


def test_small_faces_in_a_large_photograph(detector, heads):
    places = [(300 + 600 * i, 400 + 700 * j) for i in range(3) for j in range(4)]
    picture = scene(heads, places, (2000, 3000), height=26)
    found = detector.detect([picture])[0]
    assert misses(found, places, 26) == 0
    assert len(found) == len(places)


@pytest.mark.parametrize("angle", [-45, 45, -30, 30])
def test_tilted_heads(detector, heads, angle):
    places = [(100 + 200 * i, 100 + 200 * j) for i in range(4) for j in range(3)]
    picture = scene(heads, places, (800, 600), height=80, angle=angle)
    found = detector.detect([picture])[0]
    assert misses(found, places, 80) == 0
    assert len(found) == len(places)


def test_picture_on_its_side(detector, portraits):
    """Photographs that lost the note of their orientation: most are found all the same."""
    turned = [np.ascontiguousarray(np.rot90(p, k)) for p in portraits[::2] for k in (1, 3)]
    found = detector.detect(turned)
    assert sum(len(f) == 1 for f in found) >= 0.9 * len(turned)


@pytest.mark.parametrize("zoom", [0.3, 1, 6])
def test_face_that_fills_the_picture(detector, heads, zoom):
    for portrait, detection in heads[::4]:
        tight = portrait.crop([round(float(v)) for v in detection.box])
        tight = tight.resize((round(tight.width * zoom), round(tight.height * zoom)))
        (found,) = detector.detect([np.asarray(tight)])[0]
        assert found.side == pytest.approx(max(tight.size), rel=0.25)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((1, 1, 3), np.uint8),
        np.full((1, 400, 3), 77, np.uint8),
        np.full((300, 200, 3), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8),
        np.indices((256, 256, 3)).sum(0).astype(np.uint8),
    ],
    ids=["one pixel", "one row", "white", "noise", "stripes"],
)
def test_no_face(detector, picture):
    assert detector.detect([picture]) == [[]]


def test_nothing_to_do(detector):
    assert detector.detect([]) == []


def test_a_batch_is_its_pictures(detector, portraits):
    """Pictures of different sizes, in one call or one by one: the same faces."""
    pictures = [portraits[0], portraits[1][:, 30:-30], portraits[2][::2, ::2], portraits[3]]
    pictures = [np.ascontiguousarray(p) for p in pictures]
    for picture, together in zip(pictures, detector.detect(pictures), strict=True):
        alone = detector.detect([picture])[0]
        assert len(alone) == len(together) == 1
        assert np.allclose(alone[0].box, together[0].box, atol=0.1)
        assert alone[0].score == pytest.approx(together[0].score, abs=1e-3)


def test_largest_first_and_min_face(detector, heads):
    picture = scene(heads[:1], [(100, 150)], (600, 300), height=60)
    picture = np.maximum(picture, scene(heads[:1], [(400, 150)], (600, 300), height=150))
    large, small = detector.detect([picture])[0]
    assert large.area > 4 * small.area
    assert [d.side for d in detector.detect([picture], min_face=100)[0]] == [
        pytest.approx(large.side, rel=0.1)
    ]


def test_enormous_picture_in_bounded_memory(monkeypatch):
    """All of it is looked at, and never more than a few views at once."""
    detector = FaceDetector(threads=1)
    batches = []
    (nothing,) = detector._run(np.zeros((1, 3, 32, 32), np.float32))

    def look(pixels):
        batches.append(pixels.shape)
        return [nothing] * len(pixels)

    monkeypatch.setattr(detector, "_run", look)
    picture = np.broadcast_to(np.uint8(128), (2000, 12000, 3))  # takes no memory itself
    assert detector.detect([picture]) == [[]]
    pixels = [n * h * w for n, _, h, w in batches]
    assert max(pixels) <= 2_100_000
    assert sum(pixels) > 2000 * 12000 * (20 / 24) ** 2


def test_heads_that_overlap(detector, heads):
    """People close together, one a little in front of the other."""
    places = [(100, 100), (185, 105), (270, 100)]
    slim = [
        (portrait.crop((round(d.box[0]), 0, round(d.box[2]), portrait.height)), _moved(d))
        for portrait, d in heads
    ]
    found = detector.detect([scene(slim[::2], places, (370, 200), height=110)])[0]
    assert misses(found, places, 110) == 0
    assert len(found) == 3


def _moved(detection):
    """The detection in a picture cut off at the left side of its box."""
    left = float(round(detection.box[0]))
    return Detection(detection.box - (left, 0, left, 0), detection.score, detection.points)
