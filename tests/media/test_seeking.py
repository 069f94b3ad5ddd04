"""The right frame at ``start``, in every container: pixels carry the frame's number."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from facecycle_cli.media import ffmpeg, read_frames

_BITS = 7
_X264 = ("-c:v", "libx264", "-g", "50", "-bf", "2", "-pix_fmt", "yuv420p")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-g", "15", "-bf", "2")
_SILENT = ("-map", "0:v")
CONTAINERS = {
    "x.mp4": _X264,
    "x.m4v": _X264,
    "x.mov": _X264,
    "x.qt": (*_X264, "-f", "mov"),
    "x.mkv": _X264,
    "x.flv": (*_X264, "-ar", "44100"),
    "x.ts": (*_X264, "-c:a", "aac"),
    "x.mts": _X264,
    "x.m2ts": _X264,
    "open_gop.ts": (*_X264, "-x264-params", "open-gop=1"),
    "one_keyframe.ts": (*_X264, "-g", "1000", "-sc_threshold", "0"),
    "mpeg2.ts": _MPEG2,
    "x.mpg": (*_MPEG2, "-f", "mpeg"),
    "x.mpeg": ("-c:v", "mpeg1video", "-q:v", "3", "-g", "50", "-bf", "2", "-f", "mpeg"),
    "x.vob": (*_MPEG2, "-f", "vob"),
    "x.mod": (*_MPEG2, "-f", "vob"),
    "x.m2v": (*_MPEG2, *_SILENT),
    "x.mxf": ("-c:v", "mpeg2video", "-g", "12", "-q:v", "3", "-ar", "48000"),
    "x.avi": ("-c:v", "mpeg4", "-g", "50", "-bf", "2", "-q:v", "3"),
    "x.dv": ("-s", "720x576", "-pix_fmt", "yuv420p", "-ar", "48000", "-ac", "2"),
    "x.wmv": ("-q:v", "3", "-g", "50"),
    "x.asf": ("-q:v", "3", "-g", "50"),
    "x.ogv": ("-q:v", "9", "-g", "50"),
    "x.3gp": (*_X264, "-c:a", "aac"),
    "x.3g2": (*_X264, "-c:a", "aac"),
    "vp8.webm": ("-c:v", "libvpx", "-g", "50"),
    "x.mjpeg": ("-q:v", "3", *_SILENT),
    "x.h264": (*_X264, *_SILENT),
    "x.gif": _SILENT,
    "x.apng": ("-f", "apng", *_SILENT),
    "x.webp": ("-c:v", "libwebp_anim", "-lossless", "1", *_SILENT),
    "x.avif": ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p", *_SILENT),
}  # fmt: skip


def _bars(number: int, size: tuple[int, int]) -> np.ndarray:
    """A bar for each bit of the number."""
    width, height = size
    bits = (number >> np.arange(_BITS)) & 1
    row = np.repeat(bits * 255, -(-width // _BITS))[:width].astype(np.uint8)
    return np.broadcast_to(row[:, None], (height, width, 3))


def _number(image: np.ndarray) -> int:
    width = image.shape[1]
    centers = ((np.arange(_BITS) + 0.5) * (-(-width // _BITS))).astype(int)
    bits = image.mean((0, 2))[centers] > 127
    return int((bits << np.arange(_BITS)).sum())


def _make(path, options, count=80, size=(128, 96)):
    command = [
        *(ffmpeg.executable(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"),
        *("-s", f"{size[0]}x{size[1]}", "-r", "25", "-i", "-", "-f", "lavfi", "-i"),
        *(f"sine=440:d={count / 25}", *options, "-t", str(count / 25), str(path)),
    ]
    frames = b"".join(_bars(n, size).tobytes() for n in range(count))
    done = subprocess.run(command, input=frames, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


_SAME_READER = {"x.m4v", "x.qt", "x.3gp", "x.3g2", "x.mts", "x.mod", "x.vob", "x.asf"}
"""Other names of what is in the table already, read by the same part of ffmpeg."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if name in _SAME_READER else ())
        for name in CONTAINERS
    ],
)
def test_every_frame_and_the_right_ones_from_the_middle(tmp_path, name):
    path = _make(tmp_path / name, CONTAINERS[name])
    assert [_number(frame.image) for frame in read_frames(path)] == list(range(80))
    with read_frames(path, start=2.2, duration=0.6) as reader:
        part = [(frame.number, _number(frame.image)) for frame in reader]
    assert part == [(k, 55 + k) for k in range(15)]
    assert reader.warning is None


def test_start_beyond_the_first_seconds_is_found_from_earlier(tmp_path):
    """The only key frame of 30 seconds is the first."""
    options = (*CONTAINERS["one_keyframe.ts"], "-g", "2000")
    path = _make(tmp_path / "x.ts", options, count=127 * 6, size=(70, 48))
    frame = next(read_frames(path, start=24.2))
    assert _number(frame.image) == 605 % 128


def test_a_part_at_a_lower_rate(tmp_path):
    path = _make(tmp_path / "x.mts", CONTAINERS["x.mts"])
    with read_frames(path, start=0.8, duration=1, fps=5) as reader:
        assert [_number(frame.image) for frame in reader] == [20, 25, 30, 35, 40]


def test_a_change_of_resolution_keeps_the_proportions(tmp_path):
    """Two transport streams, one after the other: a call that turns from wide to upright."""
    first = _make(tmp_path / "a.ts", CONTAINERS["mpeg2.ts"], 20)
    second = _make(tmp_path / "b.ts", CONTAINERS["mpeg2.ts"], 20, size=(56, 112))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    frames = list(read_frames(both))
    assert len(frames) >= 38
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)}
    assert [_number(frame.image) for frame in frames[:18]] == list(range(18))
    upright = frames[-1].image
    assert upright[:, :36].max() < 60
    assert upright[:, -36:].max() < 60
    assert _number(upright[:, 40:88]) == 19
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))


def test_a_name_like_a_pattern_is_a_file(tmp_path):
    path = _make(tmp_path / "shot%03d.mp4", _X264, 5)
    path = path.rename(tmp_path / "shot%03d.jpg")
    assert [_number(frame.image) for frame in read_frames(path)] == list(range(5))
