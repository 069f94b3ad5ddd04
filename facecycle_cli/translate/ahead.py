"""Work done ahead of its consumer, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

_POLL = 0.1  # seconds after which a thread that waits for room looks whether anybody still wants it


def ahead(produce: Callable[[], Iterator[T]], depth: int = 2) -> Generator[T, None, None]:
    """What ``produce()`` yields, produced in a thread up to ``depth`` items ahead.

    Decoding, the networks and drawing leave Python's lock to each other, so a chain of these keeps
    several cores busy. The thread starts with the first item asked for. What it raises is raised
    here, in its place in the order; when this generator is closed, the other one is too, and the
    thread has ended before that returns.
    """
    items: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(kind: str, item: Any = None) -> bool:
        while not unwanted.is_set():
            try:
                items.put((kind, item), timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            source = produce()
            try:
                for item in source:
                    if not put("item", item):
                        return
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            put("error", error)
        else:
            put("end")

    thread = threading.Thread(target=work, name="facecycle-ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = items.get()
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
    finally:
        unwanted.set()
        thread.join()
