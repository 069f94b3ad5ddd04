"""Face detection with YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023).

The network sees faces between about 10 and 400 pixels. A photograph may hold smaller and larger ones,
so each picture is looked at through one or more *views*: the whole picture reduced to `_OVERVIEW`
pixels, and, where the smallest wanted face would be lost in that, overlapping tiles at a finer scale.
Views of equal size, from whichever pictures, go through the network as one batch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.faces.sessions import Network

__all__ = ["Detection", "FaceDetector"]

_STRIDES = (8, 16, 32)
_MULTIPLE = 32  # the network's input sides are multiples of its coarsest stride
_OVERVIEW = 640  # longest side of the view of the whole picture
_TILE = 1024
_TILE_OVERLAP = 160  # faces larger than this in a tile are found in a coarser view
_SMALLEST = 12.0  # face size, in view pixels, at which a face is still found reliably
_BATCH_PIXELS = 2_000_000  # bounds memory: about 400 MB of activations


@dataclass(frozen=True)
class Detection:
    """One face as the detector sees it.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in picture pixels; may reach beyond the picture.
        score: 0..1.
        points: (5, 2) float32: image-left eye, image-right eye, nose, image-left and image-right
            mouth corner. Coarse (5 % of the pupil distance): good for the head's direction only.
    """

    box: np.ndarray
    score: float
    points: np.ndarray


@dataclass(frozen=True)
class _View:
    """A rectangle of picture `index`, resized to (width, height) and padded to (padded_*)."""

    index: int
    x0: int
    y0: int
    x1: int
    y1: int
    width: int
    height: int

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) as the network takes it."""
        return _round_up(self.height), _round_up(self.width)

    def render(self, image: np.ndarray) -> np.ndarray:
        """The view as (3, H, W) float32 BGR 0..255, padded with black below and to the right."""
        part = image[self.y0 : self.y1, self.x0 : self.x1]
        if part.shape[:2] != (self.height, self.width):
            shrinking = self.width < part.shape[1]
            part = cv2.resize(
                part,
                (self.width, self.height),
                interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
            )
        canvas = np.zeros((3, *self.padded), np.float32)
        canvas[:, : self.height, : self.width] = part[..., ::-1].transpose(2, 0, 1)
        return canvas

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """View pixels (..., 2) -> picture pixels; pixel centres are at integers in both."""
        factor = np.array(
            [(self.x1 - self.x0) / self.width, (self.y1 - self.y0) / self.height], np.float32
        )
        return (points + 0.5) * factor - 0.5 + np.array([self.x0, self.y0], np.float32)


class FaceDetector:
    """Finds all faces of pictures, whatever their sizes.

    Args:
        threads: CPU threads of one call; None: all cores.
        min_score: detections below are dropped.
    """

    def __init__(self, *, threads: int | None = None, min_score: float = 0.6) -> None:
        self.min_score = min_score
        self._network = Network("face_detection_yunet_2023mar_dynamic.onnx", threads)

    def detect(self, images: Sequence[np.ndarray], *, min_face: int = 24) -> list[list[Detection]]:
        """All faces at least `min_face` pixels high, per picture, largest first.

        Args:
            images: RGB uint8 (H, W, 3) arrays of any sizes.
        """
        groups: dict[tuple[int, int], list[_View]] = defaultdict(list)
        for index, image in enumerate(images):
            for view in _views(index, image.shape[0], image.shape[1], min_face):
                groups[view.padded].append(view)
        found: list[list[Detection]] = [[] for _ in images]
        for (height, width), views in groups.items():
            step = max(1, _BATCH_PIXELS // (height * width))
            for start in range(0, len(views), step):
                batch = views[start : start + step]
                pixels = np.stack([view.render(images[view.index]) for view in batch])
                for view, detections in zip(batch, self._run(pixels), strict=True):
                    found[view.index] += [_in_picture(d, view) for d in detections]
        return [
            [d for d in _suppress(detections) if d.box[3] - d.box[1] >= min_face]
            for detections in found
        ]

    def _run(self, pixels: np.ndarray) -> list[list[Detection]]:
        """Run the network on (N, 3, H, W) and decode, without suppression, in view pixels."""
        outputs = self._network(input=pixels)
        found: list[list[Detection]] = [[] for _ in pixels]
        for stride in _STRIDES:
            score = np.sqrt(outputs[f"cls_{stride}"][..., 0] * outputs[f"obj_{stride}"][..., 0])
            image, anchor = np.nonzero(score >= self.min_score)
            row, column = np.divmod(anchor, pixels.shape[3] // stride)
            cell = np.stack([column, row], axis=-1).astype(np.float32)
            box = outputs[f"bbox_{stride}"][image, anchor]
            centre = (cell + box[:, :2]) * stride
            half = np.exp(box[:, 2:]) * (stride / 2)
            corners = np.concatenate([centre - half, centre + half], axis=-1)
            points = outputs[f"kps_{stride}"][image, anchor].reshape(-1, 5, 2)
            points = (points + cell[:, None]) * stride
            for i, n in enumerate(image):
                s = float(score[n, anchor[i]])
                found[n].append(Detection(corners[i], s, points[i]))
        return found


def _round_up(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _views(index: int, height: int, width: int, min_face: int) -> Iterator[_View]:
    """The views in which every face of at least `min_face` pixels is large enough somewhere."""
    longest = max(height, width)
    overview = min(1.0, _OVERVIEW / longest)
    yield _View(
        index,
        0,
        0,
        width,
        height,
        max(1, round(width * overview)),
        max(1, round(height * overview)),
    )
    fine = min(1.0, _SMALLEST / min_face)
    if fine <= overview:
        return
    tile, overlap = math.ceil(_TILE / fine), math.ceil(_TILE_OVERLAP / fine)
    for y0 in _starts(height, tile, overlap):
        for x0 in _starts(width, tile, overlap):
            x1, y1 = min(width, x0 + tile), min(height, y0 + tile)
            size = max(1, round((x1 - x0) * fine)), max(1, round((y1 - y0) * fine))
            yield _View(index, x0, y0, x1, y1, *size)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles of `tile` pixels begin so that they cover `length`, overlapping at least so much."""
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    return [round(i * max(0, length - tile) / max(1, count - 1)) for i in range(count)]


def _in_picture(detection: Detection, view: _View) -> Detection:
    return Detection(
        view.to_picture(detection.box.reshape(2, 2)).reshape(4),
        detection.score,
        view.to_picture(detection.points),
    )


def _suppress(detections: list[Detection], overlap: float = 0.3) -> list[Detection]:
    """Greedy non-maximum suppression; the survivors, largest first."""
    if not detections:
        return []
    boxes = np.stack([d.box for d in detections]).astype(np.float64)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort([-d.score for d in detections], kind="stable")
    kept: list[int] = []
    while order.size:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        order = order[shared <= overlap * (areas[best] + areas[order] - shared)]
    return [detections[i] for i in sorted(kept, key=lambda i: -areas[i])]
