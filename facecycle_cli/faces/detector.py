"""Face detection with YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023).

The network takes 3 milliseconds and knows upright faces between some 20 and 600 pixels. What a
picture holds beyond that is found by looking at it through several views (``views.py``), and what
stays doubtful, because it is tilted, tiny or no face at all, gets a second look: enlarged, and
turned to eight angles. Views of equal size, from whichever pictures, go through the network as one
batch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facecycle_cli.faces.sessions import Network
from facecycle_cli.faces.views import Look, View, tiles
from facecycle_cli.types import RGBImage

__all__ = ["Detection", "FaceDetector"]

_STRIDES = (8, 16, 32)
_BATCH_PIXELS = 2_000_000  # of one run: bounds the memory of its activations

_CANDIDATE = 0.2  # score from which a detection gets a second look
_CERTAIN = 0.9  # upright faces reach it; tilted by 45 degrees, or upside down, they seldom do
# ... but some do, with the eyes where the mouth is: 80 of 1762 upside-down views of photographs,
# none of them above 0.918, 627 of 2800 of tight crops, 32 of them above 0.925. A closer look at
# these as they say never reaches 0.9 (0.892 at most). Of upright faces 7 to 25 % stay below 0.925.
_UPRIGHT = 0.925
_LOOK_ANGLES = tuple(math.radians(45 * k) for k in range(8))
# From the other side: the eyes of a detection may be wrong about the tilt by 45 degrees.
_FROM_BELOW = tuple(math.radians(angle) for angle in (135, 180, 225))
_LOOK_SIDE = 128
_LOOK_FACE = 72  # of the look's pixels are filled by the face
_TOLERANCE = 0.8  # the height of a small face is often underestimated by as much
_MOST_LOOKS = 64  # doubtful faces of one picture; what lies beyond is taken at its first score


@dataclass(frozen=True, eq=False)
class Detection:
    """One face as the detector sees it.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in picture pixels; may reach beyond the picture.
        score: 0..1.
        points: (5, 2) float32: the eye, then the mouth corner, that are image-left on an upright
            head: eye, eye, nose, mouth corner, mouth corner. Coarse (5 % of the pupil distance):
            good for placing a finer network, not for alignment.
    """

    box: np.ndarray
    score: float
    points: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """(2,) of the box."""
        return np.asarray((self.box[:2] + self.box[2:]) / 2)

    @property
    def side(self) -> float:
        """The longer one of the box."""
        return float((self.box[2:] - self.box[:2]).max())

    @property
    def area(self) -> float:
        """Of the box."""
        return float(np.prod(self.box[2:] - self.box[:2]))

    @property
    def angle(self) -> float:
        """Of the line through its eyes: radians, clockwise as seen, 0 if it is upright."""
        across = self.points[1] - self.points[0]
        return math.atan2(float(across[1]), float(across[0]))


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the network finds in one view: N detections, not suppressed yet.

    Attributes:
        boxes: (N, 4) float32, as :class:`Detection` has them, in pixels of the view.
        scores: (N,) float32.
        points: (N, 5, 2) float32.
    """

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray

    @property
    def centers(self) -> np.ndarray:
        """(N, 2) float32, of the boxes."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2)

    def in_picture(self, view: View) -> list[Detection]:
        """From a view's pixels to its picture's. A turned box becomes the upright one around the
        ellipse that it held, since faces do not fill the corners of their boxes.
        """
        points = view.to_picture(self.points).astype(np.float32)
        half = (self.boxes[:, 2:] - self.boxes[:, :2]).astype(np.float64) / 2
        centers = self.centers
        along = half[:, None] * np.eye(2)  # from a center to the right, and down
        origins = view.to_picture(centers.astype(np.float64))
        ends = view.to_picture(centers[:, None] + along)
        reach = np.sqrt(((ends - origins[:, None]) ** 2).sum(1))
        boxes = np.concatenate([origins - reach, origins + reach], axis=1).astype(np.float32)
        return [
            Detection(box, score, five)
            for box, score, five in zip(boxes, self.scores.tolist(), points, strict=True)
        ]

    def of(self, rows: np.ndarray) -> _Seen:
        """Some of the detections: a mask (N,), or their numbers."""
        return _Seen(self.boxes[rows], self.scores[rows], self.points[rows])

    def filling(self) -> _Seen:
        """The faces that a look was meant for, not their neighbors."""
        offsets = np.abs(self.centers - (_LOOK_SIDE - 1) / 2).max(1)
        sizes = (self.boxes[:, 2:] - self.boxes[:, :2]).max(1) / _LOOK_FACE
        return self.of((offsets < 0.4 * _LOOK_FACE) & (sizes > 0.5) & (sizes < 1.6))


class FaceDetector:
    """Finds all faces of pictures, whatever their sizes and, from some 40 pixels, their tilt.

    Args:
        threads: CPU threads of one call; None: all cores.
        min_score: detections below are dropped.
    """

    def __init__(self, *, threads: int | None = None, min_score: float = 0.6) -> None:
        self.min_score = min_score
        self.network = Network("face_detection_yunet_2023mar_dynamic.onnx", threads)

    def detect(self, images: Sequence[RGBImage], *, min_face: int = 24) -> list[list[Detection]]:
        """All faces at least some ``min_face`` pixels high, per picture, largest first.

        Args:
            images: RGB uint8 (H, W, 3) arrays of any sizes.
            min_face: the smallest face that matters; one that measures 20 % less may still come.
                Small values cost more views of large pictures.
        """
        views = [
            view
            for index, image in enumerate(images)
            for view in tiles(index, image.shape[0], image.shape[1], min_face)
        ]
        candidates: list[list[Detection]] = [[] for _ in images]
        for view, seen in zip(views, self._see(images, views), strict=True):
            candidates[view.index] += seen.in_picture(view)
        upright = self._set_upright(images, [_suppress(c) for c in candidates])
        found = self._look_again(images, upright)
        least = _TOLERANCE * min_face
        return [[d for d in faces if d.box[3] - d.box[1] >= least] for faces in found]

    def _look_again(
        self, images: Sequence[RGBImage], candidates: list[list[Detection]]
    ) -> list[list[Detection]]:
        """Replace doubtful detections by the best that turned, enlarged views of them show."""
        found: list[list[Detection]] = []
        looks: list[Look] = []
        for index, detections in enumerate(candidates):
            doubtful = [d for d in detections if d.score < _CERTAIN]
            taken = [d for d in detections if d.score >= _CERTAIN] + doubtful[_MOST_LOOKS:]
            found.append([d for d in taken if d.score >= self.min_score])
            looks += [
                _look(index, d, angle) for d in doubtful[:_MOST_LOOKS] for angle in _LOOK_ANGLES
            ]
        seen = self._see(images, looks)
        turns = len(_LOOK_ANGLES)
        for start in range(0, len(looks), turns):
            part = slice(start, start + turns)
            confirmed = [
                detection
                for look, shown in zip(looks[part], seen[part], strict=True)
                for detection in shown.filling().in_picture(look)
                if detection.score >= self.min_score
            ]
            if confirmed:
                found[looks[start].index].append(max(confirmed, key=lambda d: d.score))
        return [_suppress(detections) for detections in found]

    def _set_upright(
        self, images: Sequence[RGBImage], found: list[list[Detection]]
    ) -> list[list[Detection]]:
        """Turn detections that are upside down, after a look as they say and some from below.

        A detection stays as it is if the first look confirms it, and else unless the surest look
        contradicts it.
        """
        unsure = {
            (index, k): d
            for index, detections in enumerate(found)
            for k, d in enumerate(detections)
            if _CERTAIN <= d.score < _UPRIGHT
        }
        first = self._look_at(images, unsure, (0.0,))
        doubtful = {
            at: d
            for at, d in unsure.items()
            if not any(s.score >= _CERTAIN and _agree(s, d) for s in first[at])
        }
        below = self._look_at(images, doubtful, _FROM_BELOW)
        for at, d in doubtful.items():
            best = max([d, *first[at], *below[at]], key=lambda seen: seen.score)
            if not _agree(best, d):
                index, k = at
                found[index][k] = best
        return found

    def _look_at(
        self,
        images: Sequence[RGBImage],
        detections: Mapping[tuple[int, int], Detection],
        turns: Sequence[float],
    ) -> dict[tuple[int, int], list[Detection]]:
        """What closer looks at detections show, turned by these angles from what they say.

        Args:
            images: RGB uint8 (H, W, 3).
            detections: by the number of their picture and their own.
            turns: in radians.
        """
        looks = [
            (at, _look(at[0], d, d.angle + turn)) for at, d in detections.items() for turn in turns
        ]
        found: dict[tuple[int, int], list[Detection]] = {at: [] for at in detections}
        seen = self._see(images, [look for _, look in looks])
        for (at, look), shown in zip(looks, seen, strict=True):
            found[at] += shown.filling().in_picture(look)
        return found

    def _see(self, images: Sequence[RGBImage], views: Sequence[View]) -> list[_Seen]:
        """What the network finds in each view, in the view's pixels, not suppressed yet."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for k, view in enumerate(views):
            groups[view.shape].append(k)
        found: dict[int, _Seen] = {}
        for (height, width), members in groups.items():
            step = max(1, _BATCH_PIXELS // (height * width))
            for start in range(0, len(members), step):
                batch = members[start : start + step]
                pixels = np.zeros((len(batch), 3, height, width), np.float32)
                for canvas, k in zip(pixels, batch, strict=True):
                    seen = views[k].render(images[views[k].index])
                    canvas[:, : seen.shape[0], : seen.shape[1]] = seen[..., ::-1].transpose(2, 0, 1)
                found.update(zip(batch, self._run(pixels), strict=True))
        return [found[k] for k in range(len(views))]

    def _run(self, pixels: np.ndarray) -> list[_Seen]:
        """Run the network on BGR 0..255 (N, 3, H, W) and decode its anchors."""
        outputs = self.network(input=pixels)
        images: list[np.ndarray] = []
        decoded: list[_Seen] = []
        for stride in _STRIDES:
            score = np.sqrt(outputs[f"cls_{stride}"][..., 0] * outputs[f"obj_{stride}"][..., 0])
            image, anchor = np.nonzero(score >= _CANDIDATE)
            row, column = np.divmod(anchor, pixels.shape[3] // stride)
            cell = np.stack([column, row], axis=-1).astype(np.float32)
            offset = outputs[f"bbox_{stride}"][image, anchor]
            center = (cell + offset[:, :2]) * stride
            half = np.exp(offset[:, 2:]) * (stride / 2)
            boxes = np.concatenate([center - half, center + half], axis=-1)
            points = outputs[f"kps_{stride}"][image, anchor].reshape(-1, 5, 2)
            points = (points + cell[:, None]) * stride
            images.append(image)
            decoded.append(_Seen(boxes, score[image, anchor], points))
        every = _Seen(
            np.concatenate([one.boxes for one in decoded]),
            np.concatenate([one.scores for one in decoded]),
            np.concatenate([one.points for one in decoded]),
        )
        image = np.concatenate(images)
        return [every.of(np.flatnonzero(image == n)) for n in range(len(pixels))]


def _look(index: int, detection: Detection, angle: float) -> Look:
    x, y = (float(v) for v in detection.center)
    side = max(1.0, detection.side) * _LOOK_SIDE / _LOOK_FACE
    return Look(index, (x, y), side, angle, _LOOK_SIDE, _LOOK_SIDE)


def _agree(one: Detection, other: Detection) -> bool:
    """Whether two detections of a face agree on where its eyes are, above or below its mouth."""
    return math.cos(one.angle - other.angle) >= 0


def _suppress(detections: list[Detection], overlap: float = 0.3) -> list[Detection]:
    """Greedy non-maximum suppression; the survivors, largest first."""
    if not detections:
        return []
    boxes = np.stack([d.box for d in detections]).astype(np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.argsort([-d.score for d in detections], kind="stable")
    kept: list[Detection] = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(detections[best])
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        order = order[shared <= overlap * (areas[best] + areas[order] - shared)]
    return sorted(kept, key=lambda d: -d.area)
