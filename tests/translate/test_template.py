"""A motion as a file: any picture performs it again, without the video."""

from __future__ import annotations

import zipfile
from fractions import Fraction

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.media import read_frames, read_image
from facecycle_cli.media.images import encode_image
from facecycle_cli.translate.measurement import measure_still
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import crop_still
from facecycle_cli.translate.template import MotionRecorder, MotionTemplate
from facecycle_cli.translate.video import Translation, perform_still, translate_picture
from tests.clips import FACES, TALKER

# What files of older versions do not have.
MOUTH = {"mouth", "mouth_size", "lips", "lip_color", "skin"}
SETTINGS = TranslateSettings(size=96)
FPS = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def target():
    return read_image(FACES[0])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, target, model, backend):
    """The file of a clip of 12 frames of which the first two show nobody, and what was made."""
    path = tmp_path_factory.mktemp("motion") / "talk.npz"
    with read_frames(str(TALKER), max_frames=10) as reader:
        frames = [np.asarray(frame.image) for frame in reader]
    frames = [np.full_like(frames[0], 90)] * 2 + frames
    settings = {"model": model, "backend": backend, "settings": SETTINGS}
    with MotionRecorder(path, fps=FPS, still=False, checkpoint="abc") as recorder:
        with Translation(frames, target, fps=30.0, recorder=recorder, **settings) as made:
            pictures = list(made)
        recorder.numbers = [*range(10), 12, 13]
        recorder.save()
    return path, pictures


def test_the_file_says_what_it_is(recorded):
    template = MotionTemplate.open(recorded[0])
    assert (template.fps, template.still, template.checkpoint) == (FPS, False, "abc")
    assert template.frames == 12
    assert template.numbers().tolist() == [*range(10), 12, 13]
    seen = list(template.measurements())
    assert [m is None for m in seen] == [True] * 2 + [False] * 10
    assert len(list(template.measurements(3, 7))) == 4


def test_performed_again_it_is_the_same_motion(recorded, target, model, backend):
    path, pictures = recorded
    template = MotionTemplate.open(path)
    with Translation(
        (), target, fps=30.0, model=model, backend=backend, settings=SETTINGS,
        measured=template.measurements(),
    ) as again:  # fmt: skip
        repeated = list(again)
        assert again.faces_found == 10
    assert len(repeated) == len(pictures)
    off = np.abs(np.stack(repeated).astype(int) - np.stack(pictures))
    assert off[:, : SETTINGS.size // 2].max() <= 1
    assert off.max() <= 40  # the inside of the mouth is a picture of a lower quality
    assert off.mean() < 0.02


def test_a_picture_too(tmp_path, target, model, backend):
    path, source = tmp_path / "smile.npz", read_image(FACES[1])
    with MotionRecorder(path, fps=Fraction(25), still=True, checkpoint=None) as recorder:
        made = translate_picture(
            source, target, model=model, backend=backend, settings=SETTINGS, recorder=recorder
        )
        recorder.save()
    template = MotionTemplate.open(path)
    assert template.still
    (measured,) = template.measurements()
    again = perform_still(measured, target, model=model, backend=backend, settings=SETTINGS)
    assert np.abs(again.astype(int) - made)[: SETTINGS.size // 2].max() <= 1


def test_of_the_pictures_it_has_what_lies_between_the_lips(recorded):
    with zipfile.ZipFile(recorded[0]) as archive:
        assert sorted(archive.namelist()) == [
            "about.npy", "backflow.npy", "box.npy", "gaze.npy", "landmarks.npy", "light.npy",
            "lip_color.npy", "lips.npy", "mouth.npy", "mouth_size.npy", "number.npy",
            "placement.npy", "presence.npy", "score.npy", "skin.npy", "track.npy",
        ]  # fmt: skip
    with np.load(recorded[0]) as file:
        sizes, pictures, lips = file["mouth_size"], file["mouth"].tobytes(), file["lips"]
    assert (sizes[:2] == 0).all()
    assert 0 < sizes[2:].min() <= sizes.max() < 4096
    first = read_image(pictures[: sizes[2]])
    lowest, highest = lips[2].reshape(-1, 2).max(0), lips[2].reshape(-1, 2).min(0)
    assert (highest >= 0).all()
    assert (highest < 10).all(), "no more than the edges of the lips"
    assert (first.shape[1::-1] - lowest < 11).all()


@pytest.mark.parametrize("missing", [MOUTH, {"mouth"}])
def test_without_its_mouth_a_file_is_performed_with_a_typical_one(recorded, tmp_path, missing):
    path = tmp_path / "old.npz"
    with np.load(recorded[0]) as file:
        np.savez(path, **{name: file[name] for name in file if name not in missing})
    (old,) = MotionTemplate.open(path).measurements(5, 6)
    (own,) = MotionTemplate.open(recorded[0]).measurements(5, 6)
    np.testing.assert_array_equal(old.face.landmarks, own.face.landmarks)
    pixels, upper, lower = (getattr(old.look.mouth, name) for name in ("pixels", "upper", "lower"))
    assert pixels.shape != own.look.mouth.pixels.shape
    # It is darker at the corners than in the middle.
    middle = ((upper + lower) / 2).round().astype(int)
    gray = pixels[middle[:, 1], middle[:, 0]].mean(-1)
    assert gray[1] < 0.8 * gray[len(gray) // 2] > gray[-2]


def test_nothing_is_left_of_a_motion_without_a_face_or_without_an_end(tmp_path, model, backend):
    path = tmp_path / "x.npz"
    with MotionRecorder(path, fps=FPS, still=False, checkpoint=None) as recorder:
        recorder.add(None)
        recorder.save()
    image = read_image(FACES[1])
    faces = backend.detect([image])[0]
    seen = crop_still(image, faces, "largest", model.config.image_size)
    with MotionRecorder(path, fps=FPS, still=False, checkpoint=None) as recorder:
        recorder.add(measure_still(model, seen))
    assert not list(tmp_path.iterdir())


def large_picture() -> np.ndarray:
    """The bytes of a picture larger than any mouth."""
    picture = np.full((600, 600, 3), 90, np.uint8)
    return np.frombuffer(encode_image(picture, format="webp", provenance=None), np.uint8)


def changed(path, target, name, change):
    """A copy of an npz with another array."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(target, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("about", lambda a: None),
        ("about", lambda a: np.frombuffer(b"{}", np.uint8)),
        ("about", lambda a: np.frombuffer(b"[1", np.uint8)),
        ("about", lambda a: np.array([{}], object)),
        ("about", lambda a: np.zeros(1 << 17, np.uint8)),
        ("track", lambda a: a.astype(np.int64)),
        ("track", lambda a: a[:-1]),
        ("landmarks", lambda a: a * np.float32(np.nan)),
        ("landmarks", lambda a: a + np.float32(1e7)),
        ("placement", lambda a: a * 1e300),
        ("placement", lambda a: a * 0),
        ("placement", lambda a: a + np.array([0, 0, 2.0, 0])),
        ("placement", lambda a: a + np.array([1e4, 0, 0, 0])),
        ("landmarks", lambda a: a * 0),
        ("landmarks", lambda a: a * np.float32(10)),
        ("light", lambda a: a * 0),
        ("gaze", lambda a: a + np.array([0, 0, 2.0])),
        ("skin", lambda a: a * 0),
        ("lip_color", lambda a: a - np.float32(255)),
        ("lips", lambda a: a * 0),
        ("lips", lambda a: a + np.float32(600)),
        ("backflow", lambda a: a + np.float32(5)),
        ("light", lambda a: a * np.float32(1e4)),
        ("backflow", lambda a: None),
        ("skin", lambda a: a + np.float32(300)),
        ("lips", lambda a: a + np.float32(2e3)),
        ("mouth", lambda a: a * 0),
        ("lips", lambda a: None),
        ("mouth", lambda a: a[:-40]),
        ("mouth", lambda a: np.concatenate([large_picture(), a])),
        ("mouth_size", lambda a: -a),
        ("mouth_size", lambda a: a + 30),
        ("number", lambda a: a[::-1]),
        ("number", lambda a: np.zeros(0, np.int64)),
    ],
)
def test_a_damaged_file_is_said_so(recorded, tmp_path, name, change):
    changed(recorded[0], tmp_path / "bad.npz", name, change)

    def read():
        template = MotionTemplate.open(tmp_path / "bad.npz")
        return template.numbers(), list(template.measurements())

    with pytest.raises(DataError) as error:
        read()
    assert str(error.value).count("damaged") <= 1


def test_a_motion_of_another_version_is_said_so(tmp_path):
    about = np.frombuffer(b'{"format": "facecycle motion", "version": 7}', np.uint8)
    np.savez(tmp_path / "x.npz", about=about)
    with pytest.raises(DataError, match="another version"):
        MotionTemplate.open(tmp_path / "x.npz")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_motion(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match="no motion that --save-motion wrote"):
        MotionTemplate.open(tmp_path / "x.npz")
