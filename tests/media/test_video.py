"""Videos in and out: exact rates and counts, sound, odd names, damage, no ffmpeg left behind."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.media import MediaError, ffmpeg, open_video, probe, read_frames, video

NTSC = Fraction(30000, 1001)


def make(path: Path, *arguments: str) -> Path:
    """A video by ffmpeg itself."""
    done = ffmpeg.run(["-y", *arguments, ffmpeg.url(path)])
    assert done.returncode == 0, done.stderr
    return path


def pattern(size="64x48", rate="30000/1001", seconds=1.0):
    return ["-f", "lavfi", "-i", f"testsrc=s={size}:r={rate}:d={seconds}"]


SINE = ["-f", "lavfi", "-i", "sine=d=1"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """30 frames at 30000/1001 with sound (AAC)."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make(path, *pattern(), *SINE, "-frames:v", "30", "-pix_fmt", "yuv420p", "-c:a", "aac")


def numbered(count: int, size=(48, 32)):
    """Frames whose brightness is their number: 0, 8, 16, ..."""
    width, height = size
    return [np.full((height, width, 3), 8 * i, np.uint8) for i in range(count)]


def write(path, frames, fps=Fraction(25), **options):
    height, width = frames[0].shape[:2]
    with open_video(path, fps, (width, height), provenance=None, **options) as target:
        for frame in frames:
            target.write(frame)
    return path


def numbers(path, **options) -> list[int]:
    """Which of the `numbered` frames a video shows."""
    return [round(frame.image.mean() / 8) for frame in read_frames(path, **options)]


def children() -> set[int]:
    if not sys.platform.startswith("linux"):
        pytest.skip("looks into /proc")
    tasks = Path("/proc/self/task")
    return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}


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
    assert len(list(read_frames(path, fps=50))) == 50
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


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path, photo, degrees):
    flat = write(tmp_path / "flat.mp4", [photo] * 2)
    turned = tmp_path / "turned.mp4"
    make(turned, "-display_rotation", str(degrees), "-i", str(flat), "-c", "copy")
    expected = np.rot90(photo, degrees // 90)
    info = probe(turned)
    assert (info.height, info.width) == expected.shape[:2]
    assert info.rotation % 360 == degrees
    assert np.abs(next(read_frames(turned)).image.astype(int) - expected).mean() < 4


def test_oblong_pixels_become_square(tmp_path):
    wide = make(tmp_path / "wide.mp4", *pattern(), "-vf", "setsar=2/1", "-frames:v", "2")
    assert (probe(wide).width, probe(wide).height) == (128, 48)
    assert next(read_frames(wide)).image.shape == (48, 128, 3)


def test_varying_rate_is_made_constant(tmp_path):
    """Ten frames at 25 per second, then ten that stand for 0.2 s each."""
    path = tmp_path / "varying.mkv"
    expression = "if(lt(N,10),N/25,0.4+(N-10)/5)/TB"
    make(path, *pattern(rate="25"), "-vf", f"setpts='{expression}'", "-fps_mode", "vfr",
         "-frames:v", "20")  # fmt: skip
    info = probe(path)
    frames = list(read_frames(path))
    assert frames[-1].time == pytest.approx(2.2, abs=0.3)
    assert len(frames) == pytest.approx(frames[-1].time * info.fps, abs=2)


def test_absurd_rate_becomes_usual(clip, monkeypatch):
    monkeypatch.setattr(video, "_FASTEST", Fraction(20))
    assert probe(clip).fps == 30


def test_gif_in(tmp_path):
    path = tmp_path / "x.gif"
    images = [Image.fromarray(frame) for frame in numbered(6)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    assert probe(path).fps == 10
    assert not probe(path).has_audio
    assert numbers(path) == list(range(6))


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif"])
def test_formats_out(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", numbered(8), Fraction(10))
    assert numbers(path) == pytest.approx(list(range(8)), abs=0)
    assert os.listdir(tmp_path) == [path.name]
    codec = {".gif": "gif", ".webm": "vp9"}.get(suffix, "h264")
    assert probe(path).codec == codec


def test_colours_survive(tmp_path):
    colours = [(200, 30, 40), (30, 180, 60), (20, 40, 220), (250, 250, 250), (5, 5, 5)]
    frames = [np.full((32, 32, 3), colour, np.uint8) for colour in colours]
    for suffix in (".mp4", ".webm", ".gif"):
        path = write(tmp_path / f"x{suffix}", frames, Fraction(5))
        for frame, colour in zip(read_frames(path), colours, strict=True):
            assert np.abs(frame.image.astype(int) - colour).max() <= 6, (suffix, colour)


def test_mp4_is_what_players_want(clip, tmp_path):
    path = write(tmp_path / "x.mp4", numbered(5), audio_from=clip)
    told = ffmpeg.run(["-i", ffmpeg.url(path)]).stderr
    assert "yuv420p(tv, bt709" in told
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads


def test_odd_sizes_are_padded_where_needed(tmp_path):
    frames = numbered(3, (47, 31))
    assert probe(write(tmp_path / "x.mp4", frames)).width == 48
    image = next(read_frames(write(tmp_path / "y.mp4", [frames[2]]))).image
    assert image.shape == (32, 48, 3)
    assert abs(int(image[-1, -1, 0]) - 16) < 4  # a repeated line, not a black one
    info = probe(write(tmp_path / "x.gif", frames))
    assert (info.width, info.height) == (47, 31)


def audio_hash(path, *options) -> str:
    """Fingerprint of the encoded sound."""
    done = ffmpeg.run(["-i", ffmpeg.url(path), "-map", "0:a", "-c", "copy", "-f", "md5", "-"])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("suffix", "codec", "copied"), [(".mp4", "aac", True), (".mkv", "aac", True),
                                    (".webm", "opus", False)]
)  # fmt: skip
def test_sound_is_copied_where_it_fits(clip, tmp_path, suffix, codec, copied):
    path = write(tmp_path / f"x{suffix}", numbered(30), NTSC, audio_from=clip)
    assert probe(path).audio_codec == codec
    assert (audio_hash(path) == audio_hash(clip)) == copied
    assert probe(path).duration == pytest.approx(1.0, abs=0.1)


def test_sound_that_mp4_cannot_hold_is_encoded(tmp_path):
    source = make(tmp_path / "x.mpg", *pattern(rate="25"), *SINE, "-c:a", "mp2")
    path = write(tmp_path / "x.mp4", numbered(25), audio_from=source)
    assert probe(path).audio_codec == "aac"


def loudness(path) -> np.ndarray:
    """Sound level of each hundredth of a second."""
    done = subprocess.run(
        [ffmpeg.executable(), "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "8000",
         "-"], capture_output=True, check=True,
    )  # fmt: skip
    samples = np.frombuffer(done.stdout, np.int16).astype(float)
    return np.abs(samples[: len(samples) // 80 * 80].reshape(-1, 80)).mean(1)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_part_of_the_sound_fits_the_part_of_the_video(tmp_path, suffix):
    """A beep from 2.0 to 2.5 s is at 0.5 s of what starts at 1.5 s."""
    beep = ["-f", "lavfi", "-i", "aevalsrc='if(between(t,2,2.5),0.5*sin(2000*t),0)':d=4"]
    source = make(tmp_path / "x.mp4", *pattern(rate="25", seconds=4), *beep, "-c:a", "aac")
    path = write(tmp_path / f"y{suffix}", numbered(30), audio_from=source, start=1.5, duration=1.2)
    loud = np.flatnonzero(loudness(path) > 2000)
    assert loud[0] == pytest.approx(50, abs=4)
    assert loud[-1] == pytest.approx(100, abs=4)
    assert len(loudness(path)) == pytest.approx(120, abs=8)


def test_source_without_sound(tmp_path):
    silent = write(tmp_path / "silent.mp4", numbered(3))
    assert not probe(write(tmp_path / "x.mp4", numbered(3), audio_from=silent)).has_audio


def test_nothing_personal_is_taken_over(clip, tmp_path):
    source = tmp_path / "source.mp4"
    make(source, "-i", str(clip), "-c", "copy", "-metadata", "location=+52.5+013.4/")
    assert ffmpeg.read_metadata(source)["location"]
    path = write(tmp_path / "x.mp4", numbered(3), audio_from=source)
    assert "location" not in ffmpeg.read_metadata(path)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".gif"])
def test_same_frames_same_bytes(tmp_path, clip, suffix):
    paths = [
        write(tmp_path / f"{name}{suffix}", numbered(5), audio_from=clip) for name in ("a", "b")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", ["-x y.mp4", "'q\" %03d.mp4", "ü:ß?.mp4", "a\nb.mp4", "x.MP4"])
def test_odd_names(tmp_path, monkeypatch, clip, name):
    monkeypatch.chdir(tmp_path)
    write(name, numbered(3), audio_from=clip)
    assert numbers(name) == [0, 1, 2]
    write("again.mkv", numbered(3), audio_from=name)
    assert probe("again.mkv").has_audio


def test_folder_of_frames(tmp_path):
    for name in ("plain", "slash/", "dot.ted/"):
        folder = write(f"{tmp_path}/{name}", numbered(3))
        assert sorted(os.listdir(folder)) == ["000000.png", "000001.png", "000002.png"]


def test_standard_output_gets_matroska(tmp_path):
    code = (
        "from fractions import Fraction; import numpy as np\n"
        "from facecycle_cli.media import open_video\n"
        "with open_video('-', Fraction(25), (16, 16), provenance=None) as video:\n"
        "    for i in range(4): video.write(np.full((16, 16, 3), 8 * i, np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    path = tmp_path / "x.mkv"
    path.write_bytes(done.stdout)
    assert numbers(path) == [0, 1, 2, 3]


def test_closed_standard_output_is_a_broken_pipe(tmp_path):
    code = (
        "from fractions import Fraction; import numpy as np\n"
        "from facecycle_cli.media import open_video\n"
        "noise = np.random.default_rng(0)\n"
        "try:\n"
        "    with open_video('-', Fraction(25), (320, 320), provenance=None) as video:\n"
        "        for i in range(500):\n"
        "            video.write(noise.integers(0, 256, (320, 320, 3), np.uint8))\n"
        "except BrokenPipeError: raise SystemExit(7)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 7


def test_exception_leaves_nothing(tmp_path):
    before = children()
    small = {"fps": Fraction(25), "size": (16, 16), "provenance": None}
    for target in (tmp_path / "x.mp4", f"{tmp_path}/frames/"):
        with pytest.raises(KeyboardInterrupt), open_video(target, **small) as writer:  # noqa: PT012
            writer.write(np.zeros((16, 16, 3), np.uint8))
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    assert children() == before


def test_video_of_no_frames_is_not_written(tmp_path):
    for target in (tmp_path / "x.mp4", f"{tmp_path}/frames/"):
        with (
            pytest.raises(MediaError, match="no frames"),
            open_video(target, Fraction(25), (16, 16), provenance=None),
        ):
            pass
    assert not list(tmp_path.iterdir())


def test_frame_of_another_size_is_refused(tmp_path):
    with (
        pytest.raises(MediaError, match="16x16"),
        open_video(tmp_path / "x.mp4", Fraction(25), (16, 16), provenance=None) as writer,
    ):
        writer.write(np.zeros((16, 17, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        open_video(tmp_path / "file" / "x.mp4", Fraction(25), (16, 16), provenance=None)
    with pytest.raises(MediaError, match=r"cannot write \.avi videos; use \.mp4"):
        open_video(tmp_path / "x.avi", Fraction(25), (16, 16), provenance=None)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line(tmp_path):
    target = tmp_path / "x.mkv"
    target.symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (200, 64, 64, 3), np.uint8)
    with pytest.raises((MediaError, OSError), match="No space left"):
        write(target, noise)
    assert os.path.exists("/dev/full")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.mp4", b"", "empty file"),
        ("x.txt", b"hello\n" * 100, "not a video but text"),
        ("x.txt", b"hello", "not a video but text|not a readable video"),
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
    path = make(tmp_path / "long.mp4", *pattern("320x240", "25", 20), "-preset", "ultrafast")
    tracemalloc.start()
    try:
        peaks = []
        for count in (20, 400):
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
        ("", "ffmpeg failed without a word"),
        ("[in#0 @ 0x55] Error opening input: Invalid data\nError opening input file x.\n",
         "Invalid data"),
        ("[mov @ 0x1] Format mov detected only with low score\n[mov @ 0x1] moov atom not found\n",
         "moov atom not found"),
        ("[out#0/mp4 @ 0x1] [x] Could not write header\n", "Could not write header"),
    ],
)  # fmt: skip
def test_reason_is_the_line_that_tells(messages, expected):
    assert ffmpeg.reason(messages) == expected


def test_real_clips(shared_data):
    """MPEG-1 from a corpus, an animation, a phone-like MP4 whose rate varies."""
    grid = sorted((shared_data / "clips" / "grid").iterdir())[0]
    assert (probe(grid).fps, probe(grid).audio_codec) == (25, "mp2")
    assert len(list(read_frames(grid))) == 75
    turn = sorted((shared_data / "clips" / "head_turn").iterdir())[0]
    assert len(list(read_frames(turn))) == 56
