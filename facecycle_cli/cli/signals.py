"""Signals that end a command: it cleans up after itself, and ends in any case after a while.

SIGTERM and SIGHUP raise ``SystemExit`` in the main thread, so that temporary files are removed.
Two things can go wrong. The system may deliver the signal to another thread, and the main thread
sleeps on: it is woken up. And Python may lose the exception (while it destroys an object, or in a
library that catches everything), or wait for a thread that never ends: the process is then ended
without cleaning up.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import time
from types import FrameType

from facecycle_cli.system import end_process

__all__ = [
    "INTERRUPTED",
    "TERMINATING",
    "Deadline",
    "end_on_signals",
    "is_ignored",
    "restore_signals",
]

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a command that was interrupted."""

TERMINATING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a program to end: SIGHUP comes when its terminal is closed."""

_CLEANUP_SECONDS = 10.0
"""From a signal until the process is ended without cleaning up."""


class Deadline:
    """Ends this process, and the programs that it runs, after some seconds unless cancelled.

    Args:
        seconds: until then.
        code: exit code of the process.
    """

    def __init__(self, seconds: float, code: int) -> None:
        self._seconds = seconds
        self._code = code
        self._cancelled = False
        # Not threading.Thread: a signal may have interrupted that module while it held its lock.
        with contextlib.suppress(RuntimeError):  # no memory for a thread
            _thread.start_new_thread(self._wait, ())

    def cancel(self) -> None:
        """Let the process live."""
        self._cancelled = True

    def _wait(self) -> None:
        time.sleep(self._seconds)
        if not self._cancelled:
            end_process(self._code)


def is_ignored(number: int) -> bool:
    """Whether a signal was ignored when the program started, as ``nohup`` and shells arrange it."""
    return signal.getsignal(number) == signal.SIG_IGN


class _Watcher:
    """A thread that learns of every signal at once, whatever the main thread is doing."""

    def __init__(self) -> None:
        self._main = _thread.get_ident()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.signal(signal.SIGURG, lambda *_: None)  # does nothing but end a system call
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        with contextlib.suppress(RuntimeError):  # no memory for a thread
            _thread.start_new_thread(self._watch, ())

    def close(self) -> None:
        """End the thread."""
        signal.set_wakeup_fd(self._before)
        signal.signal(signal.SIGURG, signal.SIG_DFL)
        os.close(self._write)

    def _watch(self) -> None:
        while numbers := os.read(self._read, 1):
            (number,) = numbers
            # The main thread may have run the handler already.
            if number in TERMINATING and signal.getsignal(number) in (_terminate, signal.SIG_IGN):
                Deadline(_CLEANUP_SECONDS, 128 + number)
            if number in (signal.SIGINT, *TERMINATING):
                signal.pthread_kill(self._main, signal.SIGURG)
        os.close(self._read)


_watchers: list[_Watcher] = []
"""The one that is at work, or none."""


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the program as an interrupt does; SIGHUP not if it is ignored."""
    for number in TERMINATING:
        if number == signal.SIGTERM or not is_ignored(number):
            signal.signal(number, _terminate)
    if hasattr(signal, "SIGURG"):
        _watchers.append(_Watcher())


def restore_signals() -> None:
    """At the end of the program: nothing is left to clean up, so that a signal ends it quietly."""
    while _watchers:
        _watchers.pop().close()
    for number in TERMINATING:
        if signal.getsignal(number) == _terminate:
            signal.signal(number, signal.SIG_DFL)
    if not is_ignored(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _terminate(number: int, _: FrameType | None) -> None:
    for other in TERMINATING:  # a second signal must not interrupt the cleanup of the first
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)
