"""Work that a second process shares with this one."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from facecycle_cli.media.second_process import with_second_process

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds until a process that does not begin or end fails a test."""


def where(item: int) -> tuple[int, int]:
    return os.getpid(), item


class Elsewhere:
    """What becomes of items that are worked on in another process than this."""

    def __init__(self, file: Path | None = None) -> None:
        self.here, self.file = os.getpid(), file

    def __call__(self, item: int) -> int:
        if os.getpid() == self.here:
            return item
        if self.file is None:
            raise KeyError(item)
        self.file.touch()
        os._exit(9)


def patiently(wanted) -> itertools.chain[int]:
    """Numbers until ``wanted`` says that it is enough, and ten more."""
    end = time.monotonic() + PATIENCE
    numbers = itertools.count()
    waiting = itertools.takewhile(lambda _: not wanted() and time.monotonic() < end, numbers)
    return itertools.chain(waiting, itertools.islice(numbers, 10))


def test_both_work_and_the_order_stays():
    workers = set()
    made = []
    for item, (worker, result) in with_second_process(where, patiently(lambda: len(workers) > 1)):
        workers.add(worker)
        made.append((item, result))
    assert len(workers) == 2
    items = [item for item, _ in made]
    assert items == sorted(items)
    assert all(item == result for item, result in made)


class Scaled:
    """Work with a tensor, and an array that looks at its memory."""

    def __init__(self) -> None:
        self.tensor = torch.arange(3.0)
        self.array = self.tensor.numpy()

    def __call__(self, item: int) -> list[float]:
        return [item * float(number) for number in self.array]


def test_tensors_stay_where_they_are():
    """Arrays that look at their memory would otherwise look at memory that is free."""
    work = Scaled()
    made = with_second_process(work, itertools.count())
    assert [next(made) for _ in range(3)] == [(k, [0.0, k, 2.0 * k]) for k in range(3)]
    made.close()
    assert not work.tensor.is_shared()
    assert work.array.ctypes.data == work.tensor.data_ptr()


def test_what_a_dead_process_had_is_made_here(tmp_path):
    died = tmp_path / "died"
    numbers = list(with_second_process(Elsewhere(died), patiently(died.exists)))
    assert died.exists()
    items = [item for item, _ in numbers]
    assert items == sorted(set(items))
    assert [result for _, result in numbers] == items


def test_what_fails_there_is_raised_here():
    end = time.monotonic() + PATIENCE
    endless = itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())
    with pytest.raises(KeyError):
        for _ in with_second_process(Elsewhere(), endless):
            pass


def test_without_a_second_process_all_is_made_here(monkeypatch):
    def no_process(*_):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", no_process)
    made = list(with_second_process(where, range(5)))
    assert made == [(k, (os.getpid(), k)) for k in range(5)]


def test_closing_ends_the_process():
    made = with_second_process(where, itertools.count())
    next(made)
    assert multiprocessing.active_children()
    made.close()
    assert not multiprocessing.active_children()


PARENT = """
import itertools, multiprocessing, os
from facecycle_cli.media.second_process import with_second_process

if __name__ == "__main__":
    for _, pid in with_second_process(len, itertools.repeat("item")):
        print(multiprocessing.active_children()[0].pid, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_it_does_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as run:
        child = psutil.Process(int(run.stdout.readline()))
        os.kill(run.pid, signal.SIGKILL)
    psutil.wait_procs([child], timeout=PATIENCE)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
