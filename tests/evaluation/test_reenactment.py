"""Reenactment: what the instrument says of outputs that are known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("skimage")

from facecycle_cli.errors import EvaluationError, NoFaceError
from facecycle_cli.evaluation.differences import Flicker
from facecycle_cli.evaluation.motion_measures import (
    FACE_MEASURES,
    GAZE,
    IRIS_GAZE,
    MotionMeasures,
    eye_distance,
)
from facecycle_cli.evaluation.reenactment import Reenactment, evaluate_reenactment, measure_clip
from facecycle_cli.evaluation.reenactment_meters import Pair, SelfMeter, target_face
from facecycle_cli.evaluation.strips import COLUMNS, Strip, StripFrame
from facecycle_cli.faces import Face, load_backend
from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze
from facecycle_cli.media import read_frames
from tests.clips import TALKER, TURNER, make_clip


@pytest.fixture(scope="module")
def judge():
    return load_backend(threads=1)


@pytest.fixture(scope="module")
def turning() -> list[np.ndarray]:
    """A head that turns."""
    with read_frames(TURNER, max_frames=9) as frames:
        return [frame.image for frame in frames]


def measured(frames, outputs, model, judge):
    """What is said of outputs for all frames but the first one."""
    meter = SelfMeter(frames[0], target_face(frames[0], judge), model, judge)
    for k, (frame, output) in enumerate(zip(frames[1:], outputs, strict=True)):
        meter.add(Pair(k / 5, frame, output))
    return meter.result("clip.gif")


def test_the_clip_itself_is_perfect_and_better_than_both_baselines(turning, model, judge):
    result = measured(turning, turning[1:], model, judge)
    output = result.pictures["output"]
    assert (output.l1, result.frames, result.output_lost) == (0.0, 8, 0)
    assert output.ssim == pytest.approx(1)
    assert output.akd == pytest.approx(0, abs=0.5)  # the same face, found from another position
    assert output.identity == pytest.approx(1, abs=0.01)
    assert result.motion["yaw"].slope == pytest.approx(1, abs=0.02)
    assert result.motion["yaw"].correlation == pytest.approx(1, abs=0.01)
    assert result.flicker["output"] == result.flicker["source"]
    assert result.better is True


def test_the_first_frame_repeated_is_its_baseline(turning, model, judge):
    result = measured(turning, [turning[0]] * 8, model, judge)
    output, first = result.pictures["output"], result.pictures["first_frame"]
    best = result.pictures["best_similarity"]
    assert (output.l1, output.ssim) == (first.l1, first.ssim)
    assert output.akd == pytest.approx(first.akd, abs=0.5)
    assert output.akd_aligned == pytest.approx(best.akd, abs=0.5)
    assert best.akd == pytest.approx(best.akd_aligned)
    assert first.akd > best.akd > 1
    assert result.motion["yaw"].slope == pytest.approx(0, abs=0.02)
    assert result.better is False


def test_a_moved_output_is_off_by_as_much(turning, model, judge):
    """Landmarks of the picture moved by a known number of pixels, and only those."""
    moved = [np.roll(frame, 12, axis=1) for frame in turning[1:4]]
    eyes = eye_distance(target_face(turning[1], judge))
    output = measured(turning[:4], moved, model, judge).pictures["output"]
    assert output.akd == pytest.approx(100 * 12 / eyes, rel=0.15)
    assert output.akd_aligned < 0.2 * output.akd


def test_a_face_that_is_gone_is_counted_and_not_compared(turning, model, judge):
    gray = np.full_like(turning[0], 127)
    lost = measured(turning[:4], [turning[1], gray, turning[3]], model, judge)
    assert (lost.frames, lost.source_lost, lost.output_lost) == (3, 0, 1)
    gone = measured([turning[0], gray, turning[2]], turning[1:3], model, judge)
    assert (gone.frames, gone.source_lost) == (1, 1)
    with pytest.raises(EvaluationError, match="no frame shows the face"):
        measured([turning[0], gray], [turning[0]], model, judge)


# -- motion ----------------------------------------------------------------------------------------


def numbers(face: Face) -> dict[str, float]:
    return {measure.name: measure.of(face) for measure in FACE_MEASURES}


def changed(face: Face, landmarks: np.ndarray) -> Face:
    return replace(face, landmarks=landmarks.astype(np.float32))


def test_size_place_and_roll_change_no_measure_but_roll(face):
    turned = cv2.getRotationMatrix2D((50, 80), -20, 2.5)  # clockwise in the picture
    points = face.landmarks.astype(np.float64)
    moved = np.column_stack((points[:, :2] @ turned[:, :2].T + turned[:, 2], 2.5 * points[:, 2]))
    before, after = numbers(face), numbers(changed(face, moved))
    assert after.pop("roll") - before.pop("roll") == pytest.approx(20, abs=0.01)
    assert after == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "points", "step"),
    [
        ("corner_height", lambda t: t.mouth, (0, -0.1)),
        ("brow_height", lambda t: t.left_brow + t.right_brow, (0, -0.1)),
        ("mouth_width", lambda t: t.mouth[1:], (0.1, 0)),
        ("mouth_opening", lambda t: t.inner_lips[1:], (0, 0.1)),
        ("eye_opening", lambda t: t.left_lids[0][1:-1] + t.right_lids[0][1:-1], (0, -0.1)),
        ("pucker", lambda t: t.outer_lips[1:], (0, 0.1)),
    ],
)
def test_each_measure_grows_with_what_it_is_named_after(face, name, points, step):
    landmarks = face.landmarks.copy()
    eyes = np.linalg.norm(face.five_points[1] - face.five_points[0])
    landmarks[list(points(face.topology)), :2] += eyes * np.array(step, np.float32)
    assert numbers(changed(face, landmarks))[name] > numbers(face)[name] + 0.05


def test_a_slope_is_given_only_where_the_source_moves(face):
    measures = MotionMeasures()
    corners = list(face.topology.mouth)
    for k in range(8):
        source, output = face.landmarks.copy(), face.landmarks.copy()
        source[corners[0], 0] -= 4 * k
        output[corners[0], 0] -= 2 * k
        measures.add(changed(face, source), changed(face, output))
    summary = measures.summary()
    assert summary["mouth_width"].slope == pytest.approx(0.5, abs=0.05)
    assert summary["mouth_width"].correlation == pytest.approx(1, abs=0.01)
    assert summary["brow_height"].spread == pytest.approx(0, abs=1e-4)
    assert (summary["brow_height"].slope, summary["brow_height"].correlation) == (None, None)


@pytest.mark.parametrize("measure", [GAZE, IRIS_GAZE])
def test_gaze_counts_where_both_eyes_are_seen(measure):
    measures = MotionMeasures()
    assert measures.summary()[measure.name].slope is None
    for k in range(8):
        source, output = np.array([0.05 * k, 0.3]), np.array([0.04 * k, -0.3])
        measures.add_gaze(measure, Gaze(source, 1.0), Gaze(output, 1.0))
        measures.add_gaze(measure, Gaze(source, 1.0), Gaze(np.ones(2), 0.1))
        measures.add_gaze(measure, UNKNOWN_GAZE, Gaze(np.ones(2), 1.0))
    assert measures.summary()[measure.name].slope == pytest.approx(0.8)


# -- flicker and strips ----------------------------------------------------------------------------


def test_flicker_is_measured_where_the_source_is_still():
    noise = np.random.default_rng(0)
    picture = np.full((80, 80, 3), 100, np.uint8)
    box, flicker = np.array([-10.0, 0, 90, 80]), Flicker()
    for k in range(6):
        source, output = picture.copy(), picture.copy()
        source[:, 40:] += np.uint8(20 * k % 60)  # this half moves
        output[:, 40:] = noise.integers(0, 255, (80, 40, 3))
        output[:, :40] += np.uint8(2 * (k % 2))
        flicker.add(source, output, box)
    assert flicker.source == 0
    assert flicker.output == pytest.approx(4)  # |2 - 2 * 0 + 2|


def test_flicker_does_not_reach_over_a_gap():
    flicker = Flicker()
    for k in range(4):
        if k == 2:
            flicker.interrupt()
        flicker.add(*[np.full((40, 40, 3), k, np.uint8)] * 2, np.array([0, 0, 40, 40]))
    assert (flicker.source, flicker.output) == (None, None)


@pytest.mark.parametrize("length", [1, 4, 6, 7, 1000])
def test_a_strip_is_spread_evenly_over_any_length(length):
    strip, tile = Strip(), np.zeros((8, 8, 3), np.uint8)
    for k in range(length):
        if strip.wants_next:
            strip.add(StripFrame(k, {"source": tile, "output": tile}))
        else:
            strip.skip()
    times = [frame.time for frame in strip.chosen()]
    assert len(times) == min(length, COLUMNS)
    assert times[0] == 0
    assert times[-1] >= 0.93 * (length - 1)
    assert np.ptp(np.diff(times)) <= max(1, 0.05 * length) if length > 1 else True
    assert strip.sheet().shape[0] > 2 * 8


# -- whole clips -----------------------------------------------------------------------------------


def test_clips_that_cannot_be_used_do_not_end_the_others(tmp_path, examples, model, judge):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    still = examples / "faces" / "person1_neutral.jpg"
    paths = [str(p) for p in (tmp_path / "broken.mp4", still, tmp_path / "gone.mp4", TALKER)]
    done, failed = [], []
    result = evaluate_reenactment(
        paths,
        Reenactment(model, judge, judge, max_frames=5),
        on_done=done.append,
        on_problem=lambda name, error: failed.append(name),
    )
    assert failed == [name for name, _ in result.problems] == paths[:3]
    assert "a picture has no motion" in str(result.problems[1][1])
    assert [clip.name for clip in result.clips] == [clip.name for clip in done] == paths[3:]
    assert result.clips[0].frames == 4
    assert done[0].strip is not None
    assert result.clips[0].strip is None
    assert set(result.clips[0].pictures) == {"output", "first_frame", "best_similarity"}
    means = result.picture_means()["output"]
    assert means["l1"] == result.clips[0].pictures["output"].l1


def test_frames_before_the_first_face_are_left_out(tmp_path, model, judge):
    clip = make_clip(tmp_path / "late.mp4", seconds=0.6, filters="drawbox=t=fill:enable='lt(n,3)'")
    result = measure_clip(str(clip), Reenactment(model, judge, judge, max_frames=7))
    assert result.frames == 3


def test_another_person_is_measured_by_motion_and_identity_alone(photograph, model, judge):
    how = Reenactment(model, judge, judge, cross=photograph, max_frames=5)
    result = measure_clip(str(TALKER), how)
    assert set(result.pictures) == {"output"}
    assert result.pictures["output"].l1 is None
    assert result.pictures["output"].identity > 0.5
    assert (result.frames, result.flicker, result.better) == (5, {}, None)


def test_a_clip_without_a_face(tmp_path, model, judge):
    empty = make_clip(tmp_path / "gray.mp4", seconds=0.2, filters="drawbox=t=fill:color=gray")
    with pytest.raises(NoFaceError, match="no face found"):
        measure_clip(str(empty), Reenactment(model, judge, judge, max_frames=3))
