"""The shipped model, the shipped faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle, load


@pytest.fixture(scope="session")
def model() -> FaceCycle:
    """The embedded checkpoint."""
    return load()


@pytest.fixture(scope="session")
def backend() -> FaceBackend:
    """The default backend."""
    return load_backend()


@pytest.fixture(scope="session")
def smiling(examples: Path) -> np.ndarray:
    """A photograph of one smiling person."""
    return read_image(examples / "faces" / "person1_smiling.jpg")


@pytest.fixture(scope="session")
def couple(smiling: np.ndarray, examples: Path) -> np.ndarray:
    """Two people beside each other."""
    other = read_image(examples / "faces" / "person2_neutral.jpg")
    height = min(len(smiling), len(other))
    return np.concatenate((smiling[:height], other[:height]), axis=1)
