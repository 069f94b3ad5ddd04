"""The moving average of the weights: what is saved to be used, and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of parameters.

    Args:
        parameters: what is averaged, by name.
        decay: share of the old average at each update; 0 for no average at all.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.values: dict[str, Tensor] = {}
        if decay:
            self.values = {n: p.detach().clone() for n, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after ``step`` steps in.

        The early average follows quickly: a fixed decay would remember the random start.
        """
        if self.decay:
            decay = min(self.decay, (1 + step) / (10 + step))
            new = [p.detach() for p in self.parameters.values()]
            torch._foreach_lerp_(list(self.values.values()), new, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has its averaged weights inside, and the trained ones again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, average in self.values.items():
            parameter = self.parameters[name]
            parameter.data, average.data = average.data, parameter.data
