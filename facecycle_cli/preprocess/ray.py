"""The same work as tasks of a Ray cluster, whose machines share the output folder."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from facecycle_cli.errors import PreprocessError
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.workers import (
    OUT_OF_MEMORY,
    SourceResult,
    WorkerTask,
    failed_result,
    portions_of,
    prepare_worker,
    process_source,
)
from facecycle_cli.system import import_extra

__all__ = ["RayPool"]

_CONNECT_TIMEOUT = 10.0
"""Seconds to wait for an answer of the cluster."""

_PORTIONS_PER_CORE = 2
"""Handed out at a time: one is worked on, and one waits on its machine already."""

_CHECK_INTERVAL = 5
"""Seconds after which the size of the cluster is asked for again."""


class RayPool:
    """Tasks on a Ray cluster, one core each.

    Args:
        task: what they all do; its staging folder must be on a disk that all machines share.
        address: of the cluster; ``auto`` finds it, ``local`` starts one on this machine.

    Raises:
        MissingExtraError: ray is not installed.
        PreprocessError: the cluster cannot be reached.
    """

    def __init__(self, task: WorkerTask, address: str) -> None:
        self._ray = import_extra("ray")
        _check_port(address)
        self._task = task
        try:
            self._context = self._ray.init(
                address=address,
                logging_level=logging.ERROR,
                log_to_driver=False,
                ignore_reinit_error=True,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PreprocessError(f"--ray {address}: {line}") from error

    def run(self, sources: Iterable[Source]) -> Generator[SourceResult | int, None, None]:
        """See :class:`~facecycle_cli.preprocess.workers.Pool`."""
        ray = self._ray
        # Retries are ours: if a worker died, only the first source of its portion may be the cause.
        remote = ray.remote(num_cpus=1, max_retries=0)(_process_portion)
        portions = portions_of(sources)
        again: deque[list[Source]] = deque()
        running: dict[Any, list[Source]] = {}
        try:
            while True:
                cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
                while len(running) < _PORTIONS_PER_CORE * cores:
                    portion = again.popleft() if again else next(portions, None)
                    if portion is None:
                        break
                    running[remote.remote(portion, self._task)] = portion
                if not running:
                    return
                ready, _ = ray.wait(list(running), num_returns=1, timeout=_CHECK_INTERVAL)
                for reference in ready:
                    portion = running.pop(reference)
                    try:
                        results = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise PreprocessError(str(error.cause)) from error
                    except ray.exceptions.RayError as error:
                        yield from self._bury(portion, error, again)
                        continue
                    for result in results:
                        yield result.frames
                        yield result
        finally:
            for reference in running:
                with contextlib.suppress(Exception):
                    ray.cancel(reference, force=True)
            ray.shutdown()

    def _bury(
        self, portion: list[Source], error: Exception, again: deque[list[Source]]
    ) -> Iterator[SourceResult]:
        """The worker died: try the sources one by one; a source that was alone has failed."""
        if len(portion) > 1:
            again.extend([source] for source in portion)
            return
        if type(error).__name__ == "OutOfMemoryError":  # Ray kills a worker before Linux does
            yield failed_result(portion[0], OUT_OF_MEMORY)
            return
        timeout = self._task.timeout
        reason = f"its process ended (killed, or no progress for {timeout:g} s)"
        yield failed_result(portion[0], f"{reason}: {type(error).__name__}")


def _check_port(address: str) -> None:
    """Check at once that something answers at HOST:PORT, which Ray itself tries for minutes."""
    match = re.fullmatch(r"([^:/]+):(\d{1,5})", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_CONNECT_TIMEOUT).close()
    except OSError as error:
        raise PreprocessError(f"--ray {address}: {error.strerror or error}") from error
    except OverflowError as error:  # no port has this number
        raise PreprocessError(f"--ray {address}: {error}") from error


def _process_portion(portion: list[Source], task: WorkerTask) -> list[SourceResult]:
    try:
        prepare_worker(task.settings)
    except Exception as error:  # the machine's failure, and not that of every source
        raise PreprocessError(str(error)) from error
    return [process_source(source, task, lambda _: None) for source in portion]
