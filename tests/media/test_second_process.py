"""Work that a second process shares with this one."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from facecycle_cli.media.second_process import _SecondProcess, with_second_process

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


def test_a_work_that_two_cannot_share_is_done_here(monkeypatch):
    """One that is defined in a main module, which another process has not."""
    monkeypatch.setattr(sys.modules["__main__"], "nowhere", nowhere, raising=False)
    work = MainModule()
    assert list(with_second_process(work, range(5))) == [(k, -k) for k in range(5)]
    second = _SecondProcess(work)
    second.process.wait(PATIENCE)
    assert second.take(1) is None
    second.end()


class MainModule:
    def __call__(self, item: int) -> int:
        return -item

    def __reduce__(self):
        return nowhere, ()


def nowhere() -> MainModule:
    return MainModule()


nowhere.__module__ = "__main__"


def test_without_a_second_process_all_is_made_here(monkeypatch):
    def no_process(*_, **__):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", no_process)
    made = list(with_second_process(where, range(5)))
    assert made == [(k, (os.getpid(), k)) for k in range(5)]


class Large:
    """More than a pipe holds."""

    def __init__(self) -> None:
        self.bytes = bytes(8_000_000)

    def __call__(self, item: int) -> bytes:
        return self.bytes[:1000] + bytes([item % 256])


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.5])
def test_it_may_die_while_it_starts(seconds):
    """Nobody waits for it then to read what it was given."""
    made = with_second_process(Large(), itertools.count())
    next(made)
    (child,) = children()
    time.sleep(seconds)
    child.kill()
    assert [item for item, _ in itertools.islice(made, 20)] == list(range(1, 21))
    made.close()


def test_large_items_and_results():
    """A pipe that is full stops neither of them."""
    end = time.monotonic() + PATIENCE
    second = _SecondProcess(bytes.swapcase)
    assert second.ready.wait(PATIENCE)
    futures = [second.take(bytes([97 + k]) * 3_000_000) for k in range(3)]
    assert second.take(b"one too many") is None
    for k, future in enumerate(futures):
        assert future.result(end - time.monotonic()) == bytes([65 + k]) * 3_000_000
    second.end()


def test_closing_ends_the_process():
    made = with_second_process(where, itertools.count())
    next(made)
    assert children()
    made.close()
    assert not children()


def test_what_libraries_print_is_no_result():
    second = _SecondProcess(say_and_double)
    assert second.ready.wait(PATIENCE)
    assert second.take(4).result(PATIENCE) == 8
    second.end()


def say_and_double(item: int) -> int:
    sys.stdout.write("loading")
    os.write(1, b"warning")
    return 2 * item


def children() -> list[psutil.Process]:
    """Those that work for this process; other tests may have left some of another kind."""
    return [
        child
        for child in psutil.Process().children()
        if "second_process" in " ".join(child.cmdline())
    ]


PARENT = """
import itertools, psutil
from facecycle_cli.media.second_process import with_second_process

for _ in with_second_process(len, itertools.repeat("item")):
    print(psutil.Process().children()[0].pid, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_it_does_not_outlive_a_killed_parent(number):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as run:
        child = psutil.Process(int(run.stdout.readline()))
        os.kill(run.pid, getattr(signal, number))
    psutil.wait_procs([child], timeout=PATIENCE)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
