"""Batches of pairs, read and decoded by threads while the step before is still learning."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from facecycle_cli.training.data.frames import FrameStore, Views
from facecycle_cli.training.data.pairs import Pair, PairSampler
from facecycle_cli.training.guidance import Guides, Marks

_Read = tuple[Views, tuple[Marks, Marks] | None]

AHEAD = 3
"""Steps that are prepared in advance."""


@dataclass(frozen=True)
class Share:
    """Which of a step's pairs belong to this process.

    Attributes:
        pairs: of a step, over all processes.
        start: first one of this process.
        stop: after its last one.
    """

    pairs: int
    start: int
    stop: int

    @classmethod
    def of(cls, pairs: int, rank: int, processes: int) -> Share:
        """The equal part of process ``rank``."""
        part = pairs // processes
        return cls(pairs, rank * part, (rank + 1) * part)


@dataclass(frozen=True)
class Batch:
    """What one process needs for one step.

    Attributes:
        step: 0-based.
        views: (2, P, side, side, 3) uint8 RGB, first and second view of its pairs.
        mirrored: (P,) bool, pairs whose second view is still to be mirrored.
        persons: (P,) whom each pair shows, as numbers.
        marks: landmarks of the 2P views, first and then second, if they are wanted.
    """

    step: int
    views: Tensor
    mirrored: Tensor
    persons: Tensor
    marks: tuple[Marks, ...] = ()


class Batches:
    """Iterates over the batches of a process, from any step on.

    Args:
        store: reads single crops.
        sampler: says which.
        share: of this process.
        first: step to begin with.
        last: step to end before.
        workers: threads; 0 reads when asked.
        guides: measures landmarks, if they are wanted.
        pin: whether pixels go to page-locked memory, from where a GPU fetches them by itself.
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
        waiting: deque[tuple[int, list[Future]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="crops")
        try:
            for step in self.steps:
                waiting.append((step, [pool.submit(self._read, p) for p in self._pairs(step)]))
                if len(waiting) > AHEAD:
                    yield self._gather(waiting.popleft())
            while waiting:
                yield self._gather(waiting.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _pairs(self, step: int) -> list[Pair]:
        return self.sampler.pairs(step, self.share.pairs, self.share.start, self.share.stop)

    def _read(self, pair: Pair) -> _Read:
        views = self.store.pair(pair, self.sampler)
        if self.guides is None:
            return views, None
        return views, (
            self.guides.marks(views.crops[0], views.first),
            self.guides.marks(views.crops[1], views.second),
        )

    def _gather(self, waiting: tuple[int, list[Future]]) -> Batch:
        step, futures = waiting
        return self._join(step, [future.result() for future in futures])

    def _join(self, step: int, pairs: list[_Read]) -> Batch:
        side = self.store.side
        views = torch.empty((2, len(pairs), side, side, 3), dtype=torch.uint8, pin_memory=self.pin)
        array = views.numpy()
        for i, (pair, _) in enumerate(pairs):
            array[0, i], array[1, i] = pair.first, pair.second
        mirrored = torch.tensor([pair.mirrored for pair, _ in pairs])
        persons = torch.tensor([pair.person for pair, _ in pairs])
        marks = tuple(both[k] for k in (0, 1) for _, both in pairs if both is not None)
        return Batch(step, views, mirrored, persons, marks)
