"""Real faces for the tests of this floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image, ImageSequence

from facecycle_cli.faces import Face
from facecycle_cli.faces.mesh_backend import MeshBackend

# How long an example takes says how busy the machine is, not whether it is right.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def backend() -> MeshBackend:
    return MeshBackend(threads=1)


@pytest.fixture(scope="session")
def portraits(examples: Path) -> list[np.ndarray]:
    """The twelve example portraits, half size: (337, 337, 3) or so."""
    files = sorted((examples / "faces").glob("*.jpg"))
    assert len(files) == 12
    return [np.asarray(Image.open(file).convert("RGB").reduce(2)) for file in files]


@pytest.fixture(scope="session")
def faces(backend: MeshBackend, portraits: list[np.ndarray]) -> list[Face]:
    """The face of each portrait."""
    found = backend.detect(portraits)
    assert [len(f) for f in found] == [1] * len(portraits)
    return [f[0] for f in found]


@pytest.fixture(scope="session")
def turning(examples: Path) -> list[np.ndarray]:
    """Every second frame of the animation of a woman who turns her head."""
    with Image.open(examples / "head_turn.gif") as animation:
        frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(animation)]
    return frames[::2]


@pytest.fixture(scope="session")
def turning_faces(backend: MeshBackend, turning: list[np.ndarray]) -> list[Face]:
    found = backend.detect(turning)
    assert all(len(f) == 1 for f in found)
    return [f[0] for f in found]
