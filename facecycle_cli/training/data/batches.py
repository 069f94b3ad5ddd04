"""Batches of pairs, read, decoded and put together by threads during the steps before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from facecycle_cli.training.data.frames import FrameStore, Views
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from facecycle_cli.training.guidance import CropLandmarks, Guides, LandmarkBatch

_Read: TypeAlias = tuple[Views, tuple[CropLandmarks, ...]]
"""A pair's views, and their landmarks if these are wanted."""

_Made = TypeVar("_Made")

AHEAD = 3
"""Steps that are prepared in advance."""


@dataclass(frozen=True)
class Share:
    """Which pairs of a step belong to this process.

    Attributes:
        pairs: number of pairs of a step, over all processes.
        start: number of the first pair of this process.
        stop: number after its last pair.
    """

    pairs: int
    start: int
    stop: int

    @classmethod
    def of(cls, pairs: int, rank: int, processes: int) -> Share:
        """The equal part of process ``rank``."""
        part = pairs // processes
        return cls(pairs, rank * part, (rank + 1) * part)

    @property
    def processes(self) -> int:
        """Number of processes that share a step."""
        return self.pairs // (self.stop - self.start)

    def rows(self, x: Tensor) -> Tensor:
        """The rows of this process among those of all.

        Args:
            x: (2 * pairs, ...), first views and then second views.
        """
        if self.processes == 1:
            return x
        return torch.unflatten(x, 0, (2, self.pairs))[:, self.start : self.stop].flatten(0, 1)


@dataclass(frozen=True)
class Batch:
    """What one process needs for one step.

    Attributes:
        step: 0-based.
        views: (2, P, side, side, 3) uint8 RGB, first and second view of its pairs.
        mirrored: (P,) bool, pairs whose second view is still to be mirrored; on the CPU.
        persons: (P,) int64, the person that each pair shows.
        landmarks: of the 2P views, first and then second; None if they are not wanted.
    """

    step: int
    views: Tensor
    mirrored: Tensor
    persons: Tensor
    landmarks: LandmarkBatch | None = None


class Batches:
    """Iterates over the batches of a process, from any step on.

    Args:
        store: reads single crops.
        sampler: draws the pairs.
        share: of this process.
        first: step to begin with.
        last: step to end before.
        workers: threads that read in advance; at 0 a batch is read when it is asked for.
        guides: measures landmarks, if they are wanted.
        pin: whether batches are made in page-locked memory, which a GPU reads without the CPU.
    """

    def __init__(
        self,
        store: FrameStore,
        sampler: PairSampler,
        share: Share,
        *,
        first: int,
        last: int,
        workers: int,
        guides: Guides | None = None,
        pin: bool = False,
    ) -> None:
        self.store = store
        self.sampler = sampler
        self.share = share
        self.steps = range(first, last)
        self.workers = workers
        self.guides = guides
        self.pin = pin

    def __iter__(self) -> Iterator[Batch]:
        if not self.workers:
            for step in self.steps:
                yield self._join(step, [self._read(pair) for pair in self._pairs(step)])
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="crops")

        def begin(step: int) -> Callable[[], Batch]:
            futures = [pool.submit(self._read, pair) for pair in self._pairs(step)]
            return lambda: self._gather(step, futures)

        try:
            yield from in_advance(begin, self.steps)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pairs(self, step: int) -> list[ViewPair]:
        share = self.share
        return self.sampler.pairs(step, share.pairs, share.start, share.stop).each()

    def _read(self, pair: ViewPair) -> _Read:
        views = self.store.views(pair, self.sampler)
        return views, self.guides.of_views(views) if self.guides is not None else ()

    def _gather(self, step: int, futures: list[Future[_Read]]) -> Batch:
        return self._join(step, [future.result() for future in futures])

    def _join(self, step: int, pairs: list[_Read]) -> Batch:
        side = self.store.side
        views = torch.empty((2, len(pairs), side, side, 3), dtype=torch.uint8, pin_memory=self.pin)
        array = views.numpy()
        for i, (pair, _) in enumerate(pairs):
            array[0, i], array[1, i] = pair.first, pair.second
        mirrored = torch.tensor([pair.mirrored for pair, _ in pairs])
        persons = torch.tensor([pair.person for pair, _ in pairs])
        landmarks = None
        if self.guides is not None:
            landmarks = LandmarkBatch.stack([both[k] for k in (0, 1) for _, both in pairs])
        if self.pin:
            persons = persons.pin_memory()
            if landmarks is not None:
                landmarks = LandmarkBatch(*(tensor.pin_memory() for tensor in landmarks))
        return Batch(step, views, mirrored, persons, landmarks)


def in_advance(begin: Callable[[int], Callable[[], _Made]], steps: range) -> Iterator[_Made]:
    """What a thread makes for every step, a few steps before it is asked for.

    Args:
        begin: is called in order in the thread that iterates, and gives what makes the step's own.
        steps: to make it for.
    """
    waiting: deque[Future[_Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for step in steps:
            waiting.append(pool.submit(begin(step)))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
