"""Temporal smoothing of measured values, without delay."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

__all__ = ["Signal", "Smoothable", "smoothed", "smoothed_groups"]

_NARROWEST = 0.1
"""Width in frames below which even the nearest neighbor has no weight."""


class Signal(NamedTuple):
    """One value of a frame.

    Attributes:
        value: an array of any shape, of a floating-point type.
        tolerance: the root mean square difference to ``value``, in its unit, from which a neighbor
            counts markedly less; with ``by_row`` also one for each row, (N,).
        by_row: each row of ``value``, (N, K), is compared alone: a landmark of a lip may move while
            that of the nose rests.
    """

    value: np.ndarray
    tolerance: float | np.ndarray
    by_row: bool = False


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
    """:func:`smoothed_groups` of frames with one face each, None where there is none.

    Yields:
        each frame with its values smoothed, and None for None.
    """
    if not any(width >= _NARROWEST for width in widths):
        yield from frames
        return
    groups = ([] if frame is None else [frame] for frame in frames)
    for group in smoothed_groups(groups, widths):
        yield group[0] if group else None


def smoothed_groups(
    frames: Iterable[Sequence[_Frame]], widths: Sequence[float]
) -> Iterator[list[_Frame]]:
    """Average each value of a face over the frames before and after it.

    The weights fall with distance in time and, so that a blink stays a blink, with difference in
    value: a bilateral filter (Tomasi and Manduchi, 1998) over time. The kernel is symmetric, so the
    result has no delay against the sound. Only faces of the same track are averaged.

    Args:
        frames: any number, each with the faces in it. About twice the largest width of them are
            held, and of four times the values.
        widths: standard deviation of the kernel in frames, for each of the signals; below 0.1 that
            signal stays as it is.

    Yields:
        each frame, its faces with their values smoothed.
    """
    widths = [width if width >= _NARROWEST else 0.0 for width in widths]
    radius = max(math.ceil(2 * width) for width in widths)
    window: deque[dict[int, Sequence[Signal]]] = deque(maxlen=2 * radius + 1)
    pending: deque[Sequence[_Frame]] = deque()
    for frame in frames:
        window.append({face.track: face.signals() for face in frame})
        pending.append(frame)
        if len(pending) > radius:
            yield _average(pending.popleft(), window, len(window) - len(pending) - 1, widths)
    while pending:
        yield _average(pending.popleft(), window, len(window) - len(pending) - 1, widths)


def _average(
    frame: Sequence[_Frame],
    window: Sequence[Mapping[int, Sequence[Signal]]],
    index: int,
    widths: Sequence[float],
) -> list[_Frame]:
    """The faces of the frame with that index in the window, smoothed."""
    faces = []
    for face in frame:
        near = [
            (k - index, each[face.track]) for k, each in enumerate(window) if face.track in each
        ]
        values = [
            _bilateral(signal, width, [(offset, theirs[i].value) for offset, theirs in near])
            for i, (signal, width) in enumerate(zip(window[index][face.track], widths, strict=True))
        ]
        faces.append(face.with_signals(values))
    return faces


def _bilateral(
    signal: Signal, width: float, neighbors: Sequence[tuple[int, np.ndarray]]
) -> np.ndarray:
    """The weighted mean of the neighbors, each with its distance in time, around a signal."""
    value, tolerance, by_row = signal
    if not width:
        return value
    radius = math.ceil(2 * width)
    near = [(offset, other) for offset, other in neighbors if abs(offset) <= radius]
    offsets = np.array([offset for offset, _ in near])
    changes = np.stack([other for _, other in near]).reshape(len(near), -1) - value.ravel()
    nearness = -0.5 * (offsets / width) ** 2
    if by_row:
        rows = changes.reshape(len(near), len(value), -1)
        distances = np.einsum("ijk,ijk->ij", rows, rows) / (rows.shape[2] * tolerance**2)
        weights = np.exp(nearness[:, None] - 0.5 * distances)
        change = np.einsum("ij,ijk->jk", weights / weights.sum(0), rows)
    else:
        distances = np.einsum("ij,ij->i", changes, changes) / (value.size * tolerance**2)
        weights = np.exp(-0.5 * ((offsets / width) ** 2 + distances))
        change = (weights / weights.sum()) @ changes
    mean: np.ndarray = (value + change.reshape(value.shape)).astype(value.dtype)
    return mean
