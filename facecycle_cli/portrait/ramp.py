"""One smooth step, where something sets in or ends and no edge may be seen."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from torch import Tensor

Values = TypeVar("Values", Tensor, np.ndarray)


def ramp(values: Values, low: Any, high: Any) -> Values:
    """0 up to ``low``, 1 from ``high`` on, smooth in between (Hermite's cubic).

    ``low`` and ``high`` are numbers, or as many as there are values.
    """
    t = ((values - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)
