"""Sample grids: what the networks make of a few fixed faces."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.model import FaceCycle
from facecycle_cli.model.flow import warp


@torch.no_grad()
def sample_grid(model: FaceCycle, x: Tensor) -> np.ndarray:
    """One row each: input, warped, neutral, reconstruction, mean face; a column per face.

    Args:
        model: in any mode; left as it was.
        x: (N, 3, S, S), normalized.

    Returns:
        (5 * S, N * S, 3) uint8 RGB.
    """
    codes = model.encode(x)
    flow, backflow = model.decode_flow(codes.expression_code)
    neutral = model.de_express(x, flow)
    rows = (
        x,
        warp(x, flow, padding=model.config.extensions.padding),
        neutral,
        model.re_express(neutral, backflow),
        model.de_identify(neutral, codes.identity_code),
    )
    return np.concatenate([np.concatenate(list(model.to_image(row).numpy()), 1) for row in rows])
