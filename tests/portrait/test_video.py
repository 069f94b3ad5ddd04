"""Videos whose faces are moved: one frame for each, steady, and in constant memory."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facecycle_cli.errors import MediaError, NoFaceError, SettingsError
from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.following import Sighting, skull_points
from facecycle_cli.portrait.motions import FRONTAL, NEUTRAL
from facecycle_cli.portrait.portraits import move_faces
from facecycle_cli.portrait.steady import steady_faces
from facecycle_cli.portrait.video import PortraitVideo

SIDE = 64


class Scripted:
    """Finds what is written in a frame's first pixel: so many of the faces, which tremble."""

    name = "scripted"

    def __init__(self, faces: list[Face], trembling: float = 0.0) -> None:
        self._faces = faces
        self._trembling = trembling
        self._rng = np.random.default_rng(0)

    def prepare(self) -> None:
        pass

    def detect(self, images, *, min_face=24, refine=True):
        return [[self._found(face) for face in self._faces[: image[0, 0, 0]]] for image in images]

    def follow(self, images, previous):
        nearest = [min(self._faces, key=lambda f: np.abs(f.box - p.box).max()) for p in previous]
        pairs = zip(images, nearest, strict=True)
        return [self._found(face) if image[0, 0, 0] else None for image, face in pairs]

    def _found(self, face: Face) -> Face:
        noise = self._rng.normal(0, 1, face.landmarks.shape) * self._trembling
        return replace(face, landmarks=(face.landmarks + noise).astype(np.float32))


@pytest.fixture(scope="module")
def small(photograph, face) -> tuple[np.ndarray, Face]:
    """The photograph at a fifth of its size, and its face."""
    image = cv2.resize(photograph, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    return image, replace(face, box=face.box / 5, landmarks=face.landmarks / 5)


def frames_of(image: np.ndarray, counts: list[int]) -> list[np.ndarray]:
    frames = [image.copy() for _ in counts]
    for frame, count in zip(frames, counts, strict=True):
        frame[0, 0] = count
    return frames


def made_of(frames, backend, model, motion=NEUTRAL, **options) -> list[np.ndarray]:
    with PortraitVideo(frames, motion, model=model, backend=backend, size=SIDE, **options) as video:
        return list(video)


def test_a_still_video_is_the_photographs_result(small, model):
    image, face = small
    (expected,) = move_faces(image, [face], model, FRONTAL, size=SIDE)
    for crop in made_of(frames_of(image, [1] * 5), Scripted([face]), model, FRONTAL):
        # The five points are at rest and not corrected by perspective: hardly the same pixels.
        assert np.abs(crop.astype(int) - expected.result).mean() < 3


def test_frames_without_a_face(small, model):
    """A crop holds the last result, or shows the first one; a whole frame stays as it is."""
    image, face = small
    frames = frames_of(image, [0] * 3 + [1] * 12 + [0] * 3)
    crops = made_of(iter(frames), Scripted([face]), model)
    assert len(crops) == len(frames)
    assert all(np.array_equal(crop, crops[0]) for crop in crops[:4])
    assert all(np.array_equal(crop, crops[-1]) for crop in crops[-3:])
    wholes = made_of(iter(frames), Scripted([face]), model, paste_back=True)
    assert [np.array_equal(a, b) for a, b in zip(wholes, frames, strict=True)][::17] == [True, True]
    assert not np.array_equal(wholes[8], frames[8])
    assert wholes[8].shape == image.shape


def test_trembling_landmarks_hardly_move_the_output(small, model):
    image, face = small
    frames = frames_of(image, [1] * 12)
    backend = Scripted([face], trembling=0.25)
    steady = np.stack(made_of(frames, backend, model)).astype(float)
    trembling = [
        move_faces(image, [backend.detect([frame])[0][0]], model, NEUTRAL, size=SIDE)[0].result
        for frame in frames
    ]
    by_frame = np.stack(trembling).astype(float)
    steady_change, change = (np.abs(np.diff(v, axis=0)).mean() for v in (steady, by_frame))
    assert steady_change < 0.5 * change


def test_the_crop_does_not_nod_when_the_mouth_moves(small):
    """The corners of the mouth are two of the five points of a photograph's alignment."""
    image, face = small
    mouth = [*face.topology.upper_lip, *face.topology.lower_lip, *face.topology.mouth]
    landmarks = face.landmarks.copy()
    landmarks[mouth, 1] += 4
    speaking = replace(face, landmarks=landmarks)
    alone = [Alignment.from_face(each, SIDE).matrix[1, 2] for each in (face, speaking)]
    sightings = [
        [Sighting(image, each, 0, skull_points(each))] for each in [face] * 20 + [speaking] * 2
    ]
    held = [group[0].alignment.matrix[1, 2] for group in steady_faces(sightings, SIDE, 25.0)]
    assert abs(held[-1] - held[0]) < 0.2 * abs(alone[1] - alone[0])


def test_all_faces_of_a_frame(small, model):
    image, face = small
    width = image.shape[1]
    aside = np.float32((width, 0, 0))
    other = replace(face, box=face.box + aside[[0, 1, 0, 1]], landmarks=face.landmarks + aside)
    frames = frames_of(np.hstack([image, image]), [2] * 3)
    options = {"backend": Scripted([face, other]), "model": model, "paste_back": True}
    _, both, _ = made_of(frames, face="all", **options)
    _, right, _ = made_of(frames, face="right", **options)
    changed = [(made != frames[1]).any(axis=2) for made in (both, right)]
    assert changed[0][:, :width].any()
    assert changed[0][:, width:].any()
    assert not changed[1][:, 1:width].any()
    assert np.array_equal(both[:, width:], right[:, width:])


def test_results_go_back_into_larger_frames(small, model):
    """Faces are followed in small frames; the output has the size of the large ones."""
    image, face = small
    frames = frames_of(image, [1] * 2)
    size = 2 * image.shape[1], 3 * image.shape[0]
    large = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]
    backend = Scripted([face])
    made = made_of(frames, backend, model, paste_back=True, whole=iter(large))
    assert [frame.shape for frame in made] == [frame.shape for frame in large]
    expected = made_of(frames, backend, model, paste_back=True)[1].astype(int)
    reduced = cv2.resize(made[1], image.shape[1::-1], interpolation=cv2.INTER_AREA)
    changed = np.abs(expected - frames[1]).max(axis=2) > 10
    assert (
        np.abs(reduced - expected)[changed].mean()
        < 0.3 * np.abs(expected - frames[1])[changed].mean()
    )
    with pytest.raises(MediaError, match="a second time"):
        made_of(frames, backend, model, paste_back=True, whole=large[:1])


def test_what_cannot_be_done(small, model):
    image, face = small
    with pytest.raises(SettingsError, match="need paste_back"):
        PortraitVideo([], NEUTRAL, model=model, backend=Scripted([face]), face="all")
    with pytest.raises(NoFaceError, match="no face 2; it shows 1"):
        made_of(frames_of(image, [1] * 3), Scripted([face]), model, face=2)
    with pytest.raises(NoFaceError, match="in any frame"):
        made_of(frames_of(image, [0] * 3), Scripted([face]), model)


def test_few_frames_are_held(small, model):
    """However long the video is; here at two frames per second, whose smoothing is short."""
    image, face = small
    read = 0

    def frames():
        nonlocal read
        for frame in frames_of(image, [1] * 100):
            read += 1
            yield frame

    ahead = []
    backend = Scripted([face])
    options = {"fps": 2.0, "paste_back": True, "size": 32, "model": model, "backend": backend}
    with PortraitVideo(frames(), NEUTRAL, **options) as video:
        for count, _ in enumerate(video, 1):
            ahead.append(read - count)
            if count == 20:
                break
    assert max(ahead) < 60
