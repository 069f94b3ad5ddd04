"""Smaller samples of data sets, for a suite that is to end soon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from facecycle_cli.evaluation.expression_data import Expressions
from facecycle_cli.evaluation.pose_data import Poses

__all__ = ["FULL", "QUICK", "Sample", "chosen", "some", "some_expressions", "some_poses"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sample:
    """How much of each data set is used at most; None: all.

    Attributes:
        pictures: with an expression or a pose.
        pairs: of pictures.
        people: with posed expressions.
        faces: that are rebuilt, and heads that are turned.
        group: pictures of each group.
        clips: videos.
        frames: of each video.
    """

    pictures: int | None = None
    pairs: int | None = None
    people: int | None = None
    faces: int | None = None
    group: int | None = None
    clips: int | None = None
    frames: int | None = None


FULL = Sample()
QUICK = Sample(pictures=1500, pairs=300, people=10, faces=60, group=25, clips=3, frames=50)


def chosen(length: int, count: int | None, seed: int) -> list[int]:
    """Up to ``count`` positions out of ``length``, drawn under ``seed``, in order."""
    if count is None or length <= count:
        return list(range(length))
    return sorted(np.random.default_rng(seed).permutation(length)[:count].tolist())


def some(items: Sequence[_T], count: int | None, seed: int) -> list[_T]:
    """Up to ``count`` of the items, in their order."""
    return [items[i] for i in chosen(len(items), count, seed)]


def some_expressions(data: Expressions, count: int | None, seed: int) -> Expressions:
    """The same with up to ``count`` pictures."""
    kept = chosen(len(data), count, seed)
    return replace(
        data,
        labels=[data.labels[i] for i in kept],
        splits=[data.splits[i] for i in kept],
        groups=[data.groups[i] for i in kept],
        open=lambda: _at(data.open(), kept),
    )


def some_poses(data: Poses, count: int | None, seed: int) -> Poses:
    """The same with up to ``count`` pictures."""
    kept = chosen(len(data), count, seed)
    return replace(
        data,
        angles=data.angles[kept],
        sources=[data.sources[i] for i in kept],
        groups=[data.groups[i] for i in kept],
        open=lambda: _at(data.open(), kept),
    )


def _at(items: Iterable[_T], positions: Sequence[int]) -> Iterator[_T]:
    """The items at ``positions``."""
    kept = frozenset(positions)
    return (item for i, item in enumerate(items) if i in kept)
