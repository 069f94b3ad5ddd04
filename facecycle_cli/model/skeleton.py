"""A model without weights, for weights that come from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from facecycle_cli.model.config import ModelConfig
from facecycle_cli.model.facecycle import FaceCycle

_INITIALIZERS = frozenset(
    (
        Tensor.fill_,
        Tensor.normal_,
        Tensor.uniform_,
        Tensor.zero_,
        torch.nn.init.kaiming_uniform_,
        torch.nn.init.normal_,
        torch.nn.init.uniform_,
        torch.nn.init.zeros_,
    )
)


class _LeaveUninitialized(TorchFunctionMode):
    """Turns initializers into no-ops, in this thread only.

    On the meta device they would compute nothing either, but torch implements random numbers there
    in Python, and importing that takes as long as importing torch does.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _INITIALIZERS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def skeleton(config: ModelConfig) -> FaceCycle:
    """The networks of ``config`` with shapes but no weights (on the ``meta`` device)."""
    with torch.device("meta"), _LeaveUninitialized():
        return FaceCycle(config)


def fill(model: FaceCycle, state: Mapping[str, Tensor]) -> FaceCycle:
    """Give a :func:`skeleton` the weights of ``state``: all of its names, in its shapes.

    The tensors are taken over, not copied, if they are float32. The model comes back in ``eval``
    mode with gradients off.
    """
    model.load_state_dict({name: t.detach().float() for name, t in state.items()}, assign=True)
    model.set_constants()
    return model.eval().requires_grad_(False)
