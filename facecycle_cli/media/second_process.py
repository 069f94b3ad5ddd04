"""Work that a second process shares with this one.

The second process is a Python program of its own that reads pickles and writes pickles. The pools
of :mod:`concurrent.futures` and :mod:`multiprocessing` are not used: they import the program's main
module once more, which may be a script on standard input or without a guard; they wait forever
when the process dies before it has read a large work; and torch makes their pickles move tensors
into memory that both processes share, where NumPy's arrays that look at a tensor do not follow.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO, Generic, TypeVar

from facecycle_cli.media.ffmpeg import OWN_SESSION

__all__ = ["serve", "with_second_process"]

_DEPTH = 3
"""Items that the second process has at most: one that it works on, and those that wait for it."""

_AHEAD = 2
"""Items that this process makes at most while the second one works on an earlier one."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def with_second_process(
    work: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Generator[tuple[_Item, _Result], None, None]:
    """Each item with what ``work`` makes of it, in order.

    Python runs one thread at a time. Where the work is many small steps, two threads get little
    further than one, and two processes twice as far. The second one takes items while it has less
    than three of them; all others are made here, as long as it is starting every one of them. Nor
    is anything lost when it dies, or cannot start: what it had is made here once more. It ends when
    this generator is closed, or with its parent, and signals of the terminal do not reach it.

    Args:
        work: can be pickled, as its items and results can. What is defined in the main module
            cannot be found by another process; all is made here then.
        items: what is to be done; a few of them are taken ahead.

    Raises:
        BaseException: whatever ``work`` or ``items`` raise.
    """
    second = _SecondProcess[_Item, _Result](work)
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, second.take(item) or _made(work(item))))
            while waiting and (waiting[0][1].done() or len(waiting) > _DEPTH + _AHEAD):
                yield _finished(work, *waiting.popleft())
        while waiting:
            yield _finished(work, *waiting.popleft())
    finally:
        second.end()


def _made(result: _Result) -> Future[_Result]:
    future: Future[_Result] = Future()
    future.set_result(result)
    return future


def _finished(
    work: Callable[[_Item], _Result], item: _Item, future: Future[_Result]
) -> tuple[_Item, _Result]:
    try:
        return item, future.result()
    except _DiedError:
        return item, work(item)


class _DiedError(Exception):
    """The second process has ended before it was done with an item."""


class _SecondProcess(Generic[_Item, _Result]):
    """A process that does ``work``, as its parent sees it.

    One thread writes to it and one reads from it, so that none of the three waits for a full pipe.
    """

    def __init__(self, work: Callable[[_Item], _Result]) -> None:
        self.ready = threading.Event()
        """It has begun, and waits for items."""
        self.process: subprocess.Popen[bytes] | None = None
        self._given: deque[Future[_Result]] = deque()
        self._lock = threading.Lock()
        self._died = False
        self._messages: SimpleQueue[bytes | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._messages.put(_pickled(work))
        # It finds modules where this one does, and nothing in the working folder.
        program = f"import sys; sys.path = {sys.path!r}; from {__name__} import serve; serve()"
        try:
            self.process = subprocess.Popen(
                [sys.executable or "", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what matters is raised here once more
                **OWN_SESSION,
            )
        except OSError:
            self._died = True
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for talk, pipe in ((self._write, self.process.stdin), (self._read, self.process.stdout)):
            thread = threading.Thread(target=talk, args=(pipe,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def take(self, item: _Item) -> Future[_Result] | None:
        """What becomes of an item; None if the process is starting, busy or dead."""
        future: Future[_Result] = Future()
        with self._lock:
            if self._died or not self.ready.is_set() or len(self._given) >= _DEPTH:
                return None
            self._given.append(future)
        self._messages.put(_pickled(item))
        return future

    def end(self) -> None:
        """End it, whatever it is doing."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self._messages.put(None)
        for thread in self._threads:
            thread.join()

    def _write(self, pipe: BinaryIO) -> None:
        with suppress(OSError), pipe:
            while (message := self._messages.get()) is not None:
                pipe.write(message)
                pipe.flush()

    def _read(self, pipe: BinaryIO) -> None:
        # It may end within an answer, which is no pickle then: whatever it is, no more will come.
        with suppress(Exception), pipe:
            pickle.load(pipe)  # that it is ready
            self.ready.set()
            while True:
                result, error = pickle.load(pipe)
                with self._lock:
                    future = self._given.popleft()
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
        with self._lock:
            self._died = True
            while self._given:
                self._given.popleft().set_exception(_DiedError())


def _pickled(message: Any) -> bytes:
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def serve() -> None:
    """The life of the second process: what its parent sends is worked on until there is no more.

    Work and items are pickles. They come from the parent, and from nowhere else.
    """
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result
    with suppress(EOFError, BrokenPipeError):
        work = pickle.load(source)
        sink.write(_pickled(None))
        sink.flush()
        while True:
            item = pickle.load(source)
            answer: tuple[Any, Exception | None]
            try:
                answer = work(item), None
            except Exception as error:
                answer = None, error
            sink.write(_pickled(answer))
            sink.flush()
