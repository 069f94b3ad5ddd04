"""The motions that the pipelines give a face, as flows over the photograph and generated faces."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import compose, identity_grid, mirror


class Moved(NamedTuple):
    """A face after a motion.

    Attributes:
        flow: (N, 2, h, w), from the output to the input face, in grid units.
        generated: (N, 3, S, S), normalized, as the networks draw it.
        symmetric: the output faces the camera.
        at_rest: its mouth is closed.
    """

    flow: Tensor
    generated: Tensor
    symmetric: bool = False
    at_rest: bool = False


def neutral(model: FaceCycle, x: Tensor) -> Moved:
    """The neutral, frontal face (paper: D_exp with the de-expression flow)."""
    flow, _ = model.decode_flow(model.encode_expression(x))
    return Moved(flow, model.de_express(x, flow), symmetric=True, at_rest=True)


def neutral_by_flow(model: FaceCycle, x: Tensor) -> Moved:
    """The same, and the mouth is left to the flow as well."""
    return neutral(model, x)._replace(at_rest=False)


def re_expressed(model: FaceCycle, start: Moved, backflow: Tensor) -> Moved:
    """A neutral face with another motion; the photograph is still warped only once."""
    return Moved(compose(start.flow, backflow), model.re_express(start.generated, backflow))


def rebuilt(model: FaceCycle, x: Tensor) -> Moved:
    """Through neutral and back: what the cycle loses."""
    flow, backflow = model.decode_flow(model.encode_expression(x))
    return re_expressed(model, Moved(flow, model.de_express(x, flow)), backflow)


def frontal(model: FaceCycle, x: Tensor) -> Moved:
    """The head to the front, the expression kept.

    Mirroring a face changes the sign of its yaw and roll and of nothing else that is symmetric. So
    the part of its flow that the mirror image reverses is the turn of the head, and what both share
    is the expression (and pitch), which stays where it is.
    """
    flows = model.decode_flow(model.encode_expression(torch.cat((x, x.flip(-1)))))
    flow = turning_part(*flows.flow.chunk(2))
    return Moved(flow, model.de_express(x, flow), symmetric=True)


def turning_part(flow: Tensor, flow_of_mirrored: Tensor) -> Tensor:
    """What turns a head to the front and leaves its expression alone, (N, 2, h, w).

    To first order, de-expression followed by re-expression with the motion that a face shares with
    its mirror image; in one step, because a mouth that is closed and opened again comes back worse.

    A turned head is also narrower, whichever way it turns, and that squeeze is shared. No
    expression squeezes the whole face sideways: the uniform horizontal scale is part of the turn.
    """
    turn = (flow - mirror(flow) + mirror(flow_of_mirrored) - flow_of_mirrored) / 4
    shared = (flow + flow_of_mirrored) / 2
    x = identity_grid(flow.shape[-2], flow.shape[-1], like=flow)[:, :1]
    scale = (shared[:, :1] * x).sum(dim=(2, 3), keepdim=True) / (x * x).expand_as(
        shared[:, :1]
    ).sum(dim=(2, 3), keepdim=True)
    return torch.cat((turn[:, :1] + scale * x, turn[:, 1:]), dim=1)
