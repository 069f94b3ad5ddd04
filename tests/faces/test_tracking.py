"""Faces keep their numbers through a video, at little cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from facecycle_cli.faces import Face
from facecycle_cli.faces.tracking import FaceTracker
from facecycle_cli.media import read_frames

SHAPE = np.random.default_rng(1).normal(size=(468, 3)).astype(np.float32)
Script = Callable[[int], list[tuple[float, float, float]]]


def face_at(x: float, y: float, radius: float) -> Face:
    landmarks = SHAPE * (radius / np.sqrt(2)) + np.array([x, y, 0], np.float32)
    box = np.array([x - radius, y - radius, x + radius, y + radius], np.float32)
    return Face(box, 0.9, landmarks.astype(np.float32), 1.0)


class Scripted:
    """A backend that knows where the faces of every frame are: a frame carries its number."""

    name = "scripted"

    def __init__(self, script: Script, *, reach: float = 0.9) -> None:
        self.script = script
        self.reach = reach  # in radii: a face further from where it is expected is not found
        self.searched: list[int] = []
        self.followed: list[int] = []

    def faces(self, image: np.ndarray) -> list[Face]:
        found = [face_at(*place) for place in self.script(int(image[0, 0, 0]))]
        return sorted(found, key=lambda face: -face.area)

    def prepare(self) -> None:
        pass

    def detect(
        self, images: Sequence[np.ndarray], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        self.searched += [int(image[0, 0, 0]) for image in images]
        return [self.faces(image) for image in images]

    def follow(
        self, images: Sequence[np.ndarray], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        self.followed += [int(image[0, 0, 0]) for image in images]
        result: list[Face | None] = []
        for image, expected in zip(images, previous, strict=True):
            assert expected is not None
            center = expected.landmarks[:, :2].mean(0)
            near = [
                face
                for face in self.faces(image)
                if np.linalg.norm(face.landmarks[:, :2].mean(0) - center)
                < self.reach * (face.box[2] - face.box[0]) / 2
            ]
            result.append(near[0] if near else None)
        return result


def video(count: int, cuts: Sequence[int] = ()) -> list[np.ndarray]:
    """Frames that differ in their number alone, but for cuts to other scenes."""
    frames = []
    scene = -1
    for i in range(count):
        if i == 0 or i in cuts:
            scene += 1
            noise = np.random.default_rng(scene).integers(0, 256, (6, 8, 3), np.uint8)
            picture = cv2.resize(noise, (256, 192), interpolation=cv2.INTER_CUBIC)
        frame = picture.copy()
        frame[0, 0, 0] = i
        frames.append(frame)
    return frames


def track(script: Script, count: int, *, cuts: Sequence[int] = (), **options):
    backend = Scripted(script)
    tracked = list(FaceTracker(backend, **options).track(video(count, cuts)))
    assert [int(image[0, 0, 0]) for image, _ in tracked] == list(range(count))
    return backend, [frame for _, frame in tracked]


def numbers(frames) -> list[list[int]]:
    return [sorted(frame.faces) for frame in frames]


def test_searches_few_frames_and_follows_in_the_others():
    backend, frames = track(lambda i: [(60 + 4 * i, 90, 30)], 33)
    assert numbers(frames) == [[0]] * 33
    assert sorted(backend.searched) == [0, 8, 16, 24, 32]
    assert sorted(backend.followed) == [i for i in range(33) if i % 8]
    for i, frame in enumerate(frames):
        assert np.allclose(frame.faces[0].box, face_at(60 + 4 * i, 90, 30).box, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 17, 18, 40])
def test_every_frame_of_any_number_comes_out_once(count):
    backend, frames = track(lambda i: [(100, 90, 30)], count)
    assert numbers(frames) == [[0]] * count
    assert len(backend.searched) <= count // 8 + 2


def test_an_empty_video_gives_nothing():
    assert list(FaceTracker(Scripted(lambda i: [])).track([])) == []


def test_a_face_that_leaves_and_returns_is_another_track():
    _, frames = track(lambda i: [(100, 90, 30)] if i < 13 or i >= 27 else [], 40)
    assert numbers(frames) == [[0]] * 13 + [[]] * 14 + [[1]] * 13


def test_a_face_hidden_for_a_moment_is_the_same_track():
    _, frames = track(lambda i: [(100, 90, 30)] if i not in (11, 12) else [], 24)
    assert numbers(frames) == [[0]] * 11 + [[], []] + [[0]] * 11


def test_a_jump_is_searched_for():
    backend, frames = track(lambda i: [(60, 90, 30) if i < 5 else (160, 90, 30)], 17, everyone=True)
    assert numbers(frames) == [[0]] * 5 + [[1]] * 12
    assert {4, 5} & set(backend.searched)


def test_a_cut_ends_the_track_though_the_face_is_in_the_same_place():
    backend, frames = track(lambda i: [(100, 90, 30)], 30, cuts=[11, 20])
    assert numbers(frames) == [[0]] * 11 + [[1]] * 9 + [[2]] * 10
    assert [frame.shot for frame in frames] == [0] * 11 + [1] * 9 + [2] * 10
    assert {10, 11, 19, 20} <= set(backend.searched)


def test_settled_faces_are_followed_where_they_were_found():
    backend = Scripted(lambda i: [(100, 90, 30), (200, 90, 20)])
    list(FaceTracker(backend, everyone=True, settle=True).track(video(9)))
    assert backend.followed[: 2 * len(backend.searched)] == [
        number for number in backend.searched for _ in range(2)
    ]


def test_everyone_has_a_track():
    _, frames = track(lambda i: [(60 + i, 90, 30), (190 - i, 90, 25)], 20, everyone=True)
    assert numbers(frames) == [[0, 1]] * 20
    assert all(frame.faces[0].box[0] < frame.faces[1].box[0] for frame in frames)


def test_someone_who_joins_late_gets_the_next_number():
    places = [(60.0, 90.0, 30.0), (190.0, 90.0, 25.0)]
    _, frames = track(lambda i: places[: 1 + (i >= 10)], 24, everyone=True)
    assert numbers(frames) == [[0]] * 10 + [[0, 1]] * 14


def test_of_two_faces_the_larger_is_the_subject_and_stays_it():
    # They take turns in being the larger by a little: the subject does not change with them.
    def script(i):
        return [(60, 90, 30 + 3 * (i % 2)), (190, 90, 31)]

    backend, frames = track(script, 33)
    assert numbers(frames) == [[0]] * 33
    assert len({round(float(frame.faces[0].box[[0, 2]].mean())) for frame in frames}) == 1
    assert len(backend.followed) <= 33


def test_a_much_larger_face_becomes_the_subject():
    _, frames = track(lambda i: [(60, 90, 20)] + ([(180, 90, 45)] if i >= 9 else []), 40)
    assert frames[-1].faces.keys() == {1}
    assert round(float(frames[-1].faces[1].box[[0, 2]].mean())) == 180


def test_the_subject_survives_one_failure_of_the_detector():
    def script(i):
        others = [(190.0, 90.0, 20.0)]
        return others if i == 16 else [(60.0, 90.0, 30.0), *others]

    _, frames = track(script, 33)
    assert numbers(frames) == [[0]] * 16 + [[]] + [[0]] * 16


def test_holds_few_frames_however_long_the_video():
    taken = 0

    def frames():
        nonlocal taken
        for image in video(120):
            taken += 1
            yield image

    tracker = FaceTracker(Scripted(lambda i: [(100, 90, 30)]))
    for done, _ in enumerate(tracker.track(frames())):
        assert taken - done <= 20


def test_following_is_as_good_as_detecting_a_real_face(examples: Path, backend):
    images = [f.image for f in read_frames(examples / "talker.mpg", fps=5, threads=1)]
    detected = backend.detect(images)
    tracked = [frame.faces[0] for _, frame in FaceTracker(backend).track(images)]
    for one, other in zip(tracked, detected, strict=True):
        points = other[0].five_points
        distance = np.linalg.norm(one.five_points - points, axis=1).mean()
        assert distance < 0.03 * np.linalg.norm(points[1] - points[0])


def test_frames_that_were_cut_out_one_by_one_are_all_searched():
    backend, frames = track(lambda i: [(100, 90, 30)], 20, stride=1)
    assert numbers(frames) == [[0]] * 20
    assert sorted(backend.searched) == list(range(20))
    assert backend.followed == []
