"""Worker processes on this machine.

A worker gets whole sources, and there is one for each core. Any of them may die: then the source
that it was working on has failed, and no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from typing import TypeAlias, cast

import psutil

from facecycle_cli.errors import OutputError, PreprocessError
from facecycle_cli.preprocess.extract import OnFrames
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.watchdog import HUNG, TIMED_OUT
from facecycle_cli.preprocess.workers import (
    OUT_OF_MEMORY,
    SourceResult,
    WorkerTask,
    failed_result,
    lacks_memory,
    portions_of,
    prepare_worker,
    process_source,
)
from facecycle_cli.system import end_process

__all__ = ["LocalPool"]

_NO_MEMORY, _FAILED = 76, 77
"""Exit codes of a worker that ended for want of memory, or because of an error outside a source."""

_TERMINATION_TIMEOUT = 2.0
"""Seconds from asking a worker to end until it is killed."""

_Process: TypeAlias = Callable[[Source, WorkerTask, OnFrames], SourceResult]


class LocalPool:
    """Processes on this machine.

    A source for which there was not enough memory is tried once more at the end, alone.

    Args:
        task: what they all do.
        count: how many.
        process: the work on each source; a function that can be imported in another process.
    """

    def __init__(self, task: WorkerTask, count: int, process: _Process = process_source) -> None:
        self._task = task
        self._count = count
        self._process = process
        # Not forked: onnxruntime's threads would not come along. And children would hold each
        # other's pipes open, so that none would see the end of its parent.
        self._context = multiprocessing.get_context("spawn")

    def run(self, sources: Iterable[Source]) -> Generator[SourceResult | int, None, None]:
        """See :class:`Pool`."""
        queue = _Queue(sources)
        workers: dict[Connection, _Worker] = {}
        try:
            while True:
                while len(workers) < self._count:
                    portion = queue.take(alone=not workers)
                    if portion is None:
                        break
                    worker = _Worker(self._context, self._task, self._process)
                    worker.give(portion)
                    workers[worker.connection] = worker
                if not workers:
                    return
                for ready in wait(list(workers)):
                    connection = cast(Connection, ready)
                    worker = workers[connection]
                    silent, worker.heard = time.monotonic() - worker.heard, time.monotonic()
                    try:
                        message = connection.recv()
                    except (EOFError, OSError):
                        del workers[connection]
                        hung = silent >= self._task.timeout
                        yield from self._bury(worker, queue, alone=not workers, hung=hung)
                        continue
                    if isinstance(message, (PreprocessError, OutputError)):
                        raise message
                    if message is None:  # the worker is ready for its first source
                        worker.is_ready = True
                        continue
                    if isinstance(message, SourceResult):
                        worker.portion.popleft()
                        if _lacked_memory(message) and queue.postpone(message.source):
                            message = message.frames
                    yield message
                    if not worker.portion:
                        portion = queue.take(alone=len(workers) == 1)
                        if portion is None:
                            worker.dismiss()
                            del workers[connection]
                        else:
                            worker.give(portion)
        finally:
            _end_all(list(workers.values()))

    def _bury(
        self, worker: _Worker, queue: _Queue, *, alone: bool, hung: bool
    ) -> Iterator[SourceResult]:
        """A worker died: its current source has failed, the rest of its portion is left over."""
        worker.process.join()
        worker.connection.close()
        code = worker.process.exitcode
        if code == HUNG and not hung:
            code = _NO_MEMORY  # C libraries that get no memory or thread exit like this
        if not worker.is_ready:
            if alone:
                why = f": {OUT_OF_MEMORY}" if _may_lack_memory(code) else ""
                raise PreprocessError(f"the worker processes cannot start{why}")
            self._count -= 1  # the others go on
            queue.give_back(worker.portion)
            return
        source = worker.portion.popleft()
        queue.give_back(worker.portion)
        if _may_lack_memory(code) and queue.postpone(source):
            return
        yield failed_result(source, self._reason(code))

    def _reason(self, code: int | None) -> str:
        """Why a worker died, by its exit code."""
        if code in (TIMED_OUT, HUNG):
            return f"no progress for {self._task.timeout:g} s"
        if code == _NO_MEMORY:
            return OUT_OF_MEMORY
        if code is not None and code < 0:
            return f"its process was killed ({_signal_name(-code)})"
        return f"its process ended with code {code}"


def _lacked_memory(result: SourceResult) -> bool:
    """Whether a worker that lives on says so of a source."""
    return result.status == "failed" and (result.reason or "").startswith(OUT_OF_MEMORY)


def _may_lack_memory(code: int | None) -> bool:
    """Whether a worker may have ended for want of memory: where there is none, Linux kills."""
    # C++ aborts without memory. Windows has no SIGKILL.
    killed = {-getattr(signal, n) for n in ("SIGKILL", "SIGABRT") if hasattr(signal, n)}
    return code == _NO_MEMORY or code in killed


class _Queue:
    """The portions that are left to do."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._portions = portions_of(sources)
        self._again: deque[list[Source]] = deque()  # left over by workers that died
        self._postponed: deque[Source] = deque()
        self._tried: set[str] = set()

    def take(self, *, alone: bool) -> list[Source] | None:
        """The next portion, or None; postponed sources only if nothing else is worked on."""
        portion = self._again.popleft() if self._again else next(self._portions, None)
        if portion is None and alone and self._postponed:
            portion = [self._postponed.popleft()]
        return portion

    def give_back(self, portion: Iterable[Source]) -> None:
        """A portion, or the rest of one, that nobody works on any more."""
        if rest := list(portion):
            self._again.append(rest)

    def postpone(self, source: Source) -> bool:
        """Try a source again at the end; False if it was tried twice already."""
        if source.id in self._tried:
            return False
        self._tried.add(source.id)
        self._postponed.append(source)
        return True


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, context: SpawnContext, task: WorkerTask, process: _Process) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task, process), daemon=True)
        with _interrupts_blocked():
            self.process.start()
        theirs.close()
        self.portion: deque[Source] = deque()
        self.is_ready = False
        self.heard = time.monotonic()

    def give(self, portion: Sequence[Source]) -> None:
        self.portion = deque(portion)
        self.heard = time.monotonic()
        with contextlib.suppress(OSError):  # it has died: the next recv says so
            self.connection.send(portion)

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.connection.close()
        self.process.join()

    def programs(self) -> list[psutil.Process]:
        """The programs that it runs."""
        try:
            found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []
        return found


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A context whose new processes do not see Ctrl-C while they start: their parent decides."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_all(workers: Sequence[_Worker]) -> None:
    programs = [program for worker in workers for program in worker.programs()]
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _TERMINATION_TIMEOUT
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
    for program in programs:  # a decoder that is stuck does not see that its reader has gone
        with contextlib.suppress(psutil.Error):
            program.kill()


def _serve(connection: Connection, task: WorkerTask, process: _Process) -> None:
    """The life of a worker process. It does not end with exit code 1, which means that it hung."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            prepare_worker(task.settings)
        except Exception as error:
            if lacks_memory(error):
                raise
            connection.send(PreprocessError(str(error)))
            return
        connection.send(None)
        while (portion := connection.recv()) is not None:
            for source in portion:
                try:
                    result = process(source, task, connection.send)
                except OutputError as error:
                    connection.send(error)
                    return
                connection.send(result)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has ended
    except BaseException as error:
        end_process(_NO_MEMORY if lacks_memory(error) else _FAILED)


def _end_with_parent() -> None:
    """End this process when its parent has ended, also in the middle of a source."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        end_process(0)


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}: out of memory?" if name == "SIGKILL" else name
