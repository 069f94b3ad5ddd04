"""The target on its stage: motions in, frames out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.features import eyelid_closure
from facecycle_cli.translate.motion import Performance
from facecycle_cli.translate.placement import HeadPlace, Placement, place
from facecycle_cli.translate.stage import Drawing, crop_stage, picture_stage
from facecycle_cli.translate.target import Motion, Target
from facecycle_cli.types import MouthSource

__all__ = ["Actor"]


class Actor:
    """A face that performs motions.

    Args:
        image: (H, W, 3) uint8 RGB, the picture.
        face: the face in it.
        model: the networks.
        motion: ``absolute`` or ``relative``.
        mouth: how wide it opens, and how far its eyes close: as the source's landmarks say, or as
            the flow has it.
        size: side of the frames, aligned crops; None: the frames are the whole picture.

    Attributes:
        face: as given.
    """

    def __init__(
        self,
        image: np.ndarray,
        face: Face,
        model: FaceCycle,
        *,
        motion: Motion,
        mouth: MouthSource,
        size: int | None,
    ) -> None:
        self.face = face
        self._model = model
        self._motion = motion
        alignment = Alignment.from_face(face, model.config.image_size)
        cells = model.config.image_size
        lips = face if mouth == "landmarks" else None
        if size is None:
            self.stage = picture_stage(image, alignment, cells=cells, face=lips)
            self._level = HeadPlace.of(alignment).roll
        else:
            self.stage = crop_stage(image, alignment, size, cells=cells, face=lips)
            self._level = 0.0
        with torch.inference_mode():
            self._target = Target(model, model.to_input(alignment.crop(image)))
            self._rest = self._target.backflow[0].cpu().numpy()
            self._points = torch.from_numpy(self.stage.points).to(model.device)

    @torch.inference_mode()
    def perform(self, motions: Sequence[Performance]) -> list[Drawing]:
        """What each motion (all of them with a face) makes of the picture."""
        backflow = torch.from_numpy(np.stack([self._backflow(motion) for motion in motions]))
        fields = self._target.perform(
            backflow.to(self._model.device),
            [self._placement(motion) for motion in motions],
            self._points,
            at_rest=self._motion == "relative",
        )
        change = fields.change * self._model.input_std * 255
        arrays = fields.displacement, change, fields.inside
        rows = zip(*(array.cpu().numpy() for array in arrays), motions, strict=True)
        return [
            self.stage.prepare(
                displacement, change, inside, self._opening(motion), self._closed(motion)
            )
            for displacement, change, inside, motion in rows
        ]

    def draw(self, drawing: Drawing | None) -> np.ndarray:
        """The frame, (H, W, 3) uint8; the picture as it is where nothing has been performed yet."""
        return self.stage.still.copy() if drawing is None else self.stage.draw(drawing)

    def expected_yaw(self, motion: Performance) -> float:
        """Where the output's head should be turned to, in degrees."""
        if self._motion == "absolute":
            return motion.yaw
        assert motion.reference is not None
        reference = motion.reference
        return motion.yaw + reference.trust * (self.face.pose.yaw - reference.yaw)

    def _opening(self, motion: Performance) -> float:
        """How much wider than in its photograph the mouth has to be, in distances between the
        eyes.
        """
        assert motion.mouth is not None
        if self._motion == "absolute":
            return motion.mouth - self.face.mouth_opening
        assert motion.reference is not None
        return motion.mouth - motion.reference.mouth

    def _closed(self, motion: Performance) -> float:
        """How far the eyelids have to be down, 0..1."""
        assert motion.reference is not None
        if motion.eyes is None:
            return 0.0
        return eyelid_closure(motion.eyes, motion.reference.eyes, motion.yaw)

    def _backflow(self, motion: Performance) -> np.ndarray:
        """From the target's neutral face to the motion."""
        assert motion.backflow is not None
        if self._motion == "absolute":
            return motion.backflow
        assert motion.reference is not None
        reference = motion.reference
        own = reference.trust * (self._rest - reference.backflow)
        return np.clip(motion.backflow + own, -1, 1)

    def _placement(self, motion: Performance) -> Placement:
        assert motion.reference is not None
        level = self._level if self._motion == "absolute" else None
        return place(motion.place, motion.reference.place, level=level)
