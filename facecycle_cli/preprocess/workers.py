"""Worker processes: what one does with a source, and a pool of them on this machine.

A worker gets whole sources, and there is one for each core. Any of them may die: then the source
that it was working on has failed, and no other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Protocol, TypeAlias, cast

from facecycle_cli.errors import MediaError, OutputError, PreprocessError
from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.preprocess.extract import Extraction, OnFrames, extract_crops
from facecycle_cli.preprocess.index import to_line
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.store import open_sink
from facecycle_cli.preprocess.watchdog import (
    TIMED_OUT,
    clear_deadline,
    end_process,
    set_deadline,
)
from facecycle_cli.types import AlignerName

__all__ = [
    "LocalPool",
    "Pool",
    "SourceResult",
    "WorkerTask",
    "failed_result",
    "portions_of",
    "prepare_worker",
    "process_source",
    "result_of",
]

_PHOTOS = 32
"""Photographs in one portion: a video takes seconds, a photograph milliseconds."""

_TERMINATION_TIMEOUT = 2.0
"""Seconds from asking a worker to end until it is killed."""


@dataclass(frozen=True)
class WorkerTask:
    """What a worker needs to know about its run.

    Attributes:
        settings: of the crops.
        staging: folder for the crops of a source until they are complete.
        timeout: seconds without a frame after which a source has failed.
    """

    settings: PreprocessSettings
    staging: Path
    timeout: float


@dataclass(frozen=True)
class SourceResult:
    """What came of one source.

    Attributes:
        source: which one.
        status, reason: as in the index.
        staged: its crops, to be moved to their target; None: there are none.
        lines: its lines for the index.
        crops, frames: how many.
    """

    source: Source
    status: str
    reason: str | None
    staged: Path | None
    lines: list[str]
    crops: int
    frames: int


@lru_cache(maxsize=1)
def _backend(name: AlignerName) -> FaceBackend:
    """Opened once in each process, for one thread: there is a process for each core."""
    import cv2

    cv2.setNumThreads(1)
    if name == "face-alignment":
        import torch

        torch.set_num_threads(1)
    return load_backend(name, threads=1)


def prepare_worker(settings: PreprocessSettings) -> None:
    """Load the face backend.

    Raises:
        FaceError: it cannot be loaded.
        MissingExtraError: its package is not installed.
    """
    _backend(settings.aligner)


def process_source(source: Source, task: WorkerTask, on_frames: OnFrames) -> SourceResult:
    """Make the crops of ``source`` in the staging folder.

    Whatever is wrong with the source is in its result. If no frame is seen for ``task.timeout``
    seconds, the process ends at once (see :mod:`~facecycle_cli.preprocess.watchdog`).

    Raises:
        OutputError: the output cannot be written.
    """
    staged = task.staging / secrets.token_hex(8)
    if source.is_file_target:
        staged = staged.with_suffix(".jpg")
    sink = open_sink(source, task.settings, staged)

    def count(frames: int) -> None:
        set_deadline(task.timeout)
        on_frames(frames)

    set_deadline(task.timeout)
    try:
        if not os.path.isdir(source.path) and not os.path.isfile(source.path):
            os.stat(source.path)  # raises the system's own error for a missing file
            raise MediaError("not a regular file")
        backend = _backend(task.settings.aligner)
        found = extract_crops(source, task.settings, backend, sink, count)
        sink.close()
    except OutputError:
        raise
    except MediaError as error:
        sink.clear()
        return failed_result(source, str(error), status="unreadable")
    except OSError as error:
        sink.clear()
        return failed_result(source, error.strerror or str(error))
    except MemoryError:
        sink.clear()
        return failed_result(source, "not enough memory")
    except Exception as error:
        sink.clear()
        return failed_result(source, f"{type(error).__name__}: {error}")
    finally:
        clear_deadline()
    return result_of(source, found, staged if found.lines else None)


def failed_result(source: Source, reason: str, *, status: str = "failed") -> SourceResult:
    """The result of a source without crops."""
    return result_of(source, Extraction(status, " ".join(reason.split())), None)


def result_of(source: Source, found: Extraction, staged: Path | None) -> SourceResult:
    """The result of a source, with its own line after those of its crops."""
    record = {
        "source": source.id,
        "status": found.status,
        "reason": found.reason,
        "target": source.target,
        "crops": len(found.lines),
        "frames": found.frames,
        "tracks": found.tracks,
    }
    return SourceResult(
        source,
        found.status,
        found.reason,
        staged,
        [*found.lines, to_line(record)],
        len(found.lines),
        found.frames,
    )


class Pool(Protocol):
    """Works on sources somewhere."""

    def run(self, sources: Iterable[Source]) -> Generator[SourceResult | int, None, None]:
        """Results as they come, in any order, and between them numbers of frames just seen.

        Raises:
            PreprocessError: the run cannot go on.
            OutputError: the output cannot be written.
        """
        ...


def portions_of(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Portions of about equal work: a video, or several photographs."""
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


_Process: TypeAlias = Callable[[Source, WorkerTask, OnFrames], SourceResult]


class LocalPool:
    """Processes on this machine.

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
        portions = portions_of(sources)
        again: deque[list[Source]] = deque()  # left over by workers that died
        workers: dict[Connection, _Worker] = {}
        try:
            while True:
                while len(workers) < self._count:
                    portion = again.popleft() if again else next(portions, None)
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
                    try:
                        message = connection.recv()
                    except (EOFError, OSError):
                        del workers[connection]
                        yield from self._bury(worker, again)
                        continue
                    if isinstance(message, (PreprocessError, OutputError)):
                        raise message
                    if message is None:  # the worker is ready for its first source
                        worker.is_ready = True
                        continue
                    if isinstance(message, SourceResult):
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
            _end_all(list(workers.values()))

    def _bury(self, worker: _Worker, again: deque[list[Source]]) -> Iterator[SourceResult]:
        """A worker died: its current source has failed, the rest of its portion is left over."""
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
        yield failed_result(source, reason)


class _Worker:
    """A worker process as its parent sees it."""

    def __init__(self, context: SpawnContext, task: WorkerTask, process: _Process) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task, process), daemon=True)
        self.process.start()
        theirs.close()
        self.portion: deque[Source] = deque()
        self.is_ready = False

    def give(self, portion: Sequence[Source]) -> None:
        self.portion = deque(portion)
        with contextlib.suppress(OSError):  # it has died: the next recv says so
            self.connection.send(portion)

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.connection.close()
        self.process.join()


def _end_all(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    deadline = time.monotonic() + _TERMINATION_TIMEOUT
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        worker.process.kill()
        worker.process.join()
        worker.connection.close()


def _serve(connection: Connection, task: WorkerTask, process: _Process) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C too, and decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        try:
            prepare_worker(task.settings)
        except Exception as error:
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
