"""What becomes of a face: the flow that moves its photograph, and the face that the networks draw.

Each motion is a constant: :data:`FRONTAL`, :data:`NEUTRAL`, :data:`NEUTRAL_BY_FLOW`, :data:`MEAN`,
:data:`REBUILT`. Commands, library and evaluations all name one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from facecycle_cli.errors import CommandError, SettingsError
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import compose, identity_grid, mirror
from facecycle_cli.model.tensors import is_finite
from facecycle_cli.portrait.dials import WHOLE, Dials
from facecycle_cli.portrait.landmarks import ShapeKind
from facecycle_cli.types import Expression, MotionSource, MouthSource

__all__ = [
    "FRONTAL",
    "MEAN",
    "NEUTRAL",
    "NEUTRAL_BY_FLOW",
    "REBUILT",
    "MovedFace",
    "PortraitMotion",
    "choose_motion",
    "re_expressed",
    "require_finite",
    "turning_part",
]

Correct: TypeAlias = Callable[[Tensor], Tensor]
"""Flows (N, 2, h, w) -> corrected ones, of any size."""


def _unchanged(flow: Tensor) -> Tensor:
    return flow


class MovedFace(NamedTuple):
    """Faces after a motion, at the networks' resolution.

    Attributes:
        flow: (N, 2, h, w), from the output to the input face, in grid units (-1 to 1 is the crop).
        generated: (N, 3, S, S), normalized RGB, as the networks draw the moved face.
    """

    flow: Tensor
    generated: Tensor


def _neutral_flow(model: FaceCycle, x: Tensor) -> Tensor:
    """The de-expression flow."""
    return model.decode_flow(model.encode_expression(x)).flow


@dataclass(frozen=True)
class PortraitMotion:
    """One way to change a face, and how its picture is made from that.

    Attributes:
        name: what the result is, for messages.
        move: (model, x) -> the moved faces; ``x`` is (N, 3, S, S), normalized RGB. With a ``shape``
            also (model, x, correct), where ``correct`` changes the flow before faces are drawn.
        turns_to_front: the result is frontal, so that the visible half of a face may complete the
            occluded half.
        closes_mouth: the lips are closed at the landmarks, where the flow leaves them open.
        warps_photo: the result is the warped photograph with the networks' corrections. False: it
            is the networks' own picture, enlarged.
        shape: what landmarks that correct the flow take the result to; None: none correct it.
        dials: how far it goes.
        flow_of: (model, x) -> the flows of the networks alone, (N, 2, h, w); None: those of
            de-expression.
    """

    name: str
    move: Callable[..., MovedFace]
    turns_to_front: bool = True
    closes_mouth: bool = False
    warps_photo: bool = True
    shape: ShapeKind | None = None
    dials: Dials = WHOLE
    flow_of: Callable[[FaceCycle, Tensor], Tensor] | None = None

    def flow(self, model: FaceCycle, x: Tensor) -> Tensor:
        """The flows of the networks alone, (N, 2, h, w), for ``x`` as :attr:`move` takes it."""
        return (self.flow_of or _neutral_flow)(model, x)

    @property
    def faces_camera(self) -> bool:
        """Whether the result is frontal."""
        return self.turns_to_front and not self.dials.turn_away

    def with_flow(self, flow: Tensor) -> PortraitMotion:
        """The same motion of N faces whose flows, (N, 2, h, w), are known already.

        They take the place of those that :meth:`flow` gives, before anything corrects them.
        """
        return replace(self, move=partial(self.move, flow=flow))

    def by_networks(self) -> PortraitMotion:
        """The same motion by the networks' flow alone.

        Raises:
            SettingsError: they know nothing of a pitch.
        """
        if self.dials.pitch is not None:
            raise SettingsError("the networks alone turn no head to a pitch: landmarks do")
        return replace(self, shape=None)

    def dialed(self, dials: Dials) -> PortraitMotion:
        """The same motion, as far as ``dials`` say.

        Raises:
            SettingsError: it has nothing of the photograph that could be in part.
        """
        if dials.are_neutral:
            return self
        if not self.warps_photo:
            raise SettingsError(f"the {self.name} is drawn as a whole: it has no strength or angle")
        return replace(self, dials=dials)


def re_expressed(model: FaceCycle, neutral: MovedFace, backflow: Tensor) -> MovedFace:
    """A neutral face with the motion of ``backflow``; the photograph is still warped only once.

    Args:
        model: the networks.
        neutral: N neutral faces.
        backflow: (N, 2, h, w), from the moved to the neutral face, in grid units.
    """
    return MovedFace(compose(neutral.flow, backflow), model.re_express(neutral.generated, backflow))


def require_finite(*outputs: Tensor) -> None:
    """Check what the networks make of a face; otherwise it would be shown as a black picture.

    Raises:
        CommandError: a number is not finite. It is the weights: a face is bytes, of which no sound
            network makes such numbers.
    """
    if not all(is_finite(output) for output in outputs):
        raise CommandError("this checkpoint draws faces that are not finite: nothing can be shown")


def turning_part(flow: Tensor, flow_of_mirrored: Tensor) -> Tensor:
    """The part of a de-expression flow that turns the head to the front.

    To first order this is de-expression followed by re-expression with the motion that a face
    shares with its mirror image. It is one step, because a mouth that is closed and opened again
    loses detail.

    A turned head is also narrower, whichever way it turns, and its mirror image shares this
    squeeze. No expression squeezes the whole face sideways, so the uniform horizontal scale counts
    as part of the turn.

    Args:
        flow: (N, 2, h, w), of the faces, in grid units.
        flow_of_mirrored: (N, 2, h, w), of their mirror images.

    Returns:
        (N, 2, h, w), in grid units.
    """
    turn = (flow - mirror(flow) + mirror(flow_of_mirrored) - flow_of_mirrored) / 4
    shared = (flow + flow_of_mirrored) / 2
    x = identity_grid(flow.shape[-2], flow.shape[-1], like=flow)[:, :1]
    scale = (shared[:, :1] * x).sum(dim=(2, 3), keepdim=True) / (x * x).expand_as(
        shared[:, :1]
    ).sum(dim=(2, 3), keepdim=True)
    return torch.cat((turn[:, :1] + scale * x, turn[:, 1:]), dim=1)


def _neutral(
    model: FaceCycle, x: Tensor, correct: Correct = _unchanged, flow: Tensor | None = None
) -> MovedFace:
    """D_exp with the de-expression flow (paper, section 3.1)."""
    flow = correct(_neutral_flow(model, x) if flow is None else flow)
    return MovedFace(flow, model.de_express(x, flow))


def _frontal_flow(model: FaceCycle, x: Tensor) -> Tensor:
    """What turns the head to the front, and keeps the expression.

    Mirroring a face changes the sign of its yaw and roll and of nothing else that is symmetric. So
    the part of the flow that the mirror image reverses is the turn of the head. What both share is
    the expression (and the pitch), which stays.
    """
    flows = model.decode_flow(model.encode_expression(torch.cat((x, x.flip(-1)))))
    return turning_part(*flows.flow.chunk(2))


def _frontal(
    model: FaceCycle, x: Tensor, correct: Correct = _unchanged, flow: Tensor | None = None
) -> MovedFace:
    """The head turned to the front, the expression kept."""
    flow = correct(_frontal_flow(model, x) if flow is None else flow)
    return MovedFace(flow, model.de_express(x, flow))


def _mean(model: FaceCycle, x: Tensor, *, flow: Tensor | None = None) -> MovedFace:
    """D_id of the neutral face (paper, section 3.2)."""
    flow, neutral = _neutral(model, x, flow=flow)
    return MovedFace(flow, model.de_identify(neutral, model.encode_identity(x)))


def _rebuilt(model: FaceCycle, x: Tensor, *, flow: Tensor | None = None) -> MovedFace:
    own, backflow = model.decode_flow(model.encode_expression(x))
    flow = own if flow is None else flow
    return re_expressed(model, MovedFace(flow, model.de_express(x, flow)), backflow)


FRONTAL = PortraitMotion("frontal face", _frontal, shape="own", flow_of=_frontal_flow)
"""The head turned to the front, the expression kept."""

NEUTRAL = PortraitMotion("neutral face", _neutral, closes_mouth=True, shape="neutral")
"""The frontal face without an expression, its lips closed where the landmarks find them."""

NEUTRAL_BY_FLOW = PortraitMotion("neutral face", _neutral, shape="neutral")
"""The frontal face without an expression; the mouth is left to the networks' flow."""

MEAN = PortraitMotion("mean face", _mean, warps_photo=False)
"""The de-identified face. It holds no detail of the person, so it takes none from the photograph:
it is the networks' own picture, enlarged."""

REBUILT = PortraitMotion("reconstruction", _rebuilt, turns_to_front=False)
"""The face after its motion was removed and put back: what the facial-motion cycle loses."""


def choose_motion(
    expression: Expression,
    *,
    mean: bool = False,
    mouth: MouthSource = "landmarks",
    motion_from: MotionSource = "landmarks",
    dials: Dials = WHOLE,
) -> PortraitMotion:
    """The motion that the options of ``neutralize`` and ``frontalize`` describe.

    Args:
        expression: ``keep`` it or ``remove`` it.
        mean: go on to the mean face, which has no expression.
        mouth: what closes a mouth whose expression is removed.
        motion_from: ``landmarks`` correct the networks' flow, or ``networks`` move the face alone.
        dials: how far the motion goes.

    Raises:
        SettingsError: these exclude each other.
    """
    if expression == "keep":
        if mean:
            raise SettingsError("the mean face has no expression to keep")
        motion = FRONTAL
    elif mean:
        motion = MEAN
    else:
        motion = NEUTRAL if mouth == "landmarks" else NEUTRAL_BY_FLOW
    motion = motion.dialed(dials)
    return motion if motion_from == "landmarks" else motion.by_networks()
