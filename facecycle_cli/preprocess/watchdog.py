"""Ends a worker process that hangs, and what it has started.

Decoders hang deep inside libraries, or as a program that never answers, where no exception reaches
them: only the end of the process does. A thread sees to it, so that the decoder's program can be
ended first; where a library hangs without letting any other thread run, faulthandler does it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import IO

__all__ = ["TIMED_OUT", "end_process", "rest", "watch"]

TIMED_OUT = 1
"""Exit code of a process that was given up; faulthandler knows no other."""

_LAST_RESORT = 2.0  # seconds later
_INTERVAL = 0.2

_deadline: float | None = None


def watch(timeout: float) -> None:
    """End this process unless `watch` or `rest` is called within ``timeout`` seconds."""
    global _deadline
    _deadline = time.monotonic() + timeout
    _start_thread()
    faulthandler.dump_traceback_later(timeout + _LAST_RESORT, exit=True, file=_nowhere())


def rest() -> None:
    """Nothing needs watching until `watch` is called again."""
    global _deadline
    _deadline = None
    faulthandler.cancel_dump_traceback_later()


def end_process(code: int) -> None:
    """End this process at once, after the programs that it runs."""
    for child in _children():
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    os._exit(code)


@lru_cache(maxsize=1)
def _start_thread() -> threading.Thread:
    thread = threading.Thread(target=_look_after, daemon=True)
    thread.start()
    return thread


def _look_after() -> None:
    while True:
        time.sleep(_INTERVAL)
        deadline = _deadline
        if deadline is not None and time.monotonic() > deadline:
            end_process(TIMED_OUT)


def _children() -> list[int]:
    """Processes whose parent this one is, where the system has /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = status.read_text(errors="replace")  # 123 (any name) S parent ...
            if int(text.rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(status.parent.name))
    return found


@lru_cache(maxsize=1)
def _nowhere() -> IO[str]:
    return open(os.devnull, "w")  # open as long as faulthandler may write to it
