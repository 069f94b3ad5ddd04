"""The target's face: motions in, frames out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.attention_mesh import look_closely
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.dials import part_of_way
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.motions import require_finite
from facecycle_cli.portrait.rims import lip_rims
from facecycle_cli.translate.appearance import light_gain, lip_color, mouth_edges, skin_color
from facecycle_cli.translate.dials import ALL_OF_IT, MotionDials
from facecycle_cli.translate.gaze import TargetGaze
from facecycle_cli.translate.layer import Grid, LandmarkLayer, LandmarkRequest
from facecycle_cli.translate.motion import Motion
from facecycle_cli.translate.placement import (
    IN_CROP,
    IN_PICTURE,
    HeadPlacement,
    PlaneMotion,
    plane_motion,
)
from facecycle_cli.translate.points import TargetMotion, TargetPoints
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.stage import Drawing, Fields, crop_stage, picture_stage
from facecycle_cli.types import RGBImage

__all__ = ["EncodedFace", "Target"]


_LIGHT_LOST = 12.0, 30.0
"""Degrees of yaw by which the source turns until its landmarks lie on other skin, in another light,
or on what is behind it."""


class EncodedFace:
    """The target's face as the networks see it; what stays the same is computed once.

    Args:
        model: the networks.
        x: (1, 3, S, S), the aligned crop, normalized.

    Attributes:
        backflow: (1, 2, s, s), grid units: the face's own motion, from its neutral face.

    Raises:
        CommandError: the networks make numbers that are not finite.
    """

    @torch.inference_mode()
    def __init__(self, model: FaceCycle, x: Tensor) -> None:
        self._model = model
        self._flow, self.backflow = model.decode_flow(model.encode_expression(x))
        self._features = model.features(model.de_express(x, self._flow))
        self._rest = model.move(self._features, self.backflow)
        require_finite(self._flow, self.backflow, self._rest)

    @torch.inference_mode()
    def fields(
        self,
        backflow: Tensor,
        plane_motions: Sequence[PlaneMotion],
        points: Tensor,
        *,
        keep_own: bool,
        draw: bool = True,
    ) -> list[Fields]:
        """How the photograph changes for other motions.

        The photograph is warped once, by the target's flow to its neutral face and the motion's
        backflow in one. D_exp draws the face in the new pose and in the target's own pose, warped
        the same way; their difference is what no warp can supply: teeth, the inside of the mouth,
        the far cheek, light. D_exp's softness and errors are in both and cancel.

        Args:
            backflow: (N, 2, s, s), grid units, from the neutral face to the motions.
            plane_motions: N, of the head in the picture.
            points: (h, w, 2), points of the picture in grid units of the target's crop.
            keep_own: add what is lost on the way to the neutral face and back, so that the target's
                own motion changes nothing.
            draw: whether D_exp draws what no warp can supply; otherwise no color changes.

        Returns:
            N records.
        """
        inside = _moved_back(plane_motions, points)
        moved = inside + _sample(backflow, inside)
        source = moved + _sample(self._flow, moved)
        if keep_own:
            rest = inside + _sample(self.backflow, inside)
            source = source - (rest + _sample(self._flow, rest) - inside)
        change: Iterable[np.ndarray | None] = itertools.repeat(None, len(source))
        if draw:
            generated = self._model.move(self._features, backflow)
            drawn = _sample(generated, inside) - _sample(self._rest, source)
            change = (drawn * self._model.input_std * 255).cpu().numpy()
        displacement = (source - points.permute(2, 0, 1)).cpu().numpy()
        rows = zip(displacement, change, inside.cpu().numpy(), strict=True)
        return [Fields(*row) for row in rows]


class Target:
    """The face that takes on the motions, in its picture.

    Args:
        image: (H, W, 3) uint8 RGB, the picture.
        face: the face in it.
        model: the networks.
        settings: ``motion`` and ``mouth``; ``size`` and ``paste_back`` say what the frames show.

    Attributes:
        face: as given, lips and lids looked at closely.
        stage: where the frames are drawn.
    """

    def __init__(
        self, image: RGBImage, face: Face, model: FaceCycle, settings: TranslateSettings
    ) -> None:
        self._model = model
        self._is_absolute = settings.motion == "absolute"
        cells = model.config.image_size
        alignment = Alignment.from_face(face, cells)
        crop = alignment.crop(image)
        face, seen_irises = look_closely(image, face)
        self.face = face
        self._points: TargetPoints | None = None
        self._gaze: TargetGaze | None = None
        self._shading = settings.shading
        self._dials = MotionDials(settings.strength, settings.only)
        landmarks = None
        if settings.motion_from == "landmarks" and len(face.landmarks) == MESH_468.count:
            limits = IN_PICTURE if settings.paste_back else IN_CROP
            points = TargetPoints(
                face,
                alignment,
                absolute=self._is_absolute,
                limits=limits,
                dials=self._dials,
            )
            own = alignment.apply(face.landmarks[:, :2])
            self._skin = skin_color(crop, own, face.topology)
            self._lips = lip_color(crop, own, face.topology)
            self._points = points
            features = settings.mouth == "landmarks"
            if features and self._dials.eyes and seen_irises is not None:
                self._gaze = TargetGaze(face, seen_irises, alignment, absolute=self._is_absolute)
            irises = None if self._gaze is None else self._gaze.irises
            rims = lip_rims(image, mouth_edges(face), self._lips) if features else None

            def landmarks(grid: Grid) -> LandmarkLayer:
                return LandmarkLayer(
                    points.own, face.topology, grid, features=features, irises=irises, rims=rims
                )

        by_flow = settings.mouth == "flow" or landmarks is not None
        moved_by_landmarks = None if by_flow else face
        if settings.paste_back:
            self.stage = picture_stage(
                image, alignment, cells=cells, face=moved_by_landmarks, landmarks=landmarks
            )
            self._level = HeadPlacement.of(alignment).roll
        else:
            self.stage = crop_stage(
                image,
                alignment,
                settings.size,
                cells=cells,
                face=moved_by_landmarks,
                landmarks=landmarks,
            )
            self._level = 0.0
        self._encoded = EncodedFace(model, model.to_input(crop))
        self._own_backflow = self._encoded.backflow[0].cpu().numpy()
        self._grid = torch.from_numpy(self.stage.points).to(model.device)

    def prepare(self, motions: Sequence[Motion]) -> list[Drawing]:
        """What each motion makes of the picture: the part that needs the networks."""
        if not motions:
            return []
        backflow = torch.from_numpy(np.stack([self._backflow(motion) for motion in motions]))
        backflow = backflow.to(self._model.device)
        if self._points is None:
            return self._prepare_by_flow(motions, backflow)
        moved = [self._points.moved(motion) for motion in motions]
        planes = [each.plane for each in moved]
        fields = self._encoded.fields(backflow, planes, self._grid, keep_own=True, draw=False)
        return [
            self.stage.prepare(each, request=self._request(motion, its))
            for each, motion, its in zip(fields, motions, moved, strict=True)
        ]

    def _prepare_by_flow(self, motions: Sequence[Motion], backflow: Tensor) -> list[Drawing]:
        fields = self._encoded.fields(
            backflow,
            [self._plane_motion(motion) for motion in motions],
            self._grid,
            keep_own=not self._is_absolute or self._dials != ALL_OF_IT,
        )
        return [
            self.stage.prepare(
                each,
                opening=self._dials.mouth * self._opening(motion),
                eyes_closed=min(1.0, self._dials.eyes * motion.eyes_closed),
            )
            for each, motion in zip(fields, motions, strict=True)
        ]

    def draw(self, drawing: Drawing) -> RGBImage:
        """The frame, (H, W, 3) uint8."""
        return self.stage.draw(drawing)

    def expected_yaw(self, motion: Motion) -> float:
        """The yaw that the output's head should have, in degrees."""
        own, reference, yaw = self.face.pose.yaw, motion.reference, motion.yaw
        if not self._is_absolute:
            yaw += reference.trust * (own - reference.yaw)
        return part_of_way(own, yaw, self._dials.pose)

    def _request(self, motion: Motion, moved: TargetMotion) -> LandmarkRequest:
        look, reference = motion.look, motion.reference
        # The target begins where the source begins, or rests where it rests.
        rest = reference.first_light if self._is_absolute else reference.light
        before = reference.first if self._is_absolute else reference.head
        turned = np.abs(motion.head.angles[0] - before.angles[0])
        share = np.float32(smoothstep(turned, *_LIGHT_LOST))
        gaze = np.zeros(2)
        if self._gaze is not None:
            gaze = self._dials.eyes * self._gaze.shift(motion, moved.begins_alike)
        return LandmarkRequest(
            moved.wanted,
            min(1.0, self._dials.eyes * motion.lids_beyond_landmarks),
            look.mouth if self._dials.mouth else None,
            motion.mouth,
            light_gain(self._skin, look.skin),
            self._lips,
            self._dials.light * self._shading * (1 - share) * (look.light - rest),
            gaze,
            moved.lag,
            moved.head,
        )

    def _opening(self, motion: Motion) -> float:
        """How much further the lips part than in the photograph, in distances between the eyes."""
        rest = self.face.mouth_opening if self._is_absolute else motion.reference.mouth
        return motion.mouth - rest

    def _backflow(self, motion: Motion) -> np.ndarray:
        """From the target's neutral face to the motion."""
        reference, rest, share = motion.reference, self._own_backflow, self._dials.strength
        if self._is_absolute:
            backflow = motion.backflow
        else:
            own = reference.trust * (rest - reference.backflow)
            backflow = np.clip(motion.backflow + own, -1, 1)
        if self._dials.only is not None:
            return rest  # landmarks move the part
        return backflow if share == 1 else np.clip(rest + share * (backflow - rest), -1, 1)

    def _plane_motion(self, motion: Motion) -> PlaneMotion:
        reference = motion.reference
        if self._is_absolute:
            whole = plane_motion(motion.placement, reference.first_placement, level=self._level)
        else:
            whole = plane_motion(motion.placement, reference.placement)
        return self._dials.plane(whole)


def _moved_back(plane_motions: Sequence[PlaneMotion], points: Tensor) -> Tensor:
    """(h, w, 2) points of the picture -> (N, 2, h, w), where they lie in the moved crops."""
    inverses = [motion.inverse() for motion in plane_motions]
    numbers = [(a.real, a.imag, b.real, b.imag) for a, b in inverses]
    a, b, c, d = points.new_tensor(numbers).T.unsqueeze(-1).unsqueeze(-1)
    x, y = points.unbind(-1)
    return torch.stack((a * x - b * y + c, b * x + a * y + d), dim=1)


def _sample(image: Tensor, points: Tensor) -> Tensor:
    """(N or 1, C, s, s) at (N, 2, h, w) in grid units, without creases; beyond is its border."""
    if image.shape[0] != points.shape[0]:
        image = image.expand(points.shape[0], -1, -1, -1)
    return F.grid_sample(
        image,
        points.permute(0, 2, 3, 1),
        mode="bicubic",
        padding_mode="border",
        align_corners=True,
    )
