"""How large the networks are, and what they compute for one face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from facecycle_cli.model.facecycle import FaceCycle


@dataclass(frozen=True)
class NetworkSummary:
    """One network.

    Attributes:
        name: of the attribute of :class:`FaceCycle`.
        symbol: the paper's name; the trunk, which D_exp and D_id share, has none.
        parameters: number of weights and biases.
        multiply_adds: of one forward pass for one face. Convolutions and matrix products count;
            sampling, normalization and activations, which multiply once per value, do not.
    """

    name: str
    symbol: str
    parameters: int
    multiply_adds: int


@torch.no_grad()
def summarize(model: FaceCycle) -> list[NetworkSummary]:
    """Sizes of all networks, in the order in which a face passes through them."""
    side = model.config.image_size
    x = torch.zeros(1, 3, side, side, device=model.device)
    code = torch.zeros(1, model.config.code_size, device=model.device)
    flow = torch.zeros(1, 2, model.config.flow_size, model.config.flow_size, device=model.device)
    features, for_id, noise = model.features(x), model.identity_features(x), model.noise()
    passes: dict[str, tuple[str, Callable[[], Any]]] = {
        "trunk": ("", lambda: model.features(x)),
        "expression_encoder": ("E_exp", lambda: model.encode_expression(x)),
        "flow_decoder": ("D_flow", lambda: model.decode_flow(code)),
        "expression_decoder": ("D_exp", lambda: model.expression_decoder(features, flow, noise)),
        "identity_encoder": ("E_id", lambda: model.encode_identity(x)),
        "identity_decoder": ("D_id", lambda: model.identity_decoder(for_id, code, restore=False)),
    }
    return [
        NetworkSummary(name, symbol, _parameters(model, name), _multiply_adds(run))
        for name, (symbol, run) in passes.items()
    ]


def _parameters(model: FaceCycle, name: str) -> int:
    return sum(parameter.numel() for parameter in model.get_submodule(name).parameters())


def _multiply_adds(run: Callable[[], Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2
