"""Pairs of pictures of one person, drawn from folders of crops.

A *group* is a folder that holds pictures: the frames of one clip, the photographs of one person.
The pairs of step ``t`` are a function of the seed and ``t`` alone, so that a resumed run sees what
an uninterrupted one would have seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.media import MediaError
from facecycle_cli.media.images import read_image

Transform = Literal["other-frames", "flip", "mixed"]

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
MIN_FRAMES = 4
"""Folders with fewer frames are not used for other-frames pairs (paper: 3 or fewer are dropped)."""


class DataError(ValueError):
    """Training data that cannot be used."""


@dataclass(frozen=True)
class Groups:
    """Where the pictures are.

    Attributes:
        files: every picture, group after group, sorted.
        starts: (number of groups + 1) positions in ``files``; group g is ``starts[g]:starts[g+1]``.
    """

    files: list[Path]
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Pictures per group."""
        return np.diff(self.starts)


def find_groups(roots: Sequence[str | os.PathLike[str]], *, singles: Sequence[str] = ()) -> Groups:
    """Walk folders of crops.

    Args:
        roots: folders; every folder below that holds pictures is a group.
        singles: names of roots whose pictures show a different person each: every picture becomes
            a group of its own.

    Raises:
        DataError: a root does not exist, or there is no picture below any of them.
    """
    files: list[Path] = []
    starts = [0]
    for root in map(Path, roots):
        if not root.is_dir():
            raise DataError(f"no folder of crops: {root}")
        for folder, pictures in _walk(root):
            alone = any(name in folder.relative_to(root.parent).parts for name in singles)
            files.extend(pictures)
            if alone:
                starts.extend(range(starts[-1] + 1, len(files) + 1))
            else:
                starts.append(len(files))
    if not files:
        raise DataError(f"no pictures in {', '.join(map(str, roots))}")
    return Groups(files, np.asarray(starts))


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        pictures = sorted(n for n in names if Path(n).suffix.lower() in EXTENSIONS)
        if pictures:
            yield Path(folder), [Path(folder, name) for name in pictures]


class CropCache:
    """All crops in memory as uint8, decoded once. ``cache[i]`` is (side, side, 3)."""

    def __init__(self, files: Sequence[Path], side: int, *, workers: int = 2) -> None:
        self.side = side
        self.skipped: list[tuple[Path, str]] = []
        self.pixels = torch.zeros(len(files), side, side, 3, dtype=torch.uint8)
        self.usable = np.ones(len(files), dtype=bool)
        with ThreadPoolExecutor(workers) as pool:
            for i, result in enumerate(pool.map(self._decode, files)):
                if isinstance(result, str):
                    self.skipped.append((files[i], result))
                    self.usable[i] = False
                else:
                    self.pixels[i] = torch.from_numpy(result)

    def _decode(self, path: Path) -> np.ndarray | str:
        import cv2

        try:
            image = read_image(path)
        except (MediaError, OSError) as error:
            return str(error)
        if image.shape[:2] != (self.side, self.side):
            image = cv2.resize(image, (self.side, self.side), interpolation=cv2.INTER_AREA)
        return image


class PairSampler:
    """Draws the pairs of every step.

    Args:
        groups: the pictures.
        usable: which of ``groups.files`` can be decoded.
        transform: where the second view comes from: another frame of the group, the mirror image,
            or either (``mixed``; groups too small for other frames are always mirrored).
        seed: of the whole run.
        flip_share: with ``mixed``, how often a large enough group is mirrored all the same.
        group_share: with ``mixed``, the share of pairs drawn from groups that are large enough;
            None draws groups evenly.
    """

    def __init__(
        self,
        groups: Groups,
        usable: np.ndarray,
        transform: Transform,
        seed: int,
        *,
        flip_share: float = 0.5,
        group_share: float | None = None,
    ) -> None:
        self.transform = transform
        self.seed = seed
        self.flip_share = flip_share
        members = [
            np.arange(a, b)[usable[a:b]]
            for a, b in zip(groups.starts[:-1], groups.starts[1:], strict=True)
        ]
        self.large = [m for m in members if len(m) >= MIN_FRAMES]
        self.small = [m for m in members if 0 < len(m) < MIN_FRAMES]
        if transform == "other-frames":
            self.small = []
            if not self.large:
                raise DataError(
                    f"no folder holds {MIN_FRAMES} or more pictures of one person, which "
                    "other-frames pairs need; --transform flip works with single pictures"
                )
        total = len(self.large) + len(self.small)
        if not total:
            raise DataError("no usable picture")
        self.group_share = len(self.large) / total if group_share is None else group_share
        if not self.small:
            self.group_share = 1.0
        if not self.large:
            self.group_share = 0.0

    def __len__(self) -> int:
        """Groups that can be drawn: the pairs of an epoch (paper: one pair per video folder)."""
        return len(self.large) + len(self.small)

    def pairs(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs of a step: first index (count,), second index (count,), mirrored? (count,)."""
        rng = np.random.default_rng((self.seed, step))
        first = np.empty(count, dtype=np.int64)
        second = np.empty(count, dtype=np.int64)
        mirrored = np.empty(count, dtype=bool)
        for i in range(count):
            from_large = rng.random() < self.group_share
            pool = self.large if from_large else self.small
            members = pool[rng.integers(len(pool))]
            flip = self.transform == "flip" or not from_large
            if self.transform == "mixed" and from_large:
                flip = rng.random() < self.flip_share
            first[i] = members[rng.integers(len(members))]
            second[i] = first[i] if flip else _another(members, first[i], rng)
            mirrored[i] = flip
        return first, second, mirrored


def _another(members: np.ndarray, taken: int, rng: np.random.Generator) -> int:
    others = members[members != taken]
    return int(others[rng.integers(len(others))])


def pair_batch(
    cache: CropCache, sampler: PairSampler, step: int, count: int
) -> tuple[Tensor, Tensor]:
    """The two views of ``count`` pairs, uint8 (count, side, side, 3) each.

    Both views of half of all pairs are mirrored together, which is the paper's horizontal flip.
    """
    first, second, mirrored = sampler.pairs(step, count)
    a, b = cache.pixels[first], cache.pixels[second]
    b = torch.where(torch.from_numpy(mirrored).view(-1, 1, 1, 1), b.flip(2), b)
    together = np.random.default_rng((sampler.seed, step, 1)).random(count) < 0.5
    both = torch.from_numpy(together).view(-1, 1, 1, 1)
    return torch.where(both, a.flip(2), a), torch.where(both, b.flip(2), b)
