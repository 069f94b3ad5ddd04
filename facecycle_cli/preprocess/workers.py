"""A worker process for each core, fed with whole sources; any of them may die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from facecycle_cli.errors import OutputError, PreprocessError
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.watchdog import TIMED_OUT, end_process
from facecycle_cli.preprocess.work import Result, Task, failed, prepare, work_on

__all__ = ["LocalPool", "Pool", "batches"]

_PHOTOS = 32  # in one batch: a video is work for seconds, a photograph for milliseconds
_LIFE_AFTER_TERM = 2.0  # seconds


Work = Callable[[Source, Task, Callable[[int], None]], Result]


class Pool(Protocol):
    """Runs sources somewhere."""

    def run(self, sources: Iterable[Source]) -> Generator[Result | int, None, None]:
        """Results as they come, in any order, and between them numbers of frames just seen.

        Raises:
            PreprocessError: the run cannot go on.
        """
        ...


def batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Portions of work, about equal."""
    photos: list[Source] = []
    for source in sources:
        if source.kind != "photo":
            yield [source]
            continue
        photos.append(source)
        if len(photos) == _PHOTOS:
            yield photos
            photos = []
    if photos:
        yield photos


class LocalPool:
    """Processes on this machine.

    Args:
        task: what they all do.
        count: how many.
        work: done for each source, in the process; a function that can be imported there.
    """

    def __init__(self, task: Task, count: int, work: Work = work_on) -> None:
        self._task = task
        self._count = count
        self._work = work
        # Not forked: onnxruntime's threads would not come along, and children would hold each
        # other's pipes open, so that none noticed its parent's end.
        self._context = multiprocessing.get_context("spawn")

    def run(self, sources: Iterable[Source]) -> Generator[Result | int, None, None]:
        """See `Pool`."""
        portions = batches(sources)
        again: deque[list[Source]] = deque()  # what dead workers left
        workers: dict[Connection, _Worker] = {}
        try:
            while True:
                while len(workers) < self._count:
                    portion = again.popleft() if again else next(portions, None)
                    if portion is None:
                        break
                    worker = _Worker(self._context, self._task, self._work)
                    worker.give(portion)
                    workers[worker.connection] = worker
                if not workers:
                    return
                for connection in wait(list(workers)):
                    assert isinstance(connection, Connection)
                    worker = workers[connection]
                    try:
                        message = connection.recv()
                    except (EOFError, OSError):
                        del workers[connection]
                        yield from self._bury(worker, again)
                        continue
                    if isinstance(message, PreprocessError):
                        raise message
                    if message is None:  # ready for the first time
                        worker.is_ready = True
                        continue
                    if isinstance(message, Result):
                        worker.portion.popleft()
                    yield message
                    if not worker.portion:
                        portion = again.popleft() if again else next(portions, None)
                        if portion is None:
                            worker.dismiss()
                            del workers[connection]
                        else:
                            worker.give(portion)
        finally:
            _end(list(workers.values()))

    def _bury(self, worker: _Worker, again: deque[list[Source]]) -> Iterator[Result]:
        """The source that a dead worker was working on failed; the rest of its portion did not."""
        worker.process.join()
        if not worker.is_ready:
            raise PreprocessError("the worker processes cannot start")
        code = worker.process.exitcode
        if code == TIMED_OUT:
            reason = f"no progress for {self._task.timeout:g} s"
        elif code is not None and code < 0:
            reason = f"its process was killed ({_signal_name(-code)})"
        else:
            reason = f"its process ended with code {code}"
        source = worker.portion.popleft()
        if worker.portion:
            again.append(list(worker.portion))
        worker.connection.close()
        yield failed(source, reason)


class _Worker:
    def __init__(self, context: Any, task: Task, work: Work) -> None:
        self.connection, theirs = context.Pipe()
        arguments = (theirs, task, work, os.getpid())
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self.portion: deque[Source] = deque()
        self.is_ready = False

    def give(self, portion: Sequence[Source]) -> None:
        self.portion = deque(portion)
        with contextlib.suppress(OSError):  # dead: the next recv says so
            self.connection.send(portion)

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.connection.close()
        self.process.join()


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _LIFE_AFTER_TERM
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def _serve(connection: Connection, task: Task, work: Work, parent: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()
    try:
        try:
            prepare(task.settings)
        except Exception as error:
            connection.send(PreprocessError(str(error)))
            return
        connection.send(None)
        while (portion := connection.recv()) is not None:
            for source in portion:
                try:
                    result = work(source, task, connection.send)
                except PreprocessError as error:
                    connection.send(OutputError(str(error)))
                    return
                connection.send(result)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone; nobody would take the result


def _follow_parent(parent: int) -> None:
    """End soon after the parent was killed, in the middle of a source too."""
    while os.getppid() == parent:
        time.sleep(0.5)
    end_process(0)


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}: out of memory?" if name == "SIGKILL" else name
