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
from facecycle_cli.preprocess.work import Result, Task, failed, prepare, work_on
from facecycle_cli.preprocess.workers import batches

__all__ = ["RayPool"]

_CONNECTING = 10.0  # seconds
_AHEAD = 2  # portions per core handed out at a time: one at work, one that has its place already


class RayPool:
    """Tasks on a Ray cluster, one core each.

    Args:
        task: what they all do; its staging folder must be on a disk that all machines share.
        address: of the cluster; "auto" finds it, "local" starts one on this machine.

    Raises:
        PreprocessError: ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, task: Task, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise PreprocessError("--ray needs the package ray; install facecycle[ray]") from error
        _check_port(address)
        self._ray = ray
        self._task = task
        try:
            self._context = ray.init(
                address=address,
                logging_level=logging.ERROR,
                log_to_driver=False,
                ignore_reinit_error=True,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PreprocessError(f"--ray {address}: {line}") from error

    def run(self, sources: Iterable[Source]) -> Generator[Result | int, None, None]:
        """See `facecycle_cli.preprocess.workers.Pool`."""
        ray = self._ray
        # Retries are ours: of a portion whose worker died only the first source may be the cause.
        remote = ray.remote(num_cpus=1, max_retries=0)(_work_on_all)
        portions = batches(sources)
        again: deque[list[Source]] = deque()
        running: dict[Any, list[Source]] = {}
        try:
            while True:
                room = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
                while len(running) < room:
                    portion = again.popleft() if again else next(portions, None)
                    if portion is None:
                        break
                    running[remote.remote(portion, self._task)] = portion
                if not running:
                    return
                ready, _ = ray.wait(list(running), num_returns=1, timeout=5)
                for reference in ready:
                    portion = running.pop(reference)
                    try:
                        results = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise PreprocessError(str(error.cause)) from error
                    except ray.exceptions.RayError as error:
                        yield from self._failed(portion, error, again)
                        continue
                    for result in results:
                        yield result.frames
                        yield result
        finally:
            for reference in running:
                with contextlib.suppress(Exception):
                    ray.cancel(reference, force=True)
            ray.shutdown()

    def _failed(
        self, portion: list[Source], error: Exception, again: deque[list[Source]]
    ) -> Iterator[Result]:
        if len(portion) > 1:  # which one it was shows when they are alone
            again.extend([source] for source in portion)
            return
        timeout = self._task.timeout
        reason = f"its process ended (no progress for {timeout:g} s, or killed)"
        yield failed(portion[0], f"{reason}: {type(error).__name__}")


def _check_port(address: str) -> None:
    """Say at once that nobody answers at HOST:PORT: Ray itself tries for minutes."""
    match = re.fullmatch(r"([^:/]+):(\d{1,5})", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_CONNECTING).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PreprocessError(f"--ray {address}: {reason}") from error


def _work_on_all(portion: list[Source], task: Task) -> list[Result]:
    try:
        prepare(task.settings)
    except Exception as error:  # the machine's fault, not that of every source
        raise PreprocessError(str(error)) from error
    return [work_on(source, task, lambda _: None) for source in portion]
