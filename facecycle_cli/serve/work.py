"""One request at work: its deadline, the threads that work, and who waits for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import TypeVar

from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.serve.errors import RequestError
from facecycle_cli.types import RGBImage

__all__ = ["RequestPool", "WatchedBackend", "Work"]

_POLL_SECONDS = 0.2
"""How often a waiting request looks whether its client has gone or its time is up."""

_RETRY_SECONDS = 5

_Result = TypeVar("_Result")


class Work:
    """The time that a request may take, from when it is complete.

    Args:
        seconds: until it is given up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = threading.Event()

    @property
    def left(self) -> float:
        """Seconds that are left; 0 if it was cancelled."""
        return 0.0 if self._cancelled.is_set() else max(0.0, self._end - time.monotonic())

    def cancel(self) -> None:
        """Nobody waits for it any more: let it end at its next :meth:`check`."""
        self._cancelled.set()

    def check(self) -> None:
        """Called between steps of the work.

        Raises:
            RequestError: its time is up, or it was cancelled.
        """
        if not self.left:
            raise self.too_long()

    def too_long(self) -> RequestError:
        """What a client is told whose time is up."""
        message = f"not done within {self._seconds:g} seconds (--timeout)"
        return RequestError(HTTPStatus.GATEWAY_TIMEOUT, message)


class WatchedBackend:
    """A face backend that ends with its request: every loop over frames asks it for faces.

    Args:
        backend: finds the faces.
        work: the request.
    """

    def __init__(self, backend: FaceBackend, work: Work) -> None:
        self.name = backend.name
        self._backend, self._work = backend, work

    def prepare(self) -> None:
        """As the backend has it."""
        self._backend.prepare()

    def detect(
        self, images: Sequence[RGBImage], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        """As the backend has it.

        Raises:
            RequestError: the time is up.
        """
        self._work.check()
        return self._backend.detect(images, min_face=min_face, refine=refine)

    def follow(
        self, images: Sequence[RGBImage], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """As the backend has it.

        Raises:
            RequestError: the time is up.
        """
        self._work.check()
        return self._backend.follow(images, previous)


class RequestPool:
    """A few threads that work, and a few requests that wait for them.

    Args:
        threads: requests that are worked on at once.
        waiting: requests that wait besides, at most.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="facecycle-serve")
        self._room = threads + waiting
        self._is_ending = False
        self._works: set[Work] = set()

    @property
    def busy(self) -> int:
        """Requests that are worked on, or wait."""
        return len(self._works)

    async def run(
        self,
        work: Work,
        function: Callable[[], _Result],
        is_gone: Callable[[], Awaitable[bool]],
        on_end: Callable[[], None],
    ) -> _Result:
        """Work on a request in one of the threads.

        Args:
            work: the request.
            function: what to do.
            is_gone: whether the client has hung up.
            on_end: called in any case when the thread has let go of the request.

        Returns:
            What ``function`` returns.

        Raises:
            RequestError: too many wait already, the time is up, or the server ends.
        """
        loop = asyncio.get_running_loop()

        def ended(_: Future[_Result]) -> None:
            on_end()
            with suppress(RuntimeError):  # the loop has ended first
                loop.call_soon_threadsafe(self._works.discard, work)

        if self.busy >= self._room:
            on_end()
            message = f"{self.busy} requests are at work or wait already"
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, message, _RETRY_SECONDS)
        self._works.add(work)
        future = self._threads.submit(function)
        future.add_done_callback(ended)
        waiter = asyncio.wrap_future(future)
        try:
            while not waiter.done():
                await asyncio.wait({waiter}, timeout=min(_POLL_SECONDS, work.left))
                if waiter.done():
                    break
                if self._is_ending:
                    raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server ends")
                if not work.left or await is_gone():
                    raise work.too_long()
            return waiter.result()
        finally:
            if not waiter.done():
                work.cancel()
                waiter.add_done_callback(_forget)
                waiter.cancel()

    def end(self) -> None:
        """Let every request end soon; may be called by a handler of signals."""
        self._is_ending = True

    def close(self) -> None:
        """End the threads."""
        self.end()
        for work in self._works:
            work.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _forget(future: asyncio.Future[_Result]) -> None:
    """Nobody asks what became of it; asyncio would complain."""
    if not future.cancelled():
        future.exception()
