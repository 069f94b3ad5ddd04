"""The shipped model, the shipped faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.faces import Face, FaceBackend, load_backend
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
def photograph(examples: Path) -> np.ndarray:
    """A photograph of a neutral person with the eyes open."""
    return read_image(examples / "faces" / "person2_neutral.jpg")


@pytest.fixture(scope="session")
def face(backend: FaceBackend, photograph: np.ndarray) -> Face:
    """The face in it."""
    return backend.detect([photograph])[0][0]


@pytest.fixture(scope="session")
def couple(smiling: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """Two people beside each other."""
    height = min(len(smiling), len(photograph))
    return np.concatenate((smiling[:height], photograph[:height]), axis=1)
