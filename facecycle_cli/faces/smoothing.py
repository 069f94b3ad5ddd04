"""Temporal smoothing of measured values, without delay."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

__all__ = ["Signal", "Smoothable", "smoothed"]

_NARROWEST = 0.1
"""Width in frames below which even the nearest neighbor has no weight."""


class Signal(NamedTuple):
    """One value of a frame.

    Attributes:
        value: an array of any shape, of a floating-point type.
        tolerance: the root mean square difference to ``value``, in its unit, from which a neighbor
            counts markedly less.
    """

    value: np.ndarray
    tolerance: float


_Self = TypeVar("_Self")


class Smoothable(Protocol):
    """What was measured of a face in one frame."""

    @property
    def track(self) -> int:
        """The same number as long as it is the same face in the same shot."""
        ...

    def signals(self) -> Sequence[Signal]:
        """The values to smooth: the same number of them, with the same shapes, in every frame."""
        ...

    def with_signals(self: _Self, values: Sequence[np.ndarray]) -> _Self:
        """This frame with other values, in the order of :meth:`signals`."""
        ...


_Frame = TypeVar("_Frame", bound=Smoothable)


def smoothed(frames: Iterable[_Frame | None], widths: Sequence[float]) -> Iterator[_Frame | None]:
    """Average each value of a frame over the frames before and after it.

    The weights fall with distance in time and, so that a blink stays a blink, with difference in
    value: a bilateral filter (Tomasi and Manduchi, 1998) over time. The kernel is symmetric, so the
    result has no delay against the sound. Only frames of the same track are averaged.

    Args:
        frames: any number, None where there is no face. About four times the largest width of them
            are held.
        widths: standard deviation of the kernel in frames, for each of the signals; below 0.1 that
            signal stays as it is.

    Yields:
        each frame with its values smoothed, and None for None.
    """
    widths = [width if width >= _NARROWEST else 0.0 for width in widths]
    if not any(widths):
        yield from frames
        return
    radius = max(math.ceil(2 * width) for width in widths)
    window: deque[tuple[_Frame, Sequence[Signal]] | None] = deque(maxlen=2 * radius + 1)
    pending = 0  # of the last frames in the window, how many are still to be given out
    for frame in frames:
        window.append(None if frame is None else (frame, frame.signals()))
        pending += 1
        if pending > radius:
            yield _average(window, len(window) - pending, widths)
            pending -= 1
    while pending:
        yield _average(window, len(window) - pending, widths)
        pending -= 1


def _average(
    window: Sequence[tuple[_Frame, Sequence[Signal]] | None], index: int, widths: Sequence[float]
) -> _Frame | None:
    """The frame of the window with that index, smoothed."""
    sample = window[index]
    if sample is None:
        return None
    frame, signals = sample
    near = [
        (k - index, other[1])
        for k, other in enumerate(window)
        if other is not None and other[0].track == frame.track
    ]
    values = [
        _bilateral(signal, width, [(offset, theirs[i].value) for offset, theirs in near])
        for i, (signal, width) in enumerate(zip(signals, widths, strict=True))
    ]
    return frame.with_signals(values)


def _bilateral(
    signal: Signal, width: float, neighbors: Sequence[tuple[int, np.ndarray]]
) -> np.ndarray:
    """The weighted mean of the neighbors, each with its distance in time, around a signal."""
    value, tolerance = signal
    if not width:
        return value
    radius = math.ceil(2 * width)
    near = [(offset, other) for offset, other in neighbors if abs(offset) <= radius]
    offsets = np.array([offset for offset, _ in near])
    changes = np.stack([other for _, other in near]).reshape(len(near), -1) - value.ravel()
    distances = np.einsum("ij,ij->i", changes, changes) / (value.size * tolerance**2)
    weights = np.exp(-0.5 * ((offsets / width) ** 2 + distances))
    change = (weights / weights.sum()) @ changes
    mean: np.ndarray = (value + change.reshape(value.shape)).astype(value.dtype)
    return mean
