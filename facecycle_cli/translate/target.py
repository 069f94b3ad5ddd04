"""The face that performs, as the networks see it; all that stays the same is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.translate.placement import Placement

__all__ = ["Fields", "Motion", "Target"]

Motion = Literal["absolute", "relative"]


class Fields(NamedTuple):
    """How a picture has to change, at a few points of it.

    Attributes:
        displacement: (N, 2, h, w), from each point to where its color is taken from, in grid units
            of the crop.
        change: (N, 3, h, w), what is added to that color, normalized RGB.
        inside: (N, 2, h, w), where each point lies in the moved crop.
    """

    displacement: Tensor
    change: Tensor
    inside: Tensor


class Target:
    """A face with its neutral face, its own motion, and the features that D_exp starts from.

    Args:
        model: the networks.
        x: (1, 3, S, S), the aligned crop, normalized.
    """

    def __init__(self, model: FaceCycle, x: Tensor) -> None:
        self.model = model
        self.flow, self.backflow = model.decode_flow(model.encode_expression(x))
        self.features = model.features(model.de_express(x, self.flow))
        self.rest = model.move(self.features, self.backflow)

    def perform(
        self,
        backflow: Tensor,
        placements: Sequence[Placement],
        points: Tensor,
        *,
        at_rest: bool,
    ) -> Fields:
        """The face with other motions.

        The photograph is warped once, by the target's flow to its neutral face and the motion's
        backflow in one. What the generator draws in the new pose beyond what it draws in the
        target's own pose, warped the same way, is what no warp can supply: teeth, the inside of the
        mouth, the far cheek, light. Its own softness and errors are in both and cancel.

        Args:
            backflow: (N, 2, s, s), from the neutral face to the motions.
            placements: N, of the head in the picture.
            points: (h, w, 2), points of the picture in grid units of the target's crop.
            at_rest: what is lost on the way to the neutral face and back is made good, so that the
                target's own motion changes nothing.
        """
        generated = self.model.move(self.features, backflow)
        inside = _undo(placements, points)
        moved = inside + _sample(backflow, inside)
        source = moved + _sample(self.flow, moved)
        if at_rest:
            rest = inside + _sample(self.backflow, inside)
            source = source - (rest + _sample(self.flow, rest) - inside)
        change = _sample(generated, inside) - _sample(self.rest, source)
        return Fields(source - points.permute(2, 0, 1), change, inside)


def _undo(placements: Sequence[Placement], points: Tensor) -> Tensor:
    """(h, w, 2) points of the picture -> (N, 2, h, w), where they lie in the moved crops."""
    inverses = [placement.undo() for placement in placements]
    numbers = [(a.real, a.imag, b.real, b.imag) for a, b in map(_as_complex, inverses)]
    a, b, c, d = points.new_tensor(numbers).T.unsqueeze(-1).unsqueeze(-1)
    x, y = points.unbind(-1)
    return torch.stack((a * x - b * y + c, b * x + a * y + d), dim=1)


def _as_complex(pair: tuple[complex, complex]) -> tuple[complex, complex]:
    return complex(pair[0]), complex(pair[1])


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
