"""Work that a second process shares with this one."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from facecycle_cli.system import end_with_parent, interrupts_blocked

__all__ = ["with_second_process"]

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
    is anything lost when it dies, or cannot start: what it had is made here once more.

    The second process is a new Python ("spawn"): a program that gets here must not do so again when
    its main module is only imported. It ends when this generator is closed, or with its parent.

    Args:
        work: can be pickled, as its items and results can.
        items: what is to be done; a few of them are taken ahead.

    Raises:
        BaseException: whatever ``work`` or ``items`` raise.
    """
    second = _SecondProcess(work)
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
    except BrokenExecutor:  # it died with this item
        return item, work(item)


class _SecondProcess(Generic[_Item, _Result]):
    """A process that does ``work``, as its parent sees it."""

    def __init__(self, work: Callable[[_Item], _Result]) -> None:
        # Not forked: the threads of libraries would not come along.
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            # Pickled here: multiprocessing's own pickles have torch move tensors into memory that
            # both processes share, and arrays of NumPy that look at a tensor then look at nothing.
            initargs=(pickle.dumps(work),),
        )
        self._given: list[Future[_Result]] = []
        self._ready: Future[None] | None = None
        before = set(multiprocessing.active_children())
        # Ctrl-C goes to both: the parent decides.
        with suppress(OSError, BrokenExecutor), interrupts_blocked():
            self._ready = self._pool.submit(_say_ready)
        self._processes = set(multiprocessing.active_children()) - before

    def take(self, item: _Item) -> Future[_Result] | None:
        """What becomes of an item; None if the process is starting, busy or dead."""
        self._given = [future for future in self._given if not future.done()]
        if self._ready is None or not self._ready.done() or len(self._given) >= _DEPTH:
            return None
        try:
            future: Future[_Result] = self._pool.submit(_do, item)
        except BrokenExecutor:
            return None
        self._given.append(future)
        return future

    def end(self) -> None:
        """End it, whatever it is doing."""
        for process in self._processes:
            process.terminate()
        self._pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any]
"""Of the second process."""


def _begin(pickled: bytes) -> None:
    """What is unpickled comes from the parent, and from nowhere else."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' notes to developers
    end_with_parent()
    _work = pickle.loads(pickled)


def _say_ready() -> None:
    """The first thing that the second process is asked for."""


def _do(item: Any) -> Any:
    return _work(item)
