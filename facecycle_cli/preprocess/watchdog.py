"""Ends a worker process that hangs, and the programs that it has started.

Decoders hang deep inside a library, or as a program that never answers. No exception gets through
there: only the end of the process helps. A thread ends it, after the decoder's program. If a
library hangs without letting any other thread run, :mod:`faulthandler` ends the process.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from functools import lru_cache
from typing import IO

from facecycle_cli.system import end_process

__all__ = ["HUNG", "TIMED_OUT", "clear_deadline", "set_deadline"]

TIMED_OUT = 75
"""Exit code of a process that hung."""

HUNG = 1
"""The same, ended by faulthandler, which can give no other. Libraries may end with it as well."""

_FALLBACK_DELAY = 2.0
"""Seconds after the deadline at which faulthandler ends the process."""

_INTERVAL = 0.2
"""Seconds between two looks at the clock."""

_deadline: float | None = None


def set_deadline(timeout: float) -> None:
    """End this process in ``timeout`` seconds unless the deadline is set again or cleared.

    Raises:
        RuntimeError: there is no memory for a thread.
    """
    global _deadline
    _deadline = time.monotonic() + timeout
    _start_thread()
    faulthandler.dump_traceback_later(timeout + _FALLBACK_DELAY, exit=True, file=_null_file())


def clear_deadline() -> None:
    """Let this process live until :func:`set_deadline` is called again."""
    global _deadline
    _deadline = None
    faulthandler.cancel_dump_traceback_later()


@lru_cache(maxsize=1)
def _start_thread() -> threading.Thread:
    thread = threading.Thread(target=_watch, daemon=True)
    thread.start()
    return thread


def _watch() -> None:
    while True:
        time.sleep(_INTERVAL)
        deadline = _deadline
        if deadline is not None and time.monotonic() > deadline:
            end_process(TIMED_OUT)


@lru_cache(maxsize=1)
def _null_file() -> IO[str]:
    return open(os.devnull, "w")  # open as long as faulthandler may write to it
