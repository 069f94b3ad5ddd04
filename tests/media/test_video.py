"""Videos in: exact rates and counts, rotation, damage, no ffmpeg left behind."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg, is_still, open_video, probe, read_frames, video_info

from .videos import NTSC, children, make, numbered, numbers, pattern, write


def test_probe(clip):
    info = probe(clip)
    assert (info.width, info.height, info.fps) == (64, 48, NTSC)
    assert (info.codec, info.audio_codec, info.has_audio) == ("h264", "aac", True)
    assert info.duration == pytest.approx(1.0, abs=0.05)
    assert abs(info.expected_frames - 30) <= 1


def test_frames_are_arrays_in_order(tmp_path):
    path = write(tmp_path / "x.mp4", numbered(20))
    frames = list(read_frames(path))
    assert [frame.number for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(20)])
    assert frames[3].image.shape == (32, 48, 3)
    assert frames[3].image.flags.c_contiguous
    assert numbers(path) == list(range(20))


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "50", "10", "12.5"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rates_and_counts_are_exact(tmp_path, rate, suffix):
    path = write(tmp_path / f"x{suffix}", numbered(13), Fraction(rate))
    assert probe(path).fps == Fraction(rate)
    assert numbers(path) == list(range(13))


def test_fewer_frames_on_request(tmp_path):
    path = write(tmp_path / "x.mp4", numbered(25))
    frames = list(read_frames(path, fps=5))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert numbers(path, fps=5) == [0, 5, 10, 15, 20]
    assert numbers(path, fps=50) == list(range(25)), "no frame is repeated"
    assert numbers(path, max_frames=4) == [0, 1, 2, 3]


def test_part_of_a_video(tmp_path):
    path = write(tmp_path / "x.mp4", numbered(25))
    assert numbers(path, start=0.4, duration=0.2) == [10, 11, 12, 13, 14]
    first = next(read_frames(path, start=0.4))
    assert (first.number, first.time) == (0, 0.4)
    with pytest.raises(MediaError, match="no frames there"):
        list(read_frames(path, start=60))


def test_scaled_decoding(clip):
    assert next(read_frames(clip, size=(20, 15))).image.shape == (15, 20, 3)


@pytest.fixture
def north(photo) -> np.ndarray:
    """A picture that shows which way is up: white above, black below, red on the left."""
    picture = np.zeros_like(photo)
    picture[: len(photo) // 2] = 255
    picture[:, : photo.shape[1] // 4] = (255, 0, 0)
    return picture


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("options", [{}, {"fps": 5, "threads": 1}], ids=["whole", "thinned"])
def test_frames_come_out_upright(tmp_path, north, degrees, options):
    """The camera lay on its side; the file asks the player to turn its pictures back."""
    stored = np.ascontiguousarray(np.rot90(north, -degrees // 90))
    flat = write(tmp_path / "flat.mp4", [stored] * 10)
    (first, *_) = read_frames(flat, **options)
    assert np.abs(np.rot90(first.image, degrees // 90).astype(int) - north).mean() < 8
    assert first.image.shape != north.shape or np.abs(first.image.astype(int) - north).mean() > 60

    turned = tmp_path / "turned.mp4"
    make(turned, "-display_rotation", str(degrees), "-i", str(flat), "-c", "copy")
    info = probe(turned)
    assert info.rotation % 360 == degrees
    assert (info.height, info.width) == north.shape[:2]
    frames = list(read_frames(turned, **options))
    assert len(frames) == (2 if options else 10)
    for frame in frames:
        assert frame.image.shape == north.shape
        assert np.abs(frame.image.astype(int) - north).mean() < 8


def test_a_turned_video_is_scaled_upright(tmp_path, north):
    flat = write(tmp_path / "flat.mp4", [np.ascontiguousarray(np.rot90(north, -1))] * 2)
    turned = make(tmp_path / "x.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    image = next(read_frames(turned, size=(40, 30))).image
    assert image.shape == (30, 40, 3)
    assert (image[:10, 20:] > 200).all()
    assert (image[20:, 20:] < 50).all()
    assert (image[:, :5, 0] > 150).all()


@pytest.mark.parametrize(
    ("aspect", "width"), [("2/1", 128), ("10/11", 58), ("40/33", 78), ("10/1", 640), ("0/1", 64)]
)
def test_oblong_pixels_become_square(tmp_path, aspect, width):
    wide = make(tmp_path / "wide.mp4", *pattern(), "-vf", f"setsar={aspect}", "-frames:v", "2")
    assert (probe(wide).width, probe(wide).height) == (width, 48)
    assert next(read_frames(wide)).image.shape == (48, width, 3)


def test_varying_rate_keeps_its_times(tmp_path):
    """Ten frames at 25 per second, then ten that stand for 0.2 s each: none is repeated."""
    path = tmp_path / "varying.mkv"
    expression = "round(if(lt(N,10),N/25,0.4+(N-10)/5)/TB)"
    make(path, *pattern(rate="25"), "-vf", f"setpts='{expression}'", "-fps_mode", "vfr",
         "-frames:v", "20")  # fmt: skip
    frames = list(read_frames(path))
    expected = [*range(10), *range(10, 60, 5)]
    assert [frame.number for frame in frames] == expected
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in expected])
    assert [frame.number for frame in read_frames(path, fps=5)] == list(range(12))


def test_absurd_rate_becomes_usual(clip, monkeypatch):
    monkeypatch.setattr(video_info, "_MAX_FPS", Fraction(20))
    assert probe(clip).fps == 30


def test_gif_in(tmp_path):
    path = tmp_path / "x.gif"
    images = [Image.fromarray(frame) for frame in numbered(6)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    assert probe(path).fps == 10
    assert not probe(path).has_audio
    assert numbers(path) == list(range(6))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.mp4", b"", "empty file"),
        ("x.txt", b"hello\n" * 100, "not a video in a known format|not a readable video"),
        ("x.txt", b"hello", "not a video in a known format|not a readable video"),
        ("x.mp4", b"hello\n" * 100, r"not a readable video \((moov atom not found|Invalid)"),
        ("x.mkv", b"\x1a\x45\xdf\xa3" + b"\0" * 500, "not a readable video|no video"),
    ],
)
def test_what_is_no_video(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    for look in (probe, read_frames):
        with pytest.raises(MediaError, match=message) as error:
            look(path)
        assert "\n" not in str(error.value)
        assert str(tmp_path) not in str(error.value)


def test_sound_only_and_missing(clip, tmp_path):
    path = make(tmp_path / "x.m4a", "-i", str(clip), "-vn", "-c", "copy")
    with pytest.raises(MediaError, match="no video in this file"):
        probe(path)
    with pytest.raises(FileNotFoundError):
        read_frames(tmp_path / "gone.mp4")
    with pytest.raises(IsADirectoryError):
        probe(tmp_path)


def test_truncated_video_gives_its_good_frames_and_a_warning(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(60)]
    whole = write(tmp_path / "whole.mp4", noise)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    reader = read_frames(cut)
    count = sum(1 for _ in reader)
    assert 10 < count < 60
    assert reader.warning is not None
    assert "\n" not in reader.warning
    complete = read_frames(whole)
    assert sum(1 for _ in complete) == 60
    assert complete.warning is None


def test_no_ffmpeg_is_left_behind(clip):
    before = children()
    reader = read_frames(clip)
    next(reader)
    assert len(children() - before) == 1
    reader.close()
    assert children() == before
    assert list(reader) == []

    with read_frames(clip) as reader:
        next(reader)
    assert children() == before

    reader = read_frames(clip)
    next(reader)
    del reader
    gc.collect()
    assert children() == before

    assert len(list(read_frames(clip))) == 30
    assert children() == before


def test_memory_does_not_grow_with_length(tmp_path):
    path = make(tmp_path / "long.mp4", *pattern("320x240", "25", 6), "-preset", "ultrafast")
    tracemalloc.start()
    try:
        peaks = []
        for count in (20, 140):
            tracemalloc.reset_peak()
            with open_video(tmp_path / "y.mp4", Fraction(25), (320, 240), provenance=None) as out:
                for frame in itertools.islice(read_frames(path), count):
                    out.write(frame.image)
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_missing_ffmpeg_is_one_line(clip, monkeypatch):
    import imageio_ffmpeg

    def missing():
        raise RuntimeError("No ffmpeg exe could be found. Install ffmpeg on your system, ...")

    ffmpeg.executable.cache_clear()
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(MediaError, match="ffmpeg is missing"):
        probe(clip)
    ffmpeg.executable.cache_clear()


def test_ffmpeg_that_cannot_start_is_one_line(clip, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nonexistent/ffmpeg")
    ffmpeg.executable.cache_clear()
    with pytest.raises((MediaError, OSError)):
        probe(clip)
    ffmpeg.executable.cache_clear()


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("", "ffmpeg failed without an error message"),
        ("[in#0 @ 0x55] Error opening input: Invalid data\nError opening input file x.\n",
         "Invalid data"),
        ("[mov @ 0x1] Format mov detected only with low score\n[mov @ 0x1] moov atom not found\n",
         "moov atom not found"),
        ("[out#0/mp4 @ 0x1] [x] Could not write header\n", "Could not write header"),
    ],
)  # fmt: skip
def test_failure_reason_is_the_line_that_says_what_is_wrong(messages, expected):
    assert ffmpeg.failure_reason(messages) == expected


def test_real_clips(shared_data):
    """MPEG-1 from a corpus, an animation, a phone-like MP4 whose rate varies."""
    grid = sorted((shared_data / "clips" / "grid").iterdir())[0]
    assert (probe(grid).fps, probe(grid).audio_codec) == (25, "mp2")
    assert len(list(read_frames(grid))) == 75
    turn = sorted((shared_data / "clips" / "head_turn").iterdir())[0]
    assert len(list(read_frames(turn))) == 56


@pytest.mark.parametrize("name", ["a.mjpeg", "a.MJPG"])
def test_raw_jpeg_pictures_of_a_camera(tmp_path, name):
    """Large first pictures: ffmpeg then guesses that the file is a picture."""
    raw = make(tmp_path / "x.mjpeg", *pattern("640x480", rate="25", seconds=0.4), "-q:v", "1")
    path = raw.rename(tmp_path / name)
    assert not is_still(path)
    assert len(list(read_frames(path))) == 10
