"""Crops that stay in the memory of the device that trains: a batch is picked out of them there.

The host only says which crops: it sends a few numbers a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor

from facecycle_cli.training.data.batches import Batch, Share, in_advance
from facecycle_cli.training.data.frames import FrameStore, readable_views
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from facecycle_cli.training.guidance import CropLandmarks, Guides, LandmarkBatch
from facecycle_cli.training.transfer import upload
from facecycle_cli.types import RGBImage

_BLOCK = 1024
"""Crops that are decoded before they are copied to the device together."""


@dataclass(frozen=True)
class ResidentCrops:
    """The pixels and landmarks of all N crops, on a device.

    Attributes:
        pixels: (N, side, side, 3) uint8 RGB; zeros where a crop cannot be read.
        landmarks: of the N crops; None if nothing is guided.
        broken: numbers of the crops that cannot be read.
    """

    pixels: Tensor
    landmarks: LandmarkBatch | None
    broken: frozenset[int]

    @classmethod
    def load(
        cls, store: FrameStore, guides: Guides | None, device: torch.device, workers: int
    ) -> ResidentCrops:
        """Decode all crops of ``store``, with this number of threads."""
        count, side = len(store.index), store.side
        pixels = torch.zeros((count, side, side, 3), dtype=torch.uint8, device=device)
        empty = LandmarkBatch.stack([CropLandmarks.unknown()])
        landmarks = LandmarkBatch(
            *(t.to(device).repeat(count, *[1] * (t.dim() - 1)) for t in empty)
        )
        blank = np.zeros((side, side, 3), np.uint8)
        unknown = CropLandmarks.unknown()

        def read(crop: int) -> tuple[RGBImage, CropLandmarks]:
            image = store.frame(crop)
            if image is None:
                return blank, unknown
            return image, unknown if guides is None else guides.of_crop(crop, image)

        with ThreadPoolExecutor(workers, thread_name_prefix="crops") as pool:
            for start in range(0, count, _BLOCK):
                block = slice(start, min(start + _BLOCK, count))
                images, known = zip(*pool.map(read, range(block.start, block.stop)), strict=True)
                pixels[block] = torch.from_numpy(np.stack(images)).to(device)
                if guides is not None:
                    for whole, part in zip(landmarks, LandmarkBatch.stack(known), strict=True):
                        whole[block] = part.to(device)
        return cls(pixels, landmarks if guides is not None else None, frozenset(store.broken))


class _Choice(NamedTuple):
    """Which crops a step takes.

    Attributes:
        step: 0-based.
        crops: (2P,) int64, first views and then second views.
        mirrored: (P,) bool.
        persons: (P,) int64.
    """

    step: int
    crops: Tensor
    mirrored: Tensor
    persons: Tensor


class ResidentBatches:
    """Iterates over the same batches as :class:`.Batches`, on the device.

    Args:
        crops: pixels and landmarks.
        sampler: draws the pairs.
        share: of this process.
        steps: to make batches for.
        workers: at 0 pairs are drawn when they are asked for, else by a thread in advance.
        guided: whether landmarks are wanted.
    """

    def __init__(
        self,
        crops: ResidentCrops,
        sampler: PairSampler,
        share: Share,
        steps: range,
        *,
        workers: int,
        guided: bool,
    ) -> None:
        self.crops = crops
        self.sampler = sampler
        self.share = share
        self.steps = steps
        self.workers = workers
        self.guided = guided

    def __iter__(self) -> Iterator[Batch]:
        if self.workers:
            choices = in_advance(self._begin, self.steps)
        else:
            choices = map(self._choose, self.steps)
        for choice in choices:
            yield self._pick(choice)

    def _begin(self, step: int) -> Callable[[], _Choice]:
        return lambda: self._choose(step)

    def _choose(self, step: int) -> _Choice:
        share, broken = self.share, self.crops.broken
        groups, first, second, mirrored = self.sampler.pairs(
            step, share.pairs, share.start, share.stop
        )
        if broken:
            lost = np.fromiter(broken, np.int64)
            for row in np.flatnonzero(np.isin(first, lost) | np.isin(second, lost)):
                pair = ViewPair(
                    int(groups[row]), int(first[row]), int(second[row]), bool(mirrored[row])
                )
                first[row], second[row], mirrored[row], _, groups[row] = readable_views(
                    pair, self.sampler, lambda crop: None if crop in broken else crop
                )
        crops = torch.from_numpy(np.concatenate((first, second)))
        return _Choice(step, crops, torch.from_numpy(mirrored), torch.from_numpy(groups))

    def _pick(self, choice: _Choice) -> Batch:
        pixels = self.crops.pixels
        rows = upload(choice.crops, pixels.device)
        views = torch.unflatten(pixels.index_select(0, rows), 0, (2, -1))
        landmarks = None
        if self.guided and self.crops.landmarks is not None:
            landmarks = LandmarkBatch(*(t.index_select(0, rows) for t in self.crops.landmarks))
        persons = upload(choice.persons, pixels.device)
        return Batch(choice.step, views, choice.mirrored, persons, landmarks)


def device_memory(device: torch.device) -> int:
    """Bytes of the device's memory that are free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(psutil.virtual_memory().available)
