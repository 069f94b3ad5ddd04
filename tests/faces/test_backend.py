"""What every backend offers, and what is said when its networks cannot be opened."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli import weights
from facecycle_cli.errors import FaceError
from facecycle_cli.faces import BACKENDS, FaceBackend, load_backend


@pytest.fixture
def no_weights(monkeypatch, tmp_path) -> Path:
    """An empty folder in place of the one with the shipped networks."""
    monkeypatch.setattr(weights, "path", lambda name: tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_has_all_that_is_called_on_it(name):
    backend = load_backend(name, threads=1)
    assert backend.name == name
    for method in ("prepare", "detect", "follow"):
        ours = inspect.signature(getattr(type(backend), method))
        wanted = inspect.signature(getattr(FaceBackend, method))
        assert list(ours.parameters) == list(wanted.parameters)


def test_an_unknown_backend():
    with pytest.raises(FaceError, match="no face backend named 'ruler'"):
        load_backend("ruler")


def test_a_network_that_is_missing(no_weights):
    backend = load_backend(threads=1)
    with pytest.raises(FaceError, match=r"face_detection_yunet.*No such file"):
        backend.prepare()
    with pytest.raises(FaceError, match=r"face_detection_yunet.*No such file"):
        backend.detect([np.zeros((40, 40, 3), np.uint8)])


def test_a_network_that_is_damaged(no_weights):
    for name in ("face_detection_yunet_2023mar_dynamic.onnx", "face_mesh_468.onnx"):
        (no_weights / name).write_bytes(b"no network")
    with pytest.raises(FaceError, match="is damaged"):
        load_backend(threads=1).prepare()
