"""Small clips and source trees for tests, made from the CC BY files in examples/."""

from __future__ import annotations

import hashlib
from pathlib import Path

from facecycle_cli.media import ffmpeg

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TALKER = EXAMPLES / "talker.mpg"
TURNER = EXAMPLES / "head_turn.gif"
FACES = sorted((EXAMPLES / "faces").glob("*.jpg"))


def run_ffmpeg(*arguments: str | Path) -> None:
    done = ffmpeg.run(["-v", "error", "-y", *map(str, arguments)])
    assert done.returncode == 0, done.stderr


def make_clip(
    target: Path, *inputs: Path, start: float = 0.0, seconds: float = 1.0, filters: str = "null"
) -> Path:
    """An H.264 video at 25 frames per second without sound.

    ``filters`` makes one picture out of the inputs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [part for path in inputs or (TALKER,) for part in ("-ss", str(start), "-i", path)]
    run_ffmpeg(
        *sources,
        *("-filter_complex", f"{filters},format=yuv420p", "-t", str(seconds), "-r", "25"),
        *("-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", target),
    )
    return target


def digests(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` and its content, but for the hidden names of runs at work."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }
