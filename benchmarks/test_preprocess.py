"""preprocess against the obvious loop: decode and search every frame, in one process.

    python -m pytest benchmarks/test_preprocess.py

Both turn the same clips (480 x 360 pixels, 25 frames per second, somebody who talks) into crops at
5 frames per second, end to end: the start of the worker processes is counted. Speeds depend on the
machine; the ratio of the two, measured in the same run, is what is asserted.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.media import encode_image, read_frames
from facecycle_cli.preprocess import PreprocessSettings, preprocess
from facecycle_cli.system import usable_cores
from tests.clips import make_clip, run_ffmpeg

CLIPS = 16
SECONDS = 8
KEPT = CLIPS * SECONDS * 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of one person, a folder as VoxCeleb has it."""
    root = tmp_path_factory.mktemp("clips")
    first = make_clip(root / "id00000" / "v" / "00000.mp4", seconds=2.9, filters="scale=480:360")
    long = first.with_name("00001.mp4")
    run_ffmpeg("-stream_loop", "9", "-i", first, "-t", str(SECONDS), "-c:v", "libx264", long)
    for number in range(2, CLIPS + 1):
        long.with_name(f"{number:05d}.mp4").write_bytes(long.read_bytes())
    first.unlink()
    return root


def obvious_loop(clip: Path, folder: Path) -> int:
    """Returns the number of crops, one for every fifth frame."""
    backend = load_backend("mesh")
    crops = 0
    for frame in read_frames(clip):
        faces = backend.detect([frame.image])[0]
        if faces and frame.number % 5 == 0:
            crop = Alignment.from_face(faces[0], 128).crop(frame.image)
            path = folder / f"{frame.number:06d}.jpg"
            path.write_bytes(encode_image(crop, format="jpg", provenance=None))
            crops += 1
    return crops


def test_frames_per_second(benchmark, clips: Path, tmp_path: Path) -> None:
    """At least six times as many."""
    clip = next(clips.rglob("*.mp4"))
    begun = time.perf_counter()
    assert obvious_loop(clip, tmp_path) == SECONDS * 5
    obvious = SECONDS * 5 / (time.perf_counter() - begun)

    folders = (tmp_path / f"out{i}" for i in range(9))

    def run():
        return preprocess([str(clips)], next(folders), PreprocessSettings())

    (summary,) = benchmark.pedantic(run, rounds=2, iterations=1)
    assert summary.crops == KEPT
    ours = KEPT / benchmark.stats.stats.min
    benchmark.extra_info["workers"] = usable_cores()
    benchmark.extra_info["kept frames per second"] = round(ours, 1)
    benchmark.extra_info["kept frames per second of the obvious loop"] = round(obvious, 1)
    benchmark.extra_info["ratio"] = round(ours / obvious, 1)
    assert ours >= 6 * obvious
