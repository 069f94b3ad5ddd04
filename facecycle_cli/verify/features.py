"""Crops of many pictures to feature vectors, for several extractors at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from facecycle_cli.errors import EvaluationError
from facecycle_cli.portrait.crops import CropResult, FailedCrop
from facecycle_cli.system import usable_cores

__all__ = ["Extractor", "PictureFeatures", "cosine", "extract_features"]

Extractor: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Aligned crops, uint8 (N, H, H, 3) RGB -> features (N, D) float32."""

_BATCH_CROPS = 32
"""Crops that one thread describes at once."""

_AHEAD = 2
"""Batches per thread that may wait for their turn: what bounds the memory of the crops."""


@dataclass(frozen=True)
class PictureFeatures:
    """Features of those pictures that have a crop.

    Attributes:
        features: for each extractor (M, D) float32.
        rows: (N,) for each picture its row in ``features``; -1 if it has none.
        problems: why a picture has no features, by its position; in order.
        whole: how many crops are whole pictures in which no face was found.
    """

    features: dict[str, NDArray[np.float32]]
    rows: NDArray[np.int64]
    problems: dict[int, Exception]
    whole: int


def extract_features(
    crops: Iterable[CropResult],
    extractors: Mapping[str, Extractor],
    *,
    on_done: Callable[[CropResult], None] | None = None,
) -> PictureFeatures:
    """Run every extractor over a stream of crops. Only the features are kept.

    One thread per core takes a batch as a whole: with the threads that make the crops, that keeps
    the cores busier than batches whose every layer waits for all cores.

    A picture whose features are not finite numbers has none, and a problem instead.

    Args:
        crops: as :func:`~facecycle_cli.portrait.crops.crop_faces` gives them.
        extractors: by name.
        on_done: called for every picture, for a progress line.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in extractors}
    rows: list[int] = []
    problems: dict[int, Exception] = {}
    waiting: list[NDArray[np.uint8]] = []
    begun: deque[Future[dict[str, NDArray[np.float32]]]] = deque()
    found = whole = 0
    cores = usable_cores()

    def describe(batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return {name: extractor(batch) for name, extractor in extractors.items()}

    def keep() -> None:
        for name, features in begun.popleft().result().items():
            parts[name].append(features)

    with _one_thread_each(cores) as pool:

        def begin() -> None:
            begun.append(pool.submit(describe, np.stack(waiting)))
            waiting.clear()
            if len(begun) > _AHEAD * cores:
                keep()

        for position, face in enumerate(crops):
            if isinstance(face, FailedCrop):
                rows.append(-1)
                problems[position] = face.problem
            else:
                rows.append(found)
                found += 1
                whole += face.whole
                waiting.append(face.crop)
            if len(waiting) == _BATCH_CROPS:
                begin()
            if on_done is not None:
                on_done(face)
        if waiting:
            begin()
        while begun:
            keep()
    features = {
        name: np.concatenate(part) if part else np.empty((0, 0), np.float32)
        for name, part in parts.items()
    }
    every = PictureFeatures(features, np.array(rows, np.int64), problems, whole)
    return _finite(every) if found else every


@contextmanager
def _one_thread_each(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of ``count`` threads, in each of which torch computes by itself."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "features", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # torch gives new threads the number that was set last


def _finite(found: PictureFeatures) -> PictureFeatures:
    """The same without features that are not finite, as those of damaged networks."""
    finite = [np.isfinite(values).all(axis=1) for values in found.features.values()]
    good: NDArray[np.bool_] = np.logical_and.reduce(finite)
    if good.all():
        return found
    rows = np.where(good, np.cumsum(good) - 1, -1)
    bad = np.flatnonzero((found.rows >= 0) & ~good[found.rows])
    error = EvaluationError("its features are not finite numbers")
    problems = found.problems | {int(position): error for position in bad}
    return PictureFeatures(
        {name: values[good] for name, values in found.features.items()},
        np.where(found.rows >= 0, rows[found.rows], -1),
        dict(sorted(problems.items())),
        found.whole,
    )


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of the angle between rows: (N, D) and (N, D) -> (N,); 0 for a row of zeros."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products: NDArray[np.float64] = (left * right).sum(axis=1)
    return products / np.where(lengths > 0, lengths, 1.0)
