"""Real clips and photographs to crops, and what the index says about them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facecycle_cli.faces import TEMPLATE, Alignment, is_inside
from facecycle_cli.faces.crop_landmarks import LandmarkReader, decode_landmarks
from facecycle_cli.media import probe, read_frames, read_image
from facecycle_cli.preprocess import PreprocessSettings, workers
from facecycle_cli.preprocess import extract as module
from facecycle_cli.preprocess.crops import CropWriter
from facecycle_cli.preprocess.extract import extract_crops
from facecycle_cli.preprocess.sources import find_sources
from facecycle_cli.preprocess.workers import WorkerTask, process_source
from tests.clips import FACES, TALKER, TURNER, make_clip, run_ffmpeg
from tests.preprocess.conftest import Shelf


def points_in_crop(line: dict) -> np.ndarray:
    """(5, 2): the points in the crop."""
    return Alignment(np.array(line["alignment"]), 0).apply(np.array(line["points"]))


@pytest.mark.parametrize("clip_file", [TALKER, TURNER])
def test_eyes_move_half_as_much_as_with_framewise_alignment(crops_of, clip_file):
    _, lines, _ = crops_of(clip_file)
    points = [np.array(line["points"]) for line in lines]
    plain = np.stack([Alignment.from_points(p, 128).apply(p) for p in points])
    steady = np.stack([points_in_crop(line) for line in lines])

    def spread(in_crops: np.ndarray) -> float:
        return float(np.sqrt((in_crops[:, :2].std(0) ** 2).sum(-1).mean()))

    assert spread(steady) <= 0.5 * spread(plain)


def test_the_index_places_each_crop_in_its_frame(crops_of, clip):
    found, lines, crops = crops_of(clip)
    assert (found.status, found.reason, found.frames, found.tracks) == ("done", None, 5, 1)
    frames = [frame.image for frame in read_frames(clip, fps=5)]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["time"] for line in lines] == [0.0, 0.2, 0.4, 0.6, 0.8]
    for line, frame in zip(lines, frames, strict=True):
        assert line["path"] == f"clip/clip/0001/{line['frame']:06d}.jpg"
        expected = Alignment(np.array(line["alignment"]), 128).crop(frame).astype(int)
        assert np.abs(expected - crops[line["path"]]).mean() < 2
        assert np.abs(points_in_crop(line) - (TEMPLATE * 128 - 0.5)).max() < 0.1 * 128
        assert abs(line["yaw"]) < 25
        assert line["score"] > 0.8


def test_fields_are_those_that_are_documented(crops_of, clip):
    from facecycle_cli.preprocess import index

    _, lines, _ = crops_of(clip)
    documented = [
        line.split("``")[1] for line in index.__doc__.splitlines() if line.startswith("``")
    ][1:]  # not the title
    assert documented[: len(lines[0])] == list(lines[0])
    assert (lines[0]["identity"], lines[0]["clip"]) == ("clip", "0001")


def test_landmarks_beside_a_crop_lie_where_its_own_do(backend, clip):
    reader = LandmarkReader()
    for path, wanted in ((FACES[0], True), (clip, True), (clip, False)):
        chosen = PreprocessSettings(landmarks=wanted)
        (source,) = find_sources(str(path), chosen)
        shelf = Shelf()
        extract_crops(source, chosen, backend, shelf, lambda _: None)
        assert shelf.crops.keys() == shelf.landmarks.keys()
        for name, crop in shelf.crops.items():
            data = shelf.landmarks[name]
            assert (data is not None) == wanted
            if data is not None:
                beside, measured = decode_landmarks(data), reader(crop)
                off = np.linalg.norm(beside[:, :2] - measured[:, :2], axis=1)
                assert off.mean() < 0.012, name  # of the crop's side
                depth = np.corrcoef(beside[:, 2], measured[:, 2])[0, 1]
                assert depth > 0.95
                assert np.ptp(beside[:, 2]) == pytest.approx(np.ptp(measured[:, 2]), rel=0.2)


def test_sharpness_falls_when_the_picture_is_blurred(crops_of, clip, tmp_path):
    blurred = make_clip(tmp_path / "blurred.mp4", clip, filters="gblur=sigma=3")
    sharp, soft = (
        np.mean([line["sharpness"] for line in crops_of(path)[1]]) for path in (clip, blurred)
    )
    assert soft < 0.5 * sharp


def test_yaw_follows_a_turning_head(crops_of):
    _, lines, _ = crops_of(TURNER)
    yaw = [line["yaw"] for line in lines]
    assert max(yaw) - min(yaw) > 40


def test_large_video_is_decoded_small_but_indexed_in_its_own_pixels(
    crops_of, clip, tmp_path, monkeypatch
):
    large = make_clip(tmp_path / "large.mp4", clip, seconds=0.6, filters="scale=1800:1440")
    sizes = []
    real = module.read_frames

    def spying(*args, **kwargs):
        sizes.append(kwargs["size"])
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "read_frames", spying)
    _, lines, crops = crops_of(large)
    assert sizes == [(640, 512)]
    _, small, small_crops = crops_of(clip)
    for one, other in zip(lines, small[: len(lines)], strict=True):
        enlarged = (np.array(other["points"]) + 0.5) * 5 - 0.5
        assert np.abs(np.array(one["points"]) - enlarged).max() < 12
        difference = (
            crops[one["path"]].astype(int) - small_crops[other["path"].replace("large", "clip")]
        )
        assert np.abs(difference).mean() < 12
    frame = next(iter(read_frames(large))).image
    expected = Alignment(np.array(lines[0]["alignment"]), 128).crop(frame).astype(int)
    assert np.abs(expected - crops[lines[0]["path"]]).mean() < 4


def test_a_small_face_in_a_large_video_is_decoded_larger(crops_of, clip, tmp_path, monkeypatch):
    path = tmp_path / "far.mp4"
    run_ffmpeg("-i", clip, "-vf", "pad=1440:1080:200:300:gray", "-t", "0.6", path)
    sizes = []
    real = module.read_frames

    def spying(*args, **kwargs):
        sizes.append(kwargs["size"])
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "read_frames", spying)
    found, lines, _ = crops_of(path)
    assert sizes[0][0] == 640
    assert sizes[-1][0] > 900
    assert len(lines) == found.frames == 3


@pytest.fixture(scope="module")
def two_people(tmp_path_factory) -> Path:
    """A smaller and a larger person side by side throughout."""
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    filters = "[0]scale=240:192,pad=240:288:0:48[a];[a][1]hstack"
    return make_clip(path, TALKER, TALKER, filters=filters)


def test_of_two_people_the_larger(crops_of, two_people):
    _, lines, _ = crops_of(two_people)
    assert {line["clip"] for line in lines} == {"0001"}
    assert len(lines) == 5
    assert all(np.array(line["points"])[:, 0].min() > 240 for line in lines)


def test_all_people_have_their_own_folders(crops_of, two_people):
    found, lines, _ = crops_of(two_people, faces="all")
    assert found.tracks == 2
    for track in ("0001", "0002"):
        x = [np.array(line["points"])[0, 0] for line in lines if line["clip"] == track]
        assert len(x) == 5
        assert max(x) - min(x) < 60


def test_a_cut_begins_a_new_clip_unless_the_tree_knows_who_it_is(crops_of, tmp_path):
    part = "trim=0:0.8,scale=480:270,setsar=1"
    filters = f"[0]{part}[a];[1]{part}[b];[a][b]concat"
    path = make_clip(tmp_path / "cut.mp4", TALKER, TURNER, seconds=1.6, filters=filters)
    _, lines, _ = crops_of(path)
    by_clip = {clip: [n["frame"] for n in lines if n["clip"] == clip] for clip in ("0001", "0002")}
    assert by_clip == {"0001": [0, 1, 2, 3], "0002": [4, 5, 6, 7]}
    known = tmp_path / "id00001" / "video" / "00007.mp4"
    known.parent.mkdir(parents=True)
    path.rename(known)
    found, lines, _ = crops_of(known)
    assert [line["path"] for line in lines] == [
        f"id00001/video/00007/{i:06d}.jpg" for i in range(8)
    ]
    assert found.tracks == 2
    assert between_the_eyes(lines).std(0).max() < 0.05


def test_a_face_that_leaves_and_returns(crops_of, tmp_path):
    covered = "drawbox=t=fill:color=gray:enable='between(t,0.79,2.39)'"
    path = make_clip(tmp_path / "away.mp4", TALKER, seconds=2.9, filters=covered)
    _, lines, _ = crops_of(path)
    frames = {name: [n["frame"] for n in lines if n["clip"] == name] for name in ("0001", "0002")}
    assert frames["0001"] == [0, 1, 2, 3]
    assert frames["0002"][0] == 12
    assert len(lines) == 4 + len(frames["0002"])


def test_frame_rate_and_number_of_frames(crops_of, clip):
    assert len(crops_of(clip, fps=10)[1]) == 10
    assert len(crops_of(clip, fps=1000)[1]) == 25
    assert [line["frame"] for line in crops_of(clip, max_frames=2)[1]] == [0, 1]


def test_a_track_longer_than_what_is_held_is_complete(crops_of, clip, monkeypatch):
    monkeypatch.setattr(CropWriter, "segment", 4)
    found, lines, _ = crops_of(clip, fps=10)
    assert [line["frame"] for line in lines] == list(range(10))
    assert found.tracks == 1
    assert between_the_eyes(lines).std(0).max() < 0.05  # no jump from part to part


def between_the_eyes(lines: list[dict]) -> np.ndarray:
    """(N, 2): in the crops."""
    return np.stack([points_in_crop(line)[:2].mean(0) for line in lines])


def test_half_a_face_is_none(backend, monkeypatch):
    image = read_image(FACES[0])
    (face,) = backend.detect([image])[0]
    cut = int(face.five_points[1, 0])
    assert is_inside(face, image.shape)
    for part in (image[:, : cut - 5], image[: int(face.five_points[4, 1]) - 5]):
        assert not is_inside(face, part.shape)
    (source,) = find_sources(str(FACES[0]), PreprocessSettings())
    monkeypatch.setattr(module, "read_image", lambda _: image[:, : cut - 5])

    class Sure:
        """Finds what it found in the whole picture."""

        name = "sure"

        def prepare(self):
            raise AssertionError("not called")

        def detect(self, images, *, min_face=24, refine=True):
            return [[face] for _ in images]

        def follow(self, images, previous):
            raise AssertionError("not called")

    found = extract_crops(source, PreprocessSettings(), Sure(), Shelf(), lambda _: None)
    assert (found.status, found.lines) == ("no-face", [])


def test_photographs(crops_of):
    found, (line,), crops = crops_of(FACES[0], size=64)
    stem = FACES[0].stem
    assert (found.status, line["time"], line["frame"]) == ("done", None, 0)
    assert line["path"] == f"{stem}/images/0001/{stem}.jpg"
    crop = crops[line["path"]]
    assert crop.shape == (64, 64, 3)
    expected = Alignment(np.array(line["alignment"]), 64).crop(read_image(FACES[0])).astype(int)
    assert np.abs(expected - crop).mean() < 3


def test_all_faces_of_a_photograph_are_different_people(crops_of, tmp_path):
    pair = np.hstack([read_image(FACES[0])[:600, :600], read_image(FACES[2])[:600, :600]])
    cv2.imwrite(str(tmp_path / "pair.png"), pair[..., ::-1])
    found, lines, _ = crops_of(tmp_path / "pair.png", faces="all")
    assert found.tracks == 2
    assert [n["path"] for n in lines] == [f"pair/images/pair/000{i}/pair.jpg" for i in (1, 2)]
    assert len(crops_of(tmp_path / "pair.png")[1]) == 1


def test_no_face(crops_of, tmp_path):
    path = tmp_path / "gray.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=gray:s=320x240:d=1", path)
    found, lines, crops = crops_of(path)
    assert (found.status, found.reason) == ("no-face", "no face of 32 pixels or more")
    assert (found.frames, lines, crops) == (5, [], {})


def test_a_smaller_face_than_wanted_is_none(crops_of, clip):
    assert probe(clip).height == 288
    assert crops_of(clip, min_face=250)[0].status == "no-face"


def test_the_same_bytes_again(crops_of, clip):
    first, second = crops_of(clip), crops_of(clip)
    assert first[0].lines == second[0].lines
    assert all((first[2][path] == second[2][path]).all() for path in first[2])


def test_a_video_damaged_in_the_middle_gives_what_can_be_decoded(tmp_path, clip, crops_of):
    path = tmp_path / "cut.mkv"
    run_ffmpeg("-i", clip, "-c", "copy", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found, lines, _ = crops_of(path)
    assert found.status == "done"
    assert 1 <= len(lines) < 5


def test_a_worker_says_what_is_wrong_instead_of_raising(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "missing")
    (tmp_path / "c.jpg").write_bytes(b"")
    task = WorkerTask(PreprocessSettings(), tmp_path, 60)
    results = {
        s.id: process_source(s, task, lambda _: None)
        for s in find_sources(str(tmp_path), PreprocessSettings())
    }
    found = {name.rpartition("/")[2]: (r.status, r.crops) for name, r in results.items()}
    assert found == {"a.mp4": ("unreadable", 0), "b.mp4": ("failed", 0), "c.jpg": ("unreadable", 0)}


def test_the_watchdog_is_set_for_every_frame_and_off_afterwards(tmp_path, clip, monkeypatch):
    calls = []

    monkeypatch.setattr(workers, "set_deadline", calls.append)
    monkeypatch.setattr(workers, "clear_deadline", lambda: calls.append("off"))
    (source,) = find_sources(str(clip), PreprocessSettings())
    task = WorkerTask(PreprocessSettings(), tmp_path, 60)
    result = process_source(source, task, lambda _: None)
    assert result.crops == 5
    assert calls == [60] * 6 + ["off"]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("x.webp", "libwebp_anim"), ("x.png", "apng"), ("x.avif", "libaom-av1")],
)
def test_an_animated_picture_is_a_video_whatever_its_suffix(tmp_path, clip, name, codec):
    """Photographs have such suffixes, too: the file is looked into."""
    more = {"apng": ["-f", "apng"], "libaom-av1": ["-cpu-used", "8"]}
    options = ["-c:v", codec, *more.get(codec, [])]
    folder = tmp_path / "in"
    folder.mkdir()
    run_ffmpeg("-i", str(clip), "-frames:v", "10", "-vf", "fps=5", *options, str(folder / name))
    (source,) = find_sources(str(folder / name), PreprocessSettings())
    for layout, frames in (("auto", 5), ("images", 1)):
        task = WorkerTask(PreprocessSettings(layout=layout), tmp_path / layout, 60)
        task.staging.mkdir()
        result = process_source(source, task, lambda _: None)
        assert (result.status, result.frames) == ("done", frames)
        paths = [json.loads(line)["path"] for line in result.lines[:-1]]
        if layout == "auto":
            assert paths == [f"x/images/0001/x/0001/{n:06d}.jpg" for n in range(5)]
        else:
            assert paths == ["x/images/0001/x.jpg"]


def test_a_video_with_the_suffix_of_a_picture(tmp_path, clip):
    path = tmp_path / "shot%03d.jpg"
    path.write_bytes(clip.read_bytes())
    (source,) = find_sources(str(path), PreprocessSettings())
    task = WorkerTask(PreprocessSettings(), tmp_path, 60)
    result = process_source(source, task, lambda _: None)
    assert (result.status, result.crops) == ("done", 5)
