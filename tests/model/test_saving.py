"""A save that fails leaves what was there; what could not be loaded is not saved."""

from __future__ import annotations

import errno

import pytest
import torch

from facecycle_cli.errors import CheckpointError
from facecycle_cli.model import FaceCycle, checkpoint, load, preset, save_checkpoint

METADATA = {"stage": "identity", "steps": 1000, "metrics": {"lfw": 0.75}, "license": "none"}
NAME = "identity_decoder.mlp_de.beta.bias"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FaceCycle(preset("small"))


@pytest.fixture
def precious(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"precious")
    return path


def assert_untouched(precious):
    assert precious.read_bytes() == b"precious"
    assert list(precious.parent.iterdir()) == [precious], "nothing else is left behind"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_save_that_breaks_off_leaves_the_old_file(model, precious, monkeypatch, error):
    def half_of_it(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise error

    monkeypatch.setattr(checkpoint.Path, "write_bytes", half_of_it)
    with pytest.raises(type(error)):
        save_checkpoint(precious, model, METADATA)
    assert_untouched(precious)


@pytest.mark.parametrize(
    ("number", "dtype"), [(float("nan"), torch.float32), (1e30, torch.float16)]
)
def test_weights_that_could_not_be_loaded_are_not_saved(precious, number, dtype):
    broken = FaceCycle(preset("small"))
    with torch.no_grad():
        broken.get_parameter(NAME).fill_(number)
    with pytest.raises(CheckpointError, match=f"{NAME} holds values that are not finite"):
        save_checkpoint(precious, broken, METADATA, dtype=dtype)
    assert_untouched(precious)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [({"metrics": {"loss": float("nan")}}, "metrics.loss is nan"),
     ({"note": "x" * 2_000_001}, "bytes of metadata are too many")],
)  # fmt: skip
def test_metadata_that_could_not_be_read_is_not_saved(model, precious, metadata, message):
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(precious, model, metadata)
    assert_untouched(precious)


def test_metadata_that_is_no_json_leaves_the_old_file(model, precious):
    with pytest.raises(TypeError):
        save_checkpoint(precious, model, {"data": object()})
    assert_untouched(precious)


def test_save_replaces_the_old_file(model, precious):
    save_checkpoint(precious, model, METADATA)
    assert load(precious).config == model.config
    assert list(precious.parent.iterdir()) == [precious]


def test_saved_file_can_be_read_by_others(model, tmp_path):
    save_checkpoint(tmp_path / "a", model, {})
    (tmp_path / "plain").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
