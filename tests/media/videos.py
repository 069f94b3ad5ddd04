"""Small videos, made and looked at."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil

from facecycle_cli.media import ffmpeg, open_video, read_frames

NTSC = Fraction(30000, 1001)


def make(path: Path, *arguments: str) -> Path:
    """A video by ffmpeg itself."""
    done = ffmpeg.run(["-y", *arguments, ffmpeg.url(path)])
    assert done.returncode == 0, done.stderr
    return path


def pattern(size="64x48", rate="30000/1001", seconds=1.0):
    return ["-f", "lavfi", "-i", f"testsrc=s={size}:r={rate}:d={seconds}"]


SINE = ["-f", "lavfi", "-i", "sine=d=1"]


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
    """Processes that this one has started and that are not gone."""
    return {process.pid for process in psutil.Process().children()}
