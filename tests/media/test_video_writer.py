"""Videos out: formats, sound, odd names, interruptions, full disks."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageSequence

from facecycle_cli.errors import MediaError
from facecycle_cli.media import ffmpeg, open_video, probe, read_frames

from .videos import NTSC, SINE, children, make, numbered, numbers, pattern, write


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif"])
def test_formats_out(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", numbered(8), Fraction(10))
    assert numbers(path) == pytest.approx(list(range(8)), abs=0)
    assert os.listdir(tmp_path) == [path.name]
    codec = {".gif": "gif", ".webm": "vp9"}.get(suffix, "h264")
    assert probe(path).codec == codec


def test_colors_survive(tmp_path):
    colors = [(200, 30, 40), (30, 180, 60), (20, 40, 220), (250, 250, 250), (5, 5, 5)]
    frames = [np.full((32, 32, 3), color, np.uint8) for color in colors]
    for suffix in (".mp4", ".webm", ".gif"):
        path = write(tmp_path / f"x{suffix}", frames, Fraction(5))
        for frame, color in zip(read_frames(path), colors, strict=True):
            assert np.abs(frame.image.astype(int) - color).max() <= 6, (suffix, color)


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


@pytest.mark.parametrize(("fps", "shown"), [(60, 30), (50, 50), (25, 25), (100, 50), (120, 40)])
def test_no_gif_is_faster_than_browsers_show(tmp_path, fps, shown):
    """A frame of less than two hundredths of a second would be shown for ten."""
    path = write(tmp_path / "x.gif", numbered(24), Fraction(fps))
    with Image.open(path) as image:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert min(durations) >= 20
    assert len(durations) == 24 * shown // fps
    assert sum(durations) == pytest.approx(24000 / fps, abs=2 * 1000 / shown)


def test_frames_keep_their_places(tmp_path):
    path = tmp_path / "x.mp4"
    with open_video(path, NTSC, (48, 32), provenance=None) as writer:
        for number in (0, 1, 2, 30, 31, 200):
            writer.write(np.full((32, 48, 3), number, np.uint8), number)
    assert [frame.number for frame in read_frames(path)] == [0, 1, 2, 30, 31, 200]
