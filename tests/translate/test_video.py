"""translate on arrays: whole videos and pictures, with real faces."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from facecycle_cli.errors import MediaError, NoFaceError
from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.backend import settled
from facecycle_cli.media import read_frames, read_image, second_process
from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.portrait.defaults import DEFAULT_SIZE, default_backend, default_model
from facecycle_cli.translate import video
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.video import Translation, translate, translate_picture


@pytest.fixture(scope="module")
def clip(examples) -> list[np.ndarray]:
    """A second of a person who speaks."""
    with read_frames(examples / "talker.mpg", max_frames=24) as frames:
        return [frame.image for frame in frames]


@pytest.fixture(scope="module")
def target(examples) -> np.ndarray:
    image = read_image(examples / "faces" / "person2_neutral.jpg")
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def face(backend, target) -> Face:
    return settled(backend, [target], backend.detect([target])[0][:1])[0]


@pytest.fixture(scope="module")
def tiny() -> FaceCycle:
    """Networks that cost nothing and mean nothing, but whose flows are smooth and not zero."""
    torch.manual_seed(0)
    config = replace(
        preset("small"),
        encoder_widths=(4, 4, 4, 4),
        encoder_features=4,
        encoder_hidden=8,
        flow_decoder_widths=(4, 4, 4),
        trunk_widths=(4, 4, 4),
        expression_decoder_width=4,
        expression_decoder_blocks=1,
        expression_decoder_upsampling_widths=(4, 4),
        identity_decoder_width=4,
        identity_decoder_blocks=1,
        identity_decoder_upsampling_widths=(4, 4),
    )
    return FaceCycle(config).eval().requires_grad_(False)


class StubBackend:
    """Sees ``face``, in frames moved by their first pixel's value, and nothing in black ones."""

    name = "stub"

    def __init__(self, face: Face) -> None:
        self.face = face

    def prepare(self) -> None:
        pass

    def detect(
        self, images: Sequence[np.ndarray], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        return [[self._see(image)] if image.any() else [] for image in images]

    def follow(
        self, images: Sequence[np.ndarray], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        pairs = zip(images, previous, strict=True)
        return [None if last is None or not im.any() else self._see(im) for im, last in pairs]

    def _see(self, image: np.ndarray) -> Face:
        if len(image) != 64:  # the target
            return self.face
        shift = np.array([image[0, 0, 0], 0, 0], np.float32)
        return replace(self.face, landmarks=self.face.landmarks + shift)


@pytest.fixture
def stub(face) -> StubBackend:
    return StubBackend(face)


def run(frames, target, model, backend, fps=25.0, measure=False, second_process=False, **settings):
    made = Translation(
        iter(frames),
        target,
        fps=fps,
        model=model,
        backend=backend,
        settings=TranslateSettings(**settings),
        measure=measure,
        second_process=second_process,
    )
    return list(made), made


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference in gray levels."""
    return float(np.abs(one.astype(float) - other).mean())


def test_a_frame_for_every_frame(clip, target, model, backend):
    frames, made = run(clip, target, model, backend, measure=True)
    assert [f.shape for f in frames] == [(256, 256, 3)] * len(clip)
    assert {f.dtype for f in frames} == {np.dtype(np.uint8)}
    report = made.report()
    assert (report["frames"], report["faces_found"], report["frames_held"]) == (24, 24, 0)
    assert report["yaw_error"] < 10
    assert set(report) >= {"yaw_correlation", "mouth_correlation"}


def test_same_input_same_frames(clip, target, model, backend):
    first, _ = run(clip[:9], target, model, backend)
    second, _ = run(clip[:9], target, model, backend)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_relative_motion_of_a_still_source_leaves_the_photograph_alone(
    clip, target, face, model, backend
):
    frames, _ = run([clip[0]] * 12, target, model, backend, motion="relative")
    crop = Alignment.from_face(face, 256).crop(target)
    assert max(differ(frame, crop) for frame in frames) < 1


def test_absolute_motion_takes_the_pose(examples, target, model, backend):
    with read_frames(examples / "head_turn.gif") as reader:
        frames = [frame.image for frame in reader]
    made, translation = run(
        frames, target, model, backend, fps=5.0, measure=True, motion="absolute"
    )
    report = translation.report()
    assert len(made) == len(frames)
    assert report["yaw_correlation"] > 0.8


def test_paste_back_moves_the_face_within_the_whole_picture(target, tiny, stub):
    frames, _ = run([bright(k) for k in range(10)], target, tiny, stub, paste_back=True, smooth=0)
    assert all(frame.shape == target.shape for frame in frames)
    changed = np.abs(frames[-1].astype(int) - target).max(axis=2) > 3
    assert changed.any()
    rows, columns = 24, 24
    assert not changed[:rows, :columns].any()
    assert not changed[:rows, -columns:].any()


def test_side_by_side_shows_the_source(clip, target, model, backend):
    frames, _ = run(clip[:3], target, model, backend, side_by_side=True, size=128)
    height, width = clip[0].shape[:2]
    wide = round(width * 128 / height)
    assert frames[0].shape == (128, wide + 128, 3)
    shown = cv2.resize(clip[2], (wide, 128), interpolation=cv2.INTER_AREA)
    assert np.array_equal(frames[2][:, :wide], shown)


def bright(value: int) -> np.ndarray:
    frame = np.full((64, 64, 3), 100, np.uint8)
    frame[0, 0] = value
    return frame


def black() -> np.ndarray:
    return np.zeros((64, 64, 3), np.uint8)


def test_frames_without_a_face_hold_the_last_motion(face, target, tiny, stub):
    source = [black(), black(), *(bright(k) for k in range(8)), black(), black(), bright(3)]
    frames, made = run(source, target, tiny, stub, smooth=0)
    crop = Alignment.from_face(face, 256).crop(target)
    assert differ(frames[0], crop) < 1
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[9], frames[10])
    assert np.array_equal(frames[9], frames[11])
    assert not np.array_equal(frames[4], frames[5])
    assert (made.frames, made.faces_found) == (13, 9)
    assert made.report()["frames_held"] == 4


def test_no_face_in_the_source(target, tiny, stub):
    with pytest.raises(NoFaceError, match="no face"):
        run([black()] * 20, target, tiny, stub)


def test_no_face_in_the_target(clip, model, backend):
    with pytest.raises(NoFaceError, match="no face"):
        Translation(iter(clip), np.full((90, 90, 3), 127, np.uint8), model=model, backend=backend)


def test_an_unknown_choice_of_face(target, tiny, stub):
    with pytest.raises(ValueError, match="middle"):
        Translation(
            iter(()), target, model=tiny, backend=stub, settings=TranslateSettings(face="middle")
        )


def test_what_fails_in_the_source_is_raised_here(target, tiny, stub):
    def frames():
        yield from [bright(0)] * 40
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        run(frames(), target, tiny, stub)


def test_closing_ends_the_threads(target, tiny, stub):
    before = threading.active_count()
    endless = (bright(k % 8) for k in itertools.count())
    with Translation(endless, target, model=tiny, backend=stub) as made:
        next(made)
        assert threading.active_count() > before
    assert threading.active_count() == before
    with pytest.raises(StopIteration):
        next(made)


def test_a_second_process_draws_the_same(target, tiny, stub, monkeypatch):
    """Also where the face is away, and with all of the networks."""
    frames = [bright(k % 8) if k % 7 else np.zeros_like(bright(0)) for k in range(30)]
    take, taken = second_process._SecondProcess.take, []

    def patient(self, batch):
        assert self.ready.wait(60)
        future = take(self, batch)
        taken.append(future is not None)
        return future

    monkeypatch.setattr(second_process._SecondProcess, "take", patient)
    settings = {"size": 64, "motion_from": "networks"}
    alone, _ = run(frames, target, tiny, stub, **settings)
    shared, made = run(frames, target, tiny, stub, second_process=True, **settings)
    np.testing.assert_array_equal(shared, alone)
    assert any(taken)
    assert made.report() == {"frames": 30, "faces_found": 25, "frames_held": 5}


def test_memory_does_not_grow_with_length(target, tiny, stub):
    """Thirty-two frames later no more is held: not even the half of each 64x64 picture."""
    endless = (bright(k % 8) for k in itertools.count())
    settings = TranslateSettings(size=64)
    tracemalloc.start()
    try:
        with Translation(endless, target, fps=5, model=tiny, backend=stub, settings=settings) as m:
            held = [tracemalloc.get_traced_memory()[0] for _ in itertools.islice(m, 80)]
    finally:
        tracemalloc.stop()
    # After half of them all stages have their frames. The least of sixteen frames counts, because
    # the threads hold batches of eight in between.
    early, late = min(held[32:48]), min(held[64:])
    assert late - early < 32 * bright(0).nbytes / 2


def test_the_target_is_encoded_once(target, tiny, stub, monkeypatch):
    """Its trunk runs for its photograph and its neutral face, and never again."""
    calls = {"trunk": 0, "encoder": 0}

    def counted(name, forward):
        def wrapper(*arguments, **options):
            calls[name] += 1
            return forward(*arguments, **options)

        return wrapper

    monkeypatch.setattr(tiny.trunk, "forward", counted("trunk", tiny.trunk.forward))
    encoder = tiny.expression_encoder
    monkeypatch.setattr(encoder, "forward", counted("encoder", encoder.forward))
    run([bright(k % 8) for k in range(48)], target, tiny, stub)
    assert calls["trunk"] == 2
    assert calls["encoder"] == 1 + 48 // 8


def test_the_motion_of_a_picture(clip, target, model, backend):
    result = translate_picture(clip[0], target, model=model, backend=backend)
    assert result.shape == (256, 256, 3)
    pasted = translate_picture(
        clip[0], target, model=model, backend=backend, settings=TranslateSettings(paste_back=True)
    )
    assert pasted.shape == target.shape
    with pytest.raises(NoFaceError):
        translate_picture(np.zeros((80, 80, 3), np.uint8), target, model=model, backend=backend)


def test_a_picture_beside_its_source(clip, target, tiny, stub):
    settings = TranslateSettings(side_by_side=True, size=128)
    both = translate_picture(clip[0], target, model=tiny, backend=stub, settings=settings)
    height, width = clip[0].shape[:2]
    wide = round(width * 128 / height)
    assert both.shape == (128, wide + 128, 3)
    alone = translate_picture(
        clip[0], target, model=tiny, backend=stub, settings=TranslateSettings(size=128)
    )
    assert np.array_equal(both[:, wide:], alone)


def test_a_picture_is_no_video(clip, target, tiny, stub):
    with pytest.raises(MediaError, match="translate_picture"):
        translate(clip[0], target, model=tiny, backend=stub)


def test_a_video_is_an_iterator(clip, target, model, backend):
    frames = translate(
        iter(clip[:4]), target, model=model, backend=backend, fps=float(Fraction(25))
    )
    assert len(list(frames)) == 4


def test_calls_without_networks_share_them(clip, target, monkeypatch):
    """One checkpoint and one backend are opened, whatever the number of calls."""
    opened = []
    monkeypatch.setattr(video, "default_model", lambda: opened.append("model") or default_model())
    monkeypatch.setattr(
        video, "default_backend", lambda: opened.append("backend") or default_backend()
    )
    first = translate_picture(clip[0], target, settings=TranslateSettings(size=64))
    second = next(translate(iter(clip[:1]), target, settings=TranslateSettings(size=64)))
    assert first.shape == second.shape
    assert opened == ["model", "backend"] * 2
    assert default_model() is default_model()


def test_the_default_size_is_that_of_all_commands():
    assert TranslateSettings().size == DEFAULT_SIZE
