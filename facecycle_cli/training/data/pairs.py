"""Which pairs of views a step learns from: a function of the seed and of the step alone.

That is why a resumed run sees the pairs of an uninterrupted one, and why any number of processes
that share a step see the same pairs together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.training.data.index import CropIndex, IntArray
from facecycle_cli.types import Transform

MIN_FRAMES = 4
"""Crops that a group needs to give pairs of different frames (paper: 3 or fewer are dropped)."""

HOLDOUT_SHARE = 20
"""At most one of so many groups is held out."""

_EPOCHS, _PAIRS, _HOLDOUT = 1, 2, 3
"""Numbers that keep the streams of random numbers for different purposes different."""


class ViewPair(NamedTuple):
    """Which crops are the two views of one person.

    Attributes:
        group: the group of crops that both are drawn from.
        first: crop of the first view.
        second: crop of the second view; ``first`` if mirrored.
        mirrored: whether the second view is the first one's mirror image.
    """

    group: int
    first: int
    second: int
    mirrored: bool


class PairSampler:
    """Draws the pairs of every step: in one epoch every group once, in random order.

    Args:
        index: the crops.
        transform: where the second view comes from: ``other-frames`` of the group, the mirror image
            of the first view (``flip``), or either (``mixed``: groups too small for other frames
            are mirrored).
        seed: of the whole run.
        flip_share: with ``mixed``, how often a large enough group is mirrored all the same.
        group_share: with ``mixed``, the share of pairs drawn from groups that are large enough;
            -1 draws all groups equally often.
        holdout: number of groups to keep for :attr:`held_out`.

    Raises:
        DataError: no group can give a pair.
    """

    def __init__(
        self,
        index: CropIndex,
        transform: Transform,
        seed: int,
        *,
        flip_share: float = 0.5,
        group_share: float = -1.0,
        holdout: int = 0,
    ) -> None:
        self.index = index
        self.transform = transform
        self.seed = seed
        self.flip_share = flip_share
        sizes = index.sizes
        large = np.flatnonzero(sizes >= MIN_FRAMES)
        small = np.flatnonzero(sizes < MIN_FRAMES)
        if transform == "other-frames":
            small = small[:0]
            if not len(large):
                raise DataError(
                    f"no folder holds {MIN_FRAMES} or more pictures of one person, which pairs of "
                    "other frames need; --transform flip works with single pictures"
                )
        self.held_out = self._hold_out(np.concatenate((large, small)), holdout)
        large, small = (np.setdiff1d(pool, self.held_out) for pool in (large, small))
        if group_share < 0 or not len(small) or not len(large):
            self.pools = [np.sort(np.concatenate((large, small)))]
            self._share = 1.0
        else:
            self.pools = [large, small]
            self._share = group_share
        self._order = lru_cache(maxsize=4)(self._shuffled)

    def _hold_out(self, groups: IntArray, wanted: int) -> IntArray:
        count = min(wanted, len(groups) // HOLDOUT_SHARE)
        rng = np.random.default_rng((self.seed, _HOLDOUT))
        return np.sort(rng.choice(groups, count, replace=False))

    def __len__(self) -> int:
        """Number of groups: the pairs of an epoch (paper: one pair per video folder)."""
        return sum(map(len, self.pools))

    def pairs(
        self, step: int, count: int, start: int = 0, stop: int | None = None
    ) -> list[ViewPair]:
        """The pairs of a step, or some of them.

        Args:
            step: 0-based.
            count: pairs of a step.
            start: number of the first pair to return.
            stop: number after the last pair to return; ``count`` by default.
        """
        stop = count if stop is None else stop
        return [self._pair(step * count + i) for i in range(start, stop)]

    def _pair(self, number: int) -> ViewPair:
        """The pair of this number, counted from the beginning of the run."""
        before = int(number * self._share)
        from_first = int((number + 1) * self._share) > before or len(self.pools) == 1
        pool, drawn = (0, before) if from_first else (1, number - before)
        epoch, position = divmod(drawn, len(self.pools[pool]))
        group = int(self.pools[pool][self._order(pool, epoch)[position]])
        rng = np.random.default_rng((self.seed, _PAIRS, number))
        return self._from_group(group, rng)

    def _shuffled(self, pool: int, epoch: int) -> IntArray:
        rng = np.random.default_rng((self.seed, _EPOCHS, pool, epoch))
        return rng.permutation(len(self.pools[pool]))

    def _from_group(self, group: int, rng: np.random.Generator) -> ViewPair:
        start, stop = map(int, self.index.starts[group : group + 2])
        size = stop - start
        first = int(rng.integers(size))
        mirrored = self.transform == "flip" or size < MIN_FRAMES
        if self.transform == "mixed" and not mirrored:
            mirrored = bool(rng.random() < self.flip_share)
        # Every other crop, with equal probability: the authors' index never reaches the last one.
        second = first if mirrored else (first + 1 + int(rng.integers(size - 1))) % size
        return ViewPair(group, start + first, start + second, mirrored)

    def held_out_pairs(self) -> list[ViewPair]:
        """One pair of every group that is held out, always the same."""
        rngs = (np.random.default_rng((self.seed, _HOLDOUT, int(g))) for g in self.held_out)
        return [self._from_group(int(g), rng) for g, rng in zip(self.held_out, rngs, strict=True)]

    def next_group(self, group: int) -> int:
        """The group that replaces ``group`` if none of its pictures can be read."""
        pool = next((p for p in self.pools if group in p), self.pools[0])
        return int(pool[(int(np.searchsorted(pool, group)) + 1) % len(pool)])
