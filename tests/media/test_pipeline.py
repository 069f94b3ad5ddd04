"""Batches, and work in a thread ahead of its consumer."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.media.pipeline import batches, in_thread


def numbers(count):
    yield from range(count)


def test_a_thread_keeps_the_order():
    assert list(in_thread(lambda: numbers(100))) == list(range(100))


def test_a_thread_works_ahead_but_not_far():
    made, threads = [], set()

    def produce():
        for i in range(50):
            threads.add(threading.get_ident())
            made.append(i)
            yield i

    items = in_thread(produce, depth=3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 6  # one taken, three waiting, one that waits for room, one begun
    assert threads != {threading.get_ident()}
    items.close()


def test_a_thread_raises_in_its_place():
    def produce():
        yield 1
        raise KeyError("two")

    items = in_thread(produce)
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)


def test_closing_it_closes_its_source():
    closed = threading.Event()

    def produce():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = in_thread(produce)
    next(items)
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_batches_are_a_partition(items, count):
    parts = list(batches(items, count))
    assert [item for part in parts for item in part] == items
    assert all(len(part) == count for part in parts[:-1])
