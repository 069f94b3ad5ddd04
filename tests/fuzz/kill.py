"""Kill preprocess and train at random moments, resume them, and compare what comes out.

    python -m tests.fuzz.kill --kills 50 --seed 1

Each command is run once undisturbed. Then it is started again and again in another folder and
killed (SIGKILL, its process only, as the kernel does) after a random time, until it was killed so
often; if it ends before, its folder is removed, and it begins anew. The run after the last kill is
left alone. Crops, index, weights, state and log must be, byte for byte, those of the undisturbed
run (of the log without speeds, which differ). The exit code is 1 if anything differs, or if a run
fails.

It needs a POSIX system, takes minutes, and is no test of pytest's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from facecycle_cli.model import FaceCycle, save_checkpoint
from tests.clips import FACES, make_clip
from tests.conftest import ROOT
from tests.training.conftest import TINY, write_clip


@dataclass(frozen=True)
class Job:
    """A command that can be resumed.

    Attributes:
        name: of the command.
        arguments: without its output.
    """

    name: str
    arguments: list[str]

    def start(self, folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start it, with its output in ``folder``."""
        command = [sys.executable, "-m", "facecycle_cli", self.name, *self.arguments]
        return subprocess.Popen(
            [*command, "-o", str(folder), "-q"],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def preprocess_job(folder: Path) -> Job:
    """Clips and photographs of a few people."""
    root = folder / "videos"
    for person in range(3):
        for clip in range(2):
            make_clip(root / f"id{person:05d}" / "v" / f"{clip:05d}.mp4", seconds=0.6 + 0.2 * clip)
    for face in FACES[:2]:
        (root / face.name).write_bytes(face.read_bytes())
    return Job("preprocess", [str(root), "--workers", "2"])


def train_job(folder: Path) -> Job:
    """Both stages of networks as small as can be, which are saved after every step."""
    root = folder / "crops"
    for person in range(6):
        write_clip(root / f"id{person}" / "v", 4, person)
    checkpoint = folder / "tiny.safetensors"
    torch.manual_seed(0)
    save_checkpoint(checkpoint, FaceCycle(TINY), {"stage": "expression", "steps": 0})
    settings = ("save_every=0.0", "log_every=2", "sample_every=5", "ema=0.9")
    return Job("train", [
        str(root), "--resume", "--init", str(checkpoint), "--steps", "10", "--batch-size", "4",
        "--perceptual", "off", "--workers", "1", "--device", "cpu",
        *(part for setting in settings for part in ("--set", setting)),
    ])  # fmt: skip


def result_of(job: Job, folder: Path) -> dict[str, str]:
    """What must be the same: file -> a digest of its content."""
    if job.name == "preprocess":
        return {
            str(path.relative_to(folder)): digest(path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".facecycle-")
        }
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("faces_per_second", None)
    state = load_file(folder / "last" / "state.safetensors")
    return {
        "log": digest(json.dumps(rows).encode()),
        "checkpoint": digest((folder / "checkpoint.safetensors").read_bytes()),
        "config": digest((folder / "config.toml").read_bytes()),
        **{name: digest(tensor.numpy().tobytes()) for name, tensor in state.items()},
        **{
            f"samples/{path.name}": digest(path.read_bytes())
            for path in sorted((folder / "samples").iterdir())
            if not path.name.startswith(".facecycle-")
        },
    }


def digest(data: bytes) -> str:
    """A short name of these bytes."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def check(job: Job, kills: int, rng: random.Random, folder: Path) -> list[str]:
    """Kill ``job`` so often, and say what is wrong with what comes out."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    reference, victim = folder / f"{job.name}-undisturbed", folder / f"{job.name}-killed"
    begun = time.monotonic()
    run = job.start(reference, env)
    _, errors = run.communicate()
    seconds = time.monotonic() - begun
    if run.returncode:
        return [f"{job.name}: the undisturbed run failed: {errors.decode()}"]
    expected, problems = result_of(job, reference), []
    killed = rounds = 0
    while killed < kills:
        run = job.start(victim, env)
        try:
            _, errors = run.communicate(timeout=seconds * rng.random())
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.communicate()
            killed += 1
            if killed < kills:
                if killed % 10 == 0:
                    say(f"{job.name}: {killed} kills, {rounds} results, {len(problems)} problems")
                continue
            run = job.start(victim, env)
            _, errors = run.communicate()
        rounds += 1
        if run.returncode:
            problems.append(f"{job.name}, kill {killed}: {errors.decode().strip()}")
        found = result_of(job, victim)
        wrong = sorted(n for n in expected.keys() | found if expected.get(n) != found.get(n))
        problems += [f"{job.name}, kill {killed}: {name} differs" for name in wrong[:5]]
        shutil.rmtree(victim)
    say(f"{job.name}: {killed} kills, {rounds} results of {len(expected)} parts compared, "
        f"undisturbed {seconds:.1f} s, {len(problems)} problems")  # fmt: skip
    return problems


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("preprocess", "train"))
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(prefix="facecycle-kill-") as name:
        for number, make in enumerate((preprocess_job, train_job)):
            job = make(Path(name))
            if options.only in (None, job.name):
                rng = random.Random(1000 * options.seed + number)
                problems += check(job, options.kills, rng, Path(name))
    for problem in problems:
        say(problem)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
