"""Faces of photographs at the border, turned, small, and of extreme shapes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import CutFaceError, NoFaceError
from facecycle_cli.faces import is_inside, search_photos
from facecycle_cli.faces.photos import PhotoFaces


def search(backend, image, **options) -> PhotoFaces:
    (found,) = search_photos([np.ascontiguousarray(image)], backend, **options)
    return found


def cut(image, face, side, share):
    """The picture without this share of the face on one side."""
    (x0, y0), (x1, y1) = face.oval.min(0), face.oval.max(0)
    dx, dy = share * (x1 - x0), share * (y1 - y0)
    return {
        "left": image[:, round(x0 + dx) :],
        "right": image[:, : round(x1 - dx)],
        "top": image[round(y0 + dy) :],
        "bottom": image[: round(y1 - dy)],
    }[side]


class Counting:
    """A backend that counts the pictures it searches."""

    def __init__(self, backend):
        self._backend = backend
        self.searched = 0

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def detect(self, images, **options):
        self.searched += len(images)
        return self._backend.detect(images, **options)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_face_at_the_border(backend, portraits, faces, side):
    for image, face in zip(portraits[::4], faces[::4], strict=True):
        assert len(search(backend, cut(image, face, side, 0.1)).faces) == 1
        half = search(backend, cut(image, face, side, 0.5))
        assert half.faces == [] or side == "top"
        if half.cut:
            with pytest.raises(CutFaceError, match="cut off by the picture's border"):
                half.require()


@pytest.mark.parametrize("share", [0.35, 0.4])
def test_face_without_its_eyes_is_none(backend, portraits, faces, share):
    """The mesh squeezes a whole face into what is left: most of these are noticed."""
    kept = sum(
        len(search(backend, cut(image, face, "top", share)).faces)
        for image, face in zip(portraits, faces, strict=True)
    )
    assert kept <= 3


def test_whole_face_beside_a_cut_one(backend, portraits, faces):
    half = cut(portraits[0], faces[0], "right", 0.5)
    height = min(len(half), len(portraits[2]))
    pair = np.hstack([portraits[2][:height], half[:height]])
    found = search(backend, pair)
    assert (len(found.faces), found.cut) == (1, 1)
    assert found.require()[0].box[2] < portraits[2].shape[1]


def test_points_on_the_border_are_inside(portraits, faces):
    face, shape = faces[0], portraits[0].shape
    assert is_inside(face, shape)
    right = float(face.five_points[:, 0].max())
    assert is_inside(face, (shape[0], int(np.ceil(right + 0.5))))
    assert not is_inside(face, (shape[0], int(right - 0.5)))


def test_photograph_with_a_face_is_searched_once(backend, portraits):
    counting = Counting(backend)
    search_photos(portraits, counting)
    assert counting.searched == len(portraits)


@pytest.mark.parametrize("size", [(120, 240), (1, 5000), (1, 1)])
def test_photograph_without_a_face_is_searched_in_quarter_turns(backend, size):
    counting = Counting(backend)
    found = search(counting, np.full((*size, 3), 90, np.uint8))
    assert (found.faces, found.cut) == ([], 0)
    assert counting.searched == (4 if max(size) > 100 else 2)
    with pytest.raises(NoFaceError, match="no face found"):
        found.require()


class UprightOnly(Counting):
    """Finds heads that are tilted by less than 30 degrees."""

    def detect(self, images, **options):
        found = super().detect(images, **options)
        return [[f for f in faces if abs(f.pose.roll) < 30] for faces in found]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_of_turned_copies_lie_in_the_photograph(backend, portraits, faces, quarters):
    """What a turned copy shows comes back to the pixels of the photograph."""
    image, face = portraits[3][:, 20:], faces[3]
    turned = np.rot90(image, -quarters)
    (found,) = search(UprightOnly(backend), turned).faces
    assert found.pose.roll == pytest.approx((90 * quarters + 180) % 360 - 180, abs=8) or (
        quarters == 2 and abs(abs(found.pose.roll) - 180) < 8
    )
    (plain,) = search(backend, image).faces
    height, width = image.shape[:2]
    x, y = plain.five_points.T
    expected = {
        1: (height - 1 - y, x),
        2: (width - 1 - x, height - 1 - y),
        3: (y, width - 1 - x),
    }[quarters]
    assert np.allclose(found.five_points, np.column_stack(expected), atol=0.02)
    assert np.allclose(found.oval.mean(0), (found.box[:2] + found.box[2:]) / 2, atol=25)
    assert face.topology is found.topology


@pytest.mark.parametrize("angle", range(0, 360, 30))
def test_turned_faces_are_found_upright_or_not_at_all(backend, portraits, faces, angle):
    for image, face in zip(portraits[::4], faces[::4], strict=True):
        turned = Image.fromarray(image).rotate(
            -angle, Image.Resampling.BICUBIC, expand=True, fillcolor=(128, 128, 128)
        )
        for found in search(backend, np.asarray(turned)).faces:
            tilt = (found.pose.roll - face.pose.roll - angle + 180) % 360 - 180
            assert abs(tilt) < 15


def test_small_picture_is_enlarged(backend, portraits):
    """What only the enlarged picture shows is given in pixels of the picture."""

    class LargeOnly(Counting):
        def detect(self, images, **options):
            found = super().detect(images, **options)
            return [f if len(i) > 100 else [] for f, i in zip(found, images, strict=True)]

    small = cv2.resize(portraits[0], (90, 90), interpolation=cv2.INTER_AREA)
    (plain,) = search(backend, small).faces
    (found,) = search(LargeOnly(backend), small).faces
    assert np.allclose(found.five_points, plain.five_points, atol=1)
    assert np.allclose(found.box, plain.box, atol=4)


def test_landmarks_that_are_no_numbers_are_no_face(backend, portraits, faces):
    class Broken(Counting):
        def detect(self, images, **options):
            return [[replace(faces[0], landmarks=np.full((468, 3), np.nan, np.float32))]]

    with pytest.raises(NoFaceError, match="no face found"):
        search(Broken(backend), portraits[0]).require()


def test_one_face_with_and_without_refinement(backend, portraits):
    """A face that the first look of the mesh shows stays one, and so does one of the last look."""
    blurred = [
        cv2.GaussianBlur(portrait, (0, 0), strength)
        for portrait, strengths in zip(portraits, [(4, 12), (8, 16)] * 2, strict=False)
        for strength in strengths
    ]
    refined, plain = (search_photos(blurred, backend, refine=r) for r in (True, False))
    assert [len(f.faces) for f in refined] == [len(f.faces) for f in plain]
