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
        generated: (N, 3, S, S), normalised, as the networks draw it.
    """

    flow: Tensor
    generated: Tensor


def neutral(model: FaceCycle, x: Tensor) -> Moved:
    """The neutral, frontal face (paper: D_exp with the de-expression flow)."""
    flow, _ = model.decode_flow(model.encode_expression(x))
    return Moved(flow, model.de_express(x, flow))


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
    the part of a face's motion that it shares with its mirror image is its expression (and pitch),
    and re-expressing the neutral face with that part alone turns the head and keeps the smile.
    """
    flows = model.decode_flow(model.encode_expression(torch.cat((x, x.flip(-1)))))
    flow, _ = flows.flow.chunk(2)
    shared = symmetric_part(*flows.backflow.chunk(2))
    return re_expressed(model, Moved(flow, model.de_express(x, flow)), shared)


def symmetric_part(backflow: Tensor, backflow_of_mirrored: Tensor) -> Tensor:
    """The motion that a face shares with its mirror image, (N, 2, h, w), itself symmetric.

    A turned head is also narrower, whichever way it turns; that squeeze would survive the average.
    No expression squeezes the whole face sideways, so the uniform horizontal scale is taken out.
    """
    mean = (backflow + backflow_of_mirrored) / 2
    mean = (mean + mirror(mean)) / 2
    x = identity_grid(mean.shape[-2], mean.shape[-1], like=mean)[:, :1]
    scale = (mean[:, :1] * x).sum(dim=(2, 3), keepdim=True) / (x * x).sum()
    return torch.cat((mean[:, :1] - scale * x, mean[:, 1:]), dim=1)
