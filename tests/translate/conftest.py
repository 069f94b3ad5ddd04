"""A picture for the tests of targets and stages."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """(120, 140, 3): smooth, so that resampling loses nothing, and different everywhere."""
    y, x = np.mgrid[0:120, 0:140]
    waves = [np.sin(x / 9 + c) + np.cos(y / 7 - c) for c in range(3)]
    return (128 + 50 * np.stack(waves, axis=-1)).astype(np.uint8)
