"""A measured sequence without its jitter, and without lag."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

import numpy as np

__all__ = ["smoothed"]

T = TypeVar("T")

_NARROWEST = 0.1
"""Width in items below which even the nearest neighbor has no weight."""


def smoothed(
    items: Iterable[T],
    *,
    width: float,
    tolerance: Callable[[T], float],
    group: Callable[[T], Hashable | None],
    get: Callable[[T], np.ndarray],
    put: Callable[[T, np.ndarray], T],
) -> Iterator[T]:
    """Each item with its value averaged over its neighbors in time.

    The weights fall off with distance in time and, so that a blink stays a blink, with difference
    in value: a bilateral filter (Tomasi and Manduchi, 1998) over time. The kernel is symmetric: it
    looks ahead as far as back, and therefore never lags behind the sound.

    Args:
        items: any number; about four ``width`` of them are held.
        width: standard deviation of the kernel in items; 0 passes all on untouched.
        tolerance: of an item: the root mean square difference to its value from which others count
            markedly less.
        group: only items of one group are averaged; what is None is passed on.
        get: an item's value.
        put: the item with another value.
    """
    if width < _NARROWEST:
        yield from items
        return
    radius = math.ceil(2 * width)
    window: deque[T] = deque(maxlen=2 * radius + 1)

    def at(index: int) -> T:
        item = window[index]
        key = group(item)
        if key is None:
            return item
        value, unit = get(item), tolerance(item)
        total, weights = np.zeros_like(value, np.float64), 0.0
        for k, other in enumerate(window):
            if abs(k - index) > radius or group(other) != key:
                continue
            change = get(other) - value
            distance = float(np.mean(change * change)) / unit**2
            weight = math.exp(-0.5 * (((k - index) / width) ** 2 + distance))
            total += weight * change
            weights += weight
        return put(item, (value + total / weights).astype(value.dtype))

    pending = 0  # of the window's last items, how many are not given out yet
    for item in items:
        window.append(item)
        pending += 1
        if pending > radius:
            yield at(len(window) - pending)
            pending -= 1
    while pending:
        yield at(len(window) - pending)
        pending -= 1
