"""Work in batches, and in a thread ahead of its consumer."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["BATCH", "batches", "in_thread"]

BATCH = 8
"""Frames that go through the networks together."""

_POLL_SECONDS = 0.1
"""How often a thread that waits for room in its queue looks whether it is still wanted."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class _Value(Generic[_Item]):
    item: _Item


@dataclass(frozen=True)
class _End:
    """The end of the items, and the error that ended them, if any."""

    error: BaseException | None = None


def batches(items: Iterable[_Item], count: int = BATCH) -> Generator[list[_Item], None, None]:
    """Lists of ``count`` items; the last one may be shorter."""
    source = iter(items)
    while batch := list(itertools.islice(source, count)):
        yield batch


def in_thread(
    produce: Callable[[], Generator[_Item, None, None]], depth: int = 2
) -> Generator[_Item, None, None]:
    """The items that ``produce()`` yields, produced in a thread of its own.

    Decoding, the networks and drawing release Python's lock, so a chain of these keeps several
    cores busy. The thread starts when the first item is asked for. When this generator is closed,
    the other one is closed as well, and the thread has ended before ``close`` returns.

    Args:
        produce: makes the generator; called in the thread.
        depth: how many items are produced ahead.

    Raises:
        BaseException: whatever ``produce()`` raises, after the items that came before it.
    """
    items: queue.Queue[_Value[_Item] | _End] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(message: _Value[_Item] | _End) -> bool:
        while not unwanted.is_set():
            try:
                items.put(message, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            with closing(produce()) as source:
                for item in source:
                    if not put(_Value(item)):
                        return
        except BaseException as error:
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=work, name="facecycle-pipeline", daemon=True)
    thread.start()
    try:
        while isinstance(message := items.get(), _Value):
            yield message.item
        if message.error is not None:
            raise message.error
    finally:
        unwanted.set()
        thread.join()
