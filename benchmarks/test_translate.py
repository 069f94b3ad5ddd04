"""translate: frames per second end to end, and what computing everything only once saves.

    python -m pytest benchmarks/test_translate.py

End to end is examples/talker.mpg with its sound into an MP4 of 256 x 256 pixels: decoding, the
search for the face, the networks, drawing and encoding. It is scaled to 480 x 360, as a video call
has it. The start of the program and the loading of the networks are not counted.

The straightforward implementation is the paper's, frame by frame: the source's *and* the target's
face are taken to neutral anew, then the target's neutral face to the source's motion, which takes
three passes through D_exp and its trunk where one pass of D_exp without the trunk is enough. Its
faces are found and cut out as ours are, in the same run; only what follows is compared.
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
from facecycle_cli.media import open_video, probe, read_frames, read_image
from facecycle_cli.model import FaceCycle, load, preset
from facecycle_cli.translate.actor import Actor
from facecycle_cli.translate.motion import BATCH, batches, performances
from facecycle_cli.translate.source import Observation, follow, observe
from facecycle_cli.translate.video import Translation
from tests.clips import EXAMPLES, TALKER, run_ffmpeg

TARGET = EXAMPLES / "faces" / "person1_neutral.jpg"
FRAMES = 16
"""Of the comparison with `paper`, of whose networks nothing can be asked but their speed."""


@pytest.fixture
def say(capsys) -> Callable[[str], None]:
    """Writes a line that is seen without asking for it."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The talker twice at 480 x 360, with sound."""
    path = tmp_path_factory.mktemp("clip") / "talk.mp4"
    run_ffmpeg(
        *("-stream_loop", "1", "-i", TALKER, "-vf", "scale=480:360,setsar=1"),
        *("-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    )
    return path


def test_frames_per_second(benchmark, say, clip: Path, tmp_path: Path) -> None:
    """At least 25, on two cores."""
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
    assert speed >= 25


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


def ours(model: FaceCycle, observed: Sequence[Observation], actor: Actor) -> None:
    """From the crops to the frames, 256 x 256 pixels of the photograph."""
    motions = performances(model, batches(observed), width=0, lips=0, settle=1)
    for group in batches(motions):
        for drawing in actor.perform(group):
            actor.draw(drawing)


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
        observed = list(observe(follow((f.image for f in reader), backend), side, width=0))
    crops = [seen.crop for seen in observed if seen.crop is not None]
    assert len(crops) == FRAMES
    target = Alignment.from_face(face, side).crop(picture)

    def once() -> None:
        actor = Actor(picture, face, model, motion="relative", mouth="landmarks", size=256)
        ours(model, observed, actor)

    simple = seconds(lambda: straightforward(model, crops, target))
    benchmark.pedantic(once, rounds=2, iterations=1)
    ratio = benchmark.stats.stats.min / simple
    benchmark.extra_info["ratio"] = round(ratio, 2)
    say(
        f"paper, per frame: {1000 * benchmark.stats.stats.min / FRAMES:.0f} ms, straightforward "
        f"{1000 * simple / FRAMES:.0f} ms, ratio {ratio:.2f}"
    )
    assert ratio <= 0.6
