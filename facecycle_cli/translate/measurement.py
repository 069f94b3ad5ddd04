"""What is measured of the source's face in each frame."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from facecycle_cli.faces import Face
from facecycle_cli.faces.gaze import Gaze
from facecycle_cli.faces.smoothing import Signal
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.motions import require_finite
from facecycle_cli.translate.appearance import Appearance
from facecycle_cli.translate.lids import upper_lids
from facecycle_cli.translate.placement import HeadPlacement
from facecycle_cli.translate.source import SourceFace
from facecycle_cli.types import RGBImage

__all__ = ["Measurement", "measure", "measure_still"]

_FLOW_TOLERANCE = 0.02
"""Grid units. Flows of a still face differ from frame to frame by about a quarter of it."""

_MOUTH_TOLERANCE = 0.03
"""Distances between the eyes. The opening of a still mouth trembles by about a third of it."""

_EYE_TOLERANCE = 0.02
"""Widths of an eye, of the opening between its lids, and of the height of the upper one. Those of
eyes at rest tremble by about a quarter of it, and each frame of a blink moves them by half of it or
more."""

_SLOW_TOLERANCE = 2.0
"""How much further than those of the head the poses may lie apart that are averaged around it."""

_SHAPE_TOLERANCE = 0.015
"""Sizes of the head, of its landmarks."""

_LIGHT_TOLERANCE = 0.08
"""Logarithms of brightness."""

_GAZE_TOLERANCE = 0.06
"""Half widths of an eye, of the place of its iris. That of eyes at rest trembles by a sixth of it,
and a glance moves it by several times as much within two frames."""


@dataclass(frozen=True)
class Measurement:
    """What was measured of the source's face in one frame.

    Attributes:
        face: the face as it was found, before any smoothing.
        track: the same number as long as it is the same face in the same shot.
        placement: of the head in the picture.
        backflow: (2, s, s) float32, grid units: from the neutral face to this one.
        mouth: opening of the mouth, in distances between the eyes.
        eyes: opening of the eyes, over their width.
        lids: how low the upper lids are, as :func:`.upper_lids` has it.
        head: pose and shape of the face.
        slow: the same head, its pose smoothed more: what is around it moves with this one.
        look: what the frame shows of the face.
    """

    face: Face
    track: int
    placement: HeadPlacement
    backflow: np.ndarray
    mouth: float
    eyes: float
    lids: float
    head: Head
    slow: Head
    look: Appearance

    @property
    def yaw(self) -> float:
        """Of the head, in degrees."""
        return self.face.pose.yaw

    def signals(self) -> Sequence[Signal]:
        """Backflow, mouth, eyes, lids; pose and shape of the head; light, gaze; slow pose."""
        return (
            Signal(self.backflow, _FLOW_TOLERANCE),
            Signal(np.array(self.mouth), _MOUTH_TOLERANCE),
            Signal(np.array(self.eyes), _EYE_TOLERANCE),
            Signal(np.array(self.lids), _EYE_TOLERANCE),
            *self.head.pose_signals(),
            Signal(self.head.shape, _SHAPE_TOLERANCE),
            Signal(self.look.light, _LIGHT_TOLERANCE),
            Signal(self.look.gaze.numbers, _GAZE_TOLERANCE),
            *self.slow.pose_signals(_SLOW_TOLERANCE),
        )

    def with_signals(self, values: Sequence[np.ndarray]) -> Measurement:
        """The same with other values of :meth:`signals`."""
        backflow, mouth, eyes, lids, center, pose, shape, light, gaze, *slow = values
        return replace(
            self,
            backflow=backflow,
            mouth=float(mouth),
            eyes=float(eyes),
            lids=float(lids),
            head=replace(self.head, shape=shape).with_pose(center, pose),
            slow=self.slow.with_pose(*slow),
            look=replace(self.look, light=light, gaze=Gaze.of(gaze)),
        )


@torch.inference_mode()
def _encode_backflow(model: FaceCycle, crops: Sequence[RGBImage]) -> np.ndarray:
    """Crops (S, S, 3) uint8, N of them -> (N, 2, s, s) float32: E_exp and D_flow."""
    code = model.encode_expression(model.to_input(np.stack(crops)))
    backflow = model.decode_flow(code).backflow
    require_finite(backflow)
    return backflow.cpu().numpy()


def measure(
    model: FaceCycle, batches: Iterable[Sequence[SourceFace | None]], step: int = 1
) -> Iterator[Measurement | None]:
    """Measure the face in every frame of the source.

    Args:
        model: the networks.
        batches: the frames; those of a batch go through the networks together.
        step: about how many frames the networks see one of; between two of these the flow changes
            steadily.

    Yields:
        one measurement for each frame, None for None.
    """
    for batch in batches:
        backflows = _backflows(model, batch, step)
        for number, seen in enumerate(batch):
            yield None if seen is None else _measurement(seen, backflows[number])


def _backflows(
    model: FaceCycle, batch: Sequence[SourceFace | None], step: int
) -> dict[int, np.ndarray]:
    """The backflow of each frame with a face, by its number in the batch."""
    tracks = [None if seen is None else seen.track for seen in batch]
    runs = [
        list(numbers)
        for track, numbers in itertools.groupby(range(len(batch)), key=tracks.__getitem__)
        if track is not None
    ]
    chosen = [_every(step, run) for run in runs]
    crops = [seen.crop for k in itertools.chain(*chosen) if (seen := batch[k]) is not None]
    measured = iter(_encode_backflow(model, crops) if crops else ())
    found: dict[int, np.ndarray] = {}
    for run, numbers in zip(runs, chosen, strict=True):
        flows = np.stack([next(measured) for _ in numbers])
        place = np.interp(run, numbers, np.arange(len(numbers)))
        before = np.floor(place).astype(int)
        change = flows[np.minimum(before + 1, len(flows) - 1)] - flows[before]
        share = (place - before).astype(np.float32)[:, None, None, None]
        found.update(zip(run, flows[before] + share * change, strict=True))
    return found


def _every(step: int, run: Sequence[int]) -> list[int]:
    """About one of ``step`` numbers in a row, the first and the last among them."""
    count = max(2, math.ceil(len(run) / step))
    return sorted({round(number) for number in np.linspace(run[0], run[-1], count)})


def _measurement(seen: SourceFace, backflow: np.ndarray) -> Measurement:
    face, head = seen.face, Head.of(seen.face)
    return Measurement(
        face,
        seen.track,
        HeadPlacement.of(seen.alignment),
        backflow,
        face.mouth_opening,
        face.eye_opening,
        upper_lids(head.shape, face.topology),
        head,
        head,
        seen.look,
    )


def measure_still(model: FaceCycle, seen: SourceFace) -> Measurement:
    """Measure the face in a single picture."""
    return _measurement(seen, _encode_backflow(model, [seen.crop])[0])
