"""What a worker does with a source, wherever it runs, and what comes of it."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from facecycle_cli.errors import MediaError, OutputError
from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.media.streams import require_file
from facecycle_cli.preprocess.extract import Extraction, OnFrames, extract_crops
from facecycle_cli.preprocess.index import to_line
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source, as_it_is
from facecycle_cli.preprocess.store import open_sink
from facecycle_cli.preprocess.watchdog import clear_deadline, set_deadline
from facecycle_cli.types import AlignerName

__all__ = [
    "OUT_OF_MEMORY",
    "Pool",
    "SourceResult",
    "WorkerTask",
    "failed_result",
    "lacks_memory",
    "portions_of",
    "prepare_worker",
    "process_source",
    "result_of",
]

_PHOTOS = 32
"""Photographs in one portion: a video takes seconds, a photograph milliseconds."""

OUT_OF_MEMORY = "not enough memory"
"""The reason of a source that is tried again when no other is being worked on."""


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

    def count(frames: int) -> None:
        set_deadline(task.timeout)
        on_frames(frames)

    sink = open_sink(source, task.settings, staged)
    try:
        set_deadline(task.timeout)
        require_file(source.path)
        source = as_it_is(source, task.settings)
        if source.is_file_target:
            staged = staged.with_suffix(".jpg")
            sink = open_sink(source, task.settings, staged)
        backend = _backend(task.settings.aligner)
        found = extract_crops(source, task.settings, backend, sink, count)
        sink.close()
    except OutputError:
        raise
    except MediaError as error:
        sink.clear()
        if lacks_memory(error):  # decoders say so of damaged files, too
            return failed_result(source, f"{OUT_OF_MEMORY}, or damaged ({error})")
        return failed_result(source, str(error), status="unreadable")
    except OSError as error:
        sink.clear()
        reason = OUT_OF_MEMORY if lacks_memory(error) else error.strerror or str(error)
        return failed_result(source, reason)
    except Exception as error:
        reason = OUT_OF_MEMORY if lacks_memory(error) else f"{type(error).__name__}: {error}"
        sink.clear()
        return failed_result(source, reason)
    finally:
        clear_deadline()
    return result_of(source, found, staged if found.lines else None)


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up, in the words of whatever library met it."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    ):
        return True
    text = str(error).lower()
    return any(words in text for words in _MEMORY_WORDS)


_MEMORY_WORDS = (
    "bad alloc",  # C++, and so onnxruntime
    "bad_alloc",
    "cannot allocate memory",  # the system, and so ffmpeg
    "can't allocate memory",  # torch
    "can't start new thread",  # Python: a thread needs memory for its stack
    "unable to start watchdog thread",
    "failed to allocate",  # OpenCV, onnxruntime
    "failed to map segment",  # the loader of shared libraries
    "insufficient memory",
    "not enough memory",
    "out of memory",
    "unable to allocate",  # numpy
)


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
