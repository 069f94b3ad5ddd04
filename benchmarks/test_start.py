"""The command from a cold start: seconds until the help and until a picture, and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import say

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FACECYCLE = [sys.executable, "-m", "facecycle_cli"]
TORCH = [sys.executable, "-c", "import torch"]
OWN_TIME = """
import os; os.environ |= {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}
import json, sys, time
import cv2, numpy, onnxruntime, torch
import facecycle_cli as fc
from facecycle_cli.cli import app, frontalize
from facecycle_cli.faces import mesh_backend
fc.frontalize, fc.read_image, fc.write_image, fc.Provenance  # each imports its module
begun = time.perf_counter()
face = fc.frontalize(fc.read_image(sys.argv[1]))
fc.write_image(face, sys.argv[2], provenance=fc.Provenance("frontalize", None))
print(json.dumps(time.perf_counter() - begun))
"""
"""What is left of `facecycle frontalize` once Python has its libraries: the networks are read, the
face found and turned, the picture written, each for the first time."""


def run(command: list[str | Path]) -> tuple[float, float, bytes]:
    """Seconds, peak memory in MB, standard output."""
    begun = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as stream:
        output = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return time.perf_counter() - begun, usage.ru_maxrss / scale, output


@pytest.fixture
def frontalize(tmp_path: Path) -> list[str | Path]:
    """The command line."""
    photo = EXAMPLES / "faces" / "person1_smiling.jpg"
    return [*FACECYCLE, "frontalize", photo, "-o", tmp_path / "frontal.png", "--overwrite"]


def take_turns(benchmark, ours, theirs, rounds: int = 5) -> tuple[float, float]:
    """The best of each, after one run of both that fills the file cache."""
    run(ours), run(theirs)
    seconds = []
    setup = lambda: seconds.append(run(theirs)[0])  # noqa: E731
    benchmark.pedantic(lambda: run(ours), setup=setup, rounds=rounds)
    return benchmark.stats.stats.min, min(seconds)


def test_help(benchmark) -> None:
    """Within 0.3 s."""
    ours, theirs = take_turns(benchmark, [*FACECYCLE, "--help"], TORCH)
    say(benchmark, "`facecycle --help`", f"{ours:.2f} s", "`import torch`", f"{theirs:.2f} s",
        ours / theirs)  # fmt: skip
    assert ours < 0.3


def test_frontalize_cold(benchmark, frontalize: list[str | Path], tmp_path: Path) -> None:
    """At most 1.3 times `import torch` plus what frontalize itself has to do."""
    own = min(
        json.loads(run([sys.executable, "-c", OWN_TIME, frontalize[4], tmp_path / "own.png"])[2])
        for _ in range(3)
    )
    ours, theirs = take_turns(benchmark, frontalize, TORCH)
    say(benchmark, "`facecycle frontalize photo.jpg`, cold", f"{ours:.2f} s",
        f"`import torch` ({theirs:.2f} s) and its own work ({own:.2f} s)", f"{theirs + own:.2f} s",
        ours / (theirs + own))  # fmt: skip
    assert ours <= 1.3 * theirs + own


def test_peak_memory(benchmark, frontalize: list[str | Path]) -> None:
    """Not much above the libraries: torch, onnxruntime and OpenCV, with nothing done."""
    libraries = [sys.executable, "-c", "import torch, onnxruntime, cv2"]
    peak = benchmark.pedantic(lambda: run(frontalize)[1], rounds=1)
    bare = run(libraries)[1]
    say(benchmark, "its peak memory", f"{peak:.0f} MB", "the libraries alone", f"{bare:.0f} MB",
        peak / bare)  # fmt: skip
    assert peak < 2.5 * bare
