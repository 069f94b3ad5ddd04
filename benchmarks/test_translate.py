"""translate: frames per second end to end, and what computing everything only once saves.

    python -m pytest benchmarks/test_translate.py

End to end is examples/talker.mpg with its sound, scaled to 480 x 360 like a video call, into an MP4
of 256 x 256 pixels: decoding, face detection, the networks, drawing and encoding. The start of the
program and the loading of the networks are not counted.

The straightforward implementation is the paper's. For every frame it neutralizes the source's and
the target's face again, then gives the target's neutral face the source's motion. That takes three
passes through D_exp and its trunk, where one pass of D_exp without the trunk is enough. Its faces
are found and cut out as ours are, in the same run; only what follows is compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.faces.following import FaceFollower
from facecycle_cli.media import open_video, probe, read_frames, read_image
from facecycle_cli.media.pipeline import BATCH, batches
from facecycle_cli.model import FaceCycle, load, preset
from facecycle_cli.translate.measurement import measure
from facecycle_cli.translate.motion import MotionTiming, motions
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import SourceFace, crop_sightings
from facecycle_cli.translate.target import Target
from facecycle_cli.translate.video import Translation
from tests.clips import EXAMPLES, TALKER, run_ffmpeg

TARGET = EXAMPLES / "faces" / "person1_neutral.jpg"
FRAMES = 16
"""Frames of the comparison with the preset ``paper``, whose networks are random: only their speed
is measured."""


@pytest.fixture
def say(capsys) -> Callable[[str], None]:
    """Writes a line that pytest shows without being asked."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The talker twice at 480 x 360, with sound."""
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    run_ffmpeg(
        *("-stream_loop", "14", "-i", TALKER, "-vf", "scale=480:360,setsar=1"),
        *("-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return path


def test_frames_per_second(benchmark, say, clip: Path, tmp_path: Path) -> None:
    """At least 30, on two cores."""
    model, backend, target = load(), load_backend(threads=1), read_image(TARGET)

    def run() -> int:
        info = probe(clip)
        place = tmp_path / "out.mp4"
        with (
            read_frames(clip, info=info) as reader,
            Translation(
                (frame.image for frame in reader),
                target,
                fps=float(info.fps),
                model=model,
                backend=backend,
                second_process=True,
            ) as translation,
            open_video(place, info.fps, (256, 256), provenance=None, audio_from=clip) as writer,
        ):
            for frame in translation:
                writer.write(frame)
        return translation.frames

    frames = benchmark.pedantic(run, rounds=2, iterations=1)
    speed = frames / benchmark.stats.stats.min
    benchmark.extra_info["frames per second"] = round(speed, 1)
    say(f"small, 480 x 360 to 256 x 256, end to end: {speed:.1f} frames per second")
    assert speed >= 30


@torch.inference_mode()
def straightforward(model: FaceCycle, crops: Sequence[np.ndarray], target: np.ndarray) -> None:
    """Both faces to neutral, the target to the source's motion, for each batch of frames."""
    for start in range(0, len(crops), BATCH):
        x = model.to_input(np.stack(crops[start : start + BATCH]))
        y = model.to_input(np.stack([target] * len(x)))
        flow, backflow = model.decode_flow(model.encode_expression(x))
        model.de_express(x, flow)
        own_flow, _ = model.decode_flow(model.encode_expression(y))
        model.to_image(model.re_express(model.de_express(y, own_flow), backflow))


def ours(model: FaceCycle, faces: Sequence[SourceFace], target: Target) -> None:
    """From the crops to the frames, 256 x 256 pixels of the photograph."""
    timing = MotionTiming(
        flow_width=0, pose_width=0, lips_width=0, slow_width=0, reference_frames=1
    )
    for batch in batches(motions(measure(model, batches(faces)), timing)):
        for drawing in target.prepare([motion for motion in batch if motion is not None]):
            target.draw(drawing)


def seconds(work: Callable[[], None]) -> float:
    """The shorter of two times."""
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def test_time_per_frame_of_paper(benchmark, say) -> None:
    """At most 0.6 times that of the straightforward implementation."""
    torch.manual_seed(0)
    model = FaceCycle(preset("paper")).eval().requires_grad_(False)
    backend, picture = load_backend(), read_image(TARGET)
    ((face,),) = backend.detect([picture])
    side = model.config.image_size
    with read_frames(TALKER, max_frames=FRAMES) as reader:
        sightings = FaceFollower(backend).follow(frame.image for frame in reader)
        faces = [seen for seen in crop_sightings(sightings, side, width=0) if seen is not None]
    crops = [seen.crop for seen in faces]
    assert len(crops) == FRAMES
    target = Alignment.from_face(face, side).crop(picture)

    def once() -> None:
        ours(model, faces, Target(picture, face, model, TranslateSettings(motion_from="networks")))

    simple = seconds(lambda: straightforward(model, crops, target))
    benchmark.pedantic(once, rounds=2, iterations=1)
    ratio = benchmark.stats.stats.min / simple
    benchmark.extra_info["ratio"] = round(ratio, 2)
    say(
        f"paper, per frame: {1000 * benchmark.stats.stats.min / FRAMES:.0f} ms, straightforward "
        f"{1000 * simple / FRAMES:.0f} ms, ratio {ratio:.2f}"
    )
    assert ratio <= 0.6
