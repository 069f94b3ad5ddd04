"""What a worker does with a source, whoever runs the worker: a process here, or Ray anywhere."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from facecycle_cli.errors import MediaError, PreprocessError
from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.preprocess.extract import Extract, extract
from facecycle_cli.preprocess.index import to_line
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.store import open_sink
from facecycle_cli.preprocess.watchdog import rest, watch

__all__ = ["Result", "Task", "failed", "finished", "prepare", "work_on"]


@dataclass(frozen=True)
class Task:
    """What a worker needs to know about its run."""

    settings: PreprocessSettings
    staging: Path
    timeout: float


@dataclass(frozen=True)
class Result:
    """What became of one source.

    Attributes:
        source: which one.
        status, reason: as in the index.
        staged: its crops, to be moved to their place; None if there are none.
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
def _backend(name: str) -> FaceBackend:
    """Opened once in each process, for one core: there is a process for each of them."""
    import cv2

    cv2.setNumThreads(1)
    if name == "face-alignment":
        import torch

        torch.set_num_threads(1)
    return load_backend(name, threads=1)


def prepare(settings: PreprocessSettings) -> None:
    """Load the backend. Raises FaceError if it is not installed."""
    _backend(settings.aligner)


def work_on(source: Source, task: Task, beat: Callable[[int], None]) -> Result:
    """Make the crops of ``source`` in the staging folder.

    Whatever is wrong with the source is its result. If there is no sign of life for
    ``task.timeout`` seconds, the process ends at once (see `watchdog`).

    Raises:
        PreprocessError: the output cannot be written, or a package is missing.
    """
    staged = task.staging / secrets.token_hex(8)
    if source.is_file_target:
        staged = staged.with_suffix(".jpg")
    sink = open_sink(source, task.settings, staged)

    def alive(frames: int) -> None:
        watch(task.timeout)
        beat(frames)

    watch(task.timeout)
    try:
        if not os.path.isdir(source.path) and not os.path.isfile(source.path):
            os.stat(source.path)  # the system's words for what is missing
            raise MediaError("not a regular file")
        found = extract(source, task.settings, _backend(task.settings.aligner), sink, alive)
        sink.close()
    except PreprocessError:
        raise
    except MediaError as error:
        sink.clear()
        return failed(source, str(error), status="unreadable")
    except OSError as error:
        sink.clear()
        return failed(source, error.strerror or str(error))
    except MemoryError:
        sink.clear()
        return failed(source, "not enough memory")
    except Exception as error:
        sink.clear()
        return failed(source, f"{type(error).__name__}: {error}")
    finally:
        rest()
    return finished(source, found, staged if found.lines else None)


def failed(source: Source, reason: str, *, status: str = "failed") -> Result:
    """The result of a source without any."""
    return finished(source, Extract(status, " ".join(reason.split())), None)


def finished(source: Source, found: Extract, staged: Path | None) -> Result:
    """The result of a source, with its own line behind those of its crops."""
    record = {
        "source": source.id,
        "status": found.status,
        "reason": found.reason,
        "target": source.target,
        "crops": len(found.lines),
        "frames": found.frames,
        "tracks": found.tracks,
    }
    return Result(
        source,
        found.status,
        found.reason,
        staged,
        [*found.lines, to_line(record)],
        len(found.lines),
        found.frames,
    )
