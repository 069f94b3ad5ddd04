"""Which pairs of views a step learns from: a function of the seed and of the step alone.

That is why a resumed run sees the pairs of an uninterrupted one, and why any number of processes
that share a step see the same pairs together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facecycle_cli.errors import DataError
from facecycle_cli.training.data.index import CropIndex, IntArray
from facecycle_cli.types import Transform

MIN_FRAMES = 4
"""Crops that a group needs to give pairs of different frames (paper: 3 or fewer are dropped)."""

HOLDOUT_SHARE = 20
"""At most one of so many groups is held out."""

_EPOCHS, _PAIRS, _HOLDOUT = 1, 2, 3
"""Numbers that keep the streams of random numbers for different purposes different."""

_CHANCES = 3
"""Random numbers for a pair: its first view, whether that is mirrored, and its second view."""


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


class ViewPairs(NamedTuple):
    """Many pairs, as arrays of N numbers; see :class:`ViewPair`.

    Attributes:
        groups: int64.
        first: int64.
        second: int64.
        mirrored: bool.
    """

    groups: IntArray
    first: IntArray
    second: IntArray
    mirrored: npt.NDArray[np.bool_]

    def each(self) -> list[ViewPair]:
        """The pairs one by one."""
        return [ViewPair(*pair) for pair in zip(*(a.tolist() for a in self), strict=True)]


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

    def pairs(self, step: int, count: int, start: int = 0, stop: int | None = None) -> ViewPairs:
        """The pairs of a step, or some of them.

        Args:
            step: 0-based.
            count: pairs of a step.
            start: number of the first pair to return.
            stop: number after the last pair to return; ``count`` by default.
        """
        stop = count if stop is None else stop
        rng = np.random.default_rng((self.seed, _PAIRS, step))
        chance = rng.random((count, _CHANCES))[start:stop]
        return self._of_groups(self._groups(step * count + np.arange(start, stop)), chance)

    def _groups(self, numbers: IntArray) -> IntArray:
        """The groups of the pairs with these numbers, counted from the beginning of the run."""
        before = np.floor(numbers * self._share).astype(np.int64)
        from_first = np.floor((numbers + 1) * self._share).astype(np.int64) > before
        groups = np.empty_like(numbers)
        for pool, mine in enumerate((from_first, ~from_first)[: len(self.pools)]):
            drawn = before[mine] if pool == 0 else (numbers - before)[mine]
            epochs, positions = np.divmod(drawn, len(self.pools[pool]))
            places = np.empty_like(positions)
            for epoch in np.unique(epochs):
                own = epochs == epoch
                places[own] = self._order(pool, int(epoch))[positions[own]]
            groups[mine] = self.pools[pool][places]
        return groups

    def _shuffled(self, pool: int, epoch: int) -> IntArray:
        rng = np.random.default_rng((self.seed, _EPOCHS, pool, epoch))
        return rng.permutation(len(self.pools[pool]))

    def _of_groups(self, groups: IntArray, chance: npt.NDArray[np.float64]) -> ViewPairs:
        """One pair of each of N groups, as (N, 3) numbers from 0 to below 1 will have it."""
        starts, sizes = self.index.starts[groups], self.index.sizes[groups]
        first = np.floor(chance[:, 0] * sizes).astype(np.int64)
        mirrored = (sizes < MIN_FRAMES) | (self.transform == "flip")
        if self.transform == "mixed":
            mirrored |= chance[:, 1] < self.flip_share
        # Every other crop, with equal probability: the authors' index never reaches the last one.
        onward = 1 + np.floor(chance[:, 2] * (sizes - 1)).astype(np.int64)
        second = np.where(mirrored, first, (first + onward) % sizes)
        return ViewPairs(groups, starts + first, starts + second, mirrored)

    def held_out_pairs(self) -> ViewPairs:
        """One pair of every group that is held out, always the same."""
        rng = np.random.default_rng((self.seed, _HOLDOUT, _PAIRS))
        return self._of_groups(self.held_out, rng.random((len(self.held_out), _CHANCES)))

    def next_group(self, group: int) -> int:
        """The group that replaces ``group`` if none of its pictures can be read."""
        pool = next((p for p in self.pools if group in p), self.pools[0])
        return int(pool[(int(np.searchsorted(pool, group)) + 1) % len(pool)])
