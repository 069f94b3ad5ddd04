"""Worker processes may die, hang or be orphaned; the others' work goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from facecycle_cli.errors import OutputError
from facecycle_cli.preprocess import PreprocessSettings
from facecycle_cli.preprocess.pool import LocalPool
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.workers import SourceResult, WorkerTask, portions_of
from tests.conftest import ROOT
from tests.preprocess.misbehaving import SLOW_SECONDS, work


def source(name: str, kind: str = "video") -> Source:
    return Source(name, f"/nowhere/{name}", kind, f"out/{name}", False)


def run(
    tmp_path: Path, *sources: Source, workers: int = 1, timeout: float = 60
) -> dict[str, SourceResult]:
    pool = LocalPool(WorkerTask(PreprocessSettings(), tmp_path, timeout), workers, work)
    results = [message for message in pool.run(sources) if isinstance(message, SourceResult)]
    assert len(results) == len(sources)
    return {result.source.id: result for result in results}


def test_a_source_that_kills_its_process_fails_alone(tmp_path):
    names = ["a", "crash", "b", "killed", "exit", "c"]
    found = run(tmp_path, *map(source, names))
    assert {name: found[name].status for name in names} == {
        "a": "done",
        "crash": "failed",
        "b": "done",
        "killed": "failed",
        "exit": "failed",
        "c": "done",
    }
    assert found["crash"].reason == "its process was killed (SIGSEGV)"
    assert found["killed"].reason == "its process was killed (SIGKILL: out of memory?)"
    assert found["exit"].reason == "its process ended with code 7"


def test_what_ended_a_worker_is_said(tmp_path):
    """None of these made no progress."""
    found = run(tmp_path, *map(source, ["memory", "threads", "library", "error", "a"]))
    assert found["library"].reason == "not enough memory"
    assert found["memory"].reason == found["threads"].reason == "not enough memory"
    assert found["error"].reason == "its process ended with code 77"
    assert found["a"].status == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(("name", "status"), [("hungry", "done"), ("very hungry", "failed")])
def test_a_source_that_lacked_memory_gets_all_of_it_at_the_end(tmp_path, name, status):
    waiting = [source(f"wait{i}") for i in range(3)]
    found = run(tmp_path, source(name), *waiting, workers=2)
    assert found[name].status == status
    assert {p.status for i, p in found.items() if i != name} == {"done"}
    assert list(found)[-1] == name


LIMITED = """
import resource, sys
from pathlib import Path
from facecycle_cli.preprocess import PreprocessSettings, preprocess

if __name__ == "__main__":
    if sys.argv[3] != "all":
        limit = int(sys.argv[3]) << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    (summary,) = preprocess([sys.argv[1]], sys.argv[2], PreprocessSettings(), workers=2, timeout=60)
    print(summary.counts, *summary.reasons)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("megabytes", [400, pytest.param(700, marks=pytest.mark.full), 1000])
def test_with_too_little_memory_a_run_says_so(tmp_path, clip, megabytes):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(clip.read_bytes())
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "in", tmp_path / "out", str(megabytes)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SLOW_SECONDS,
        check=False,
    )
    assert "no progress" not in done.stdout + done.stderr
    # ffmpeg does not always say what it lacked.
    words = (
        "'done': 1", "memory", "map segment", "not a readable video", "temporarily unavailable",
    )  # fmt: skip
    assert any(word in done.stdout + done.stderr for word in words), done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="runs sleep")
def test_a_source_that_hangs_is_given_up(tmp_path):
    found = run(tmp_path, source("hang"), source("a"), timeout=1)
    assert found["hang"].reason == "no progress for 1 s"
    assert found["a"].status == "done"
    # nor is the program left running that it waited for
    assert _has_ended(int((tmp_path / "program").read_text()))


def test_of_a_batch_of_photographs_only_the_bad_one_fails(tmp_path):
    photos = [source(name, "photo") for name in ("a", "b", "crash", "c", "d")]
    found = run(tmp_path, *photos, workers=2)
    assert [found[p.id].status for p in photos] == ["done", "done", "failed", "done", "done"]


def test_a_full_disk_ends_the_run_and_the_workers(tmp_path):
    begun = time.monotonic()
    with pytest.raises(OutputError, match="No space left on device"):
        run(tmp_path, source("slow"), source("full"), source("b"), workers=2)
    assert time.monotonic() - begun < SLOW_SECONDS  # nobody waited for the slow one
    assert multiprocessing.active_children() == []


def test_videos_go_out_one_by_one_and_photographs_together():
    videos = [source(f"v{i}") for i in range(3)]
    photos = [source(f"p{i}", "photo") for i in range(70)]
    portions = list(portions_of([*photos[:40], *videos, *photos[40:]]))
    assert sorted(len(portion) for portion in portions) == [1, 1, 1, 6, 32, 32]
    assert {s.id for portion in portions for s in portion} == {s.id for s in videos + photos}


PARENT = """
import sys
from pathlib import Path
from facecycle_cli.preprocess import PreprocessSettings
from facecycle_cli.preprocess.pool import LocalPool
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.workers import WorkerTask
from tests.preprocess.misbehaving import work

if __name__ == "__main__":
    pool = LocalPool(WorkerTask(PreprocessSettings(), Path(sys.argv[1]), 600), 1, work)
    for message in pool.run([Source("slow", "/nowhere/slow", "video", "out/slow", False)]):
        import multiprocessing
        print(multiprocessing.active_children()[0].pid, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stdout=subprocess.PIPE, env=environment
    ) as parent:
        worker = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    assert _has_ended(worker)


def _has_ended(pid: int) -> bool:
    """Wait for the end of a process that is not our child; one that nobody buries has ended."""
    deadline = time.monotonic() + SLOW_SECONDS / 4
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False
