"""Checkpoints come back as they were; everything else is refused in one clear line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from facecycle_cli import weights
from facecycle_cli.errors import CheckpointError
from facecycle_cli.model import FaceCycle, checkpoint, load, preset, read_info, save_checkpoint
from facecycle_cli.model.checkpoint import FORMAT_VERSION, HEADER_KEY
from tests.training.conftest import TINY

METADATA = {"stage": "identity", "steps": 1000, "metrics": {"lfw": 0.75}, "license": "none"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FaceCycle(TINY)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_checkpoint(path, model, METADATA)
    return path


@pytest.fixture
def rewrite(saved, tmp_path):
    """The saved file with other metadata (a function of the old) or other weights."""

    def write(change=lambda header: header, weights=lambda state: state):
        info = read_info(saved)
        header = {**info.metadata, "format_version": FORMAT_VERSION,
                  "config": info.config.to_dict()}  # fmt: skip
        header = change(header)
        text = header if isinstance(header, str) else json.dumps(header)
        path = tmp_path / "changed.safetensors"
        save_file(weights(load_file(saved)), path, metadata={HEADER_KEY: text})
        return path

    return write


def refused(path, *, reads_header=True):
    """The one line that loading says; reading the header says the same."""
    messages = []
    for read in (load, read_info) if reads_header else (load,):
        with pytest.raises(CheckpointError) as error:
            read(path)
        messages.append(str(error.value))
    assert len(set(messages)) == 1
    assert messages[0]
    assert "\n" not in messages[0]
    assert str(path) not in messages[0], "the command says the name"
    return messages[0]


# -- round trip ------------------------------------------------------------------------------------


def test_round_trip(model, saved):
    loaded = load(saved)
    assert loaded.config == model.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.encode_expression(x), model.eval().encode_expression(x))
    assert torch.equal(loaded.to_unit(x), model.to_unit(x))


@pytest.mark.parametrize(("name", "size"), [("paper", 128), ("small", 64)])
def test_configuration_survives(tmp_path, name, size):
    save_checkpoint(tmp_path / "model", FaceCycle(preset(name, size)), {})
    assert load(tmp_path / "model").config == preset(name, size)


def test_what_a_checkpoint_says(saved):
    info = read_info(saved)
    assert info.metadata == METADATA
    assert info.path == saved
    assert info.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert load(saved).checkpoint == info


def test_half_precision_file_loads_as_float32(model, saved, tmp_path):
    save_checkpoint(tmp_path / "half", model, {}, dtype=torch.float16)
    weights = sum(tensor.numel() for tensor in model.state_dict().values())
    assert (tmp_path / "half").stat().st_size < saved.stat().st_size - 1.9 * weights
    loaded = load(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)


def test_metadata_cannot_contradict_the_weights(model, tmp_path):
    save_checkpoint(tmp_path / "a", model, {"config": {"preset": "paper"}, "format_version": 99})
    assert load(tmp_path / "a").config == model.config


def test_same_model_same_bytes(model, saved, tmp_path):
    save_checkpoint(tmp_path / "again", model, METADATA)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_weights_do_not_change_with_the_file(saved, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(saved.read_bytes())
    loaded = load(path)
    before = loaded.identity_encoder.code[2].weight.clone()
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(loaded.identity_encoder.code[2].weight, before)


def test_loading_imports_no_compiler(saved):
    """Weights are not initialized to be replaced: torch would import its decompositions for it."""
    code = (
        "import sys, torch\n"
        "from facecycle_cli.model import load\n"
        "before = set(sys.modules)\n"
        f"load({str(saved)!r})\n"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) < 20, done.stdout
    assert "torch._refs" not in done.stdout


# -- names -----------------------------------------------------------------------------------------


def test_embedded_checkpoint_by_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr("facecycle_cli.weights.resources.files", lambda _: tmp_path)
    with pytest.raises(CheckpointError, match="lacks the embedded checkpoint small"):
        load()
    save_checkpoint(tmp_path / "small.safetensors", model, {})
    assert load().checkpoint.path == tmp_path / "small.safetensors"
    assert load("small").config == model.config


@pytest.mark.parametrize("name", ["large", "nowhere/small.safetensors", ""])
def test_unknown_name(name):
    assert repr(name) in refused_name(name)


def test_folder_is_no_checkpoint(tmp_path):
    assert "neither a file" in refused_name(tmp_path)


def refused_name(name):
    with pytest.raises(CheckpointError) as error:
        load(name)
    return str(error.value)


# -- files that are refused ------------------------------------------------------------------------


def test_empty_file(tmp_path):
    (tmp_path / "a").touch()
    assert refused(tmp_path / "a") == "not a facecycle checkpoint: the file is empty"


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.5, 0.9999])
def test_truncated(saved, tmp_path, share):
    content = saved.read_bytes()
    (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refused(tmp_path / "a")


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" * 9, b"short", b"{}" * 50, (2).to_bytes(8, "little") + b"[]",
     (10**8).to_bytes(8, "little") + b"{", b"\xff" * 64,
     (20000).to_bytes(8, "little") + b"[" * 20000],
)  # fmt: skip
def test_foreign_file(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert refused(tmp_path / "a").startswith("not a facecycle checkpoint")


def test_pickle_is_refused_with_advice(tmp_path):
    torch.save({"codegeneration": {}}, tmp_path / "finalmodel.tar")
    assert "facecycle checkpoint convert" in refused(tmp_path / "finalmodel.tar")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_foreign_safetensors(tmp_path, metadata):
    save_file({"weight": torch.zeros(3)}, tmp_path / "a", metadata=metadata)
    message = "a safetensors file, but not a facecycle checkpoint (no metadata)"
    assert refused(tmp_path / "a") == message


def test_newer_format(rewrite):
    path = rewrite(lambda header: {**header, "format_version": FORMAT_VERSION + 1})
    assert "upgrade facecycle" in refused(path)


def nested(depth):
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "change",
    [
        lambda header: "no JSON",
        lambda header: "[1, 2]",
        lambda header: "[" * 20000,
        lambda header: {k: v for k, v in header.items() if k != "format_version"},
        lambda header: {**header, "format_version": "new"},
        lambda header: {k: v for k, v in header.items() if k != "config"},
        lambda header: {**header, "config": None},
        lambda header: {**header, "config": [1, 2]},
        lambda header: {**header, "config": {**header["config"], "color": 1}},
        lambda header: {
            **header,
            "config": {**header["config"], "expression_decoder_blocks": 10**9},
        },
        lambda header: {**header, "config": {**header["config"], "image_size": "64"}},
        lambda header: {**header, "config": {**header["config"], "preset": [1]}},
        lambda header: {**header, "format_version": float("nan")},
        lambda header: {**header, "format_version": 0},
        lambda header: {**header, "format_version": 1.5},
        lambda header: {**header, "steps": float("nan")},
        lambda header: {**header, "metrics": {"a": [1, {"b": float("-inf")}]}},
        lambda header: json.dumps(header).replace('"steps": 1000', '"steps": 1e999'),
        lambda header: {**header, "data": nested(33)},
        *(
            lambda header, entry=entry: {**header, "verification": entry}
            for entry in (
                [1], "no", {"threshold": None}, {"threshold": True}, {"threshold": 1.01},
                {"threshold": "0.3"}, {"threshold": 0.3, "far": 2}, {"tar": -1},
                {"thresholds": [1]}, {"thresholds": {"x": 0.5}}, {"thresholds": {"0.1": None}},
                {"thresholds": {"nan": 0.5}}, {"thresholds": {"0.1": 1.5}},
            )
        ),
    ],
)  # fmt: skip
def test_damaged_metadata(rewrite, change):
    assert refused(rewrite(change)).startswith("damaged checkpoint metadata: ")


NAME = "identity_decoder.mlp_de.beta.bias"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda state: {k: t for k, t in state.items() if k != NAME}, f"{NAME} is missing"),
        (lambda state: {**state, "extra": torch.zeros(1)}, "extra is unknown"),
        (lambda state: {**state, NAME: torch.zeros(7)}, f"{NAME} is (7,), not (8,)"),
    ],
)
def test_weights_that_do_not_fit(rewrite, weights, message):
    path = rewrite(weights=weights)
    found = refused(path, reads_header=False)
    assert found == f"weights do not fit the configuration: {message}"
    assert read_info(path).config == TINY


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_weight_that_is_not_finite(rewrite, value):
    def spoil(state):
        tensor = state[NAME].clone()
        tensor.view(-1)[3] = value
        return {**state, NAME: tensor}

    path = rewrite(weights=spoil)
    assert refused(path, reads_header=False) == f"{NAME} holds values that are not finite"


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.uint8])
def test_weights_that_are_no_floating_point_numbers(rewrite, dtype):
    path = rewrite(weights=lambda state: {**state, NAME: state[NAME].to(dtype)})
    found = refused(path, reads_header=False)
    assert found == f"{NAME} is not a tensor of floating point numbers"


def test_numbers_that_float32_does_not_hold(rewrite):
    """Large ones are fine, also where their sum is not."""
    large = rewrite(weights=lambda s: {**s, NAME: torch.full_like(s[NAME], 3e38)})
    assert load(large).state_dict()[NAME].max() > 2e38
    double = rewrite(weights=lambda s: {**s, NAME: s[NAME].double() + 1e39})
    assert refused(double, reads_header=False) == f"{NAME} holds values that are not finite"


def test_weights_of_format_1_that_are_not_finite(tmp_path):
    embedded = weights.path("small.safetensors")
    with safe_open(embedded, "pt") as file:
        header = file.metadata()
    assert json.loads(header[HEADER_KEY])["format_version"] == 1
    state = load_file(embedded)
    state["generator.to_rgb.bias"][0] = float("nan")
    save_file(state, tmp_path / "old.safetensors", metadata=header)
    found = refused(tmp_path / "old.safetensors", reads_header=False)
    assert found == "expression_decoder.to_rgb.bias holds values that are not finite"


@pytest.mark.parametrize("size", [10**7, 2**62])
def test_a_header_that_is_too_large_is_not_read(tmp_path, size):
    (tmp_path / "a").write_bytes(size.to_bytes(8, "little") + b"{" + b" " * 20)
    assert refused(tmp_path / "a").startswith("not a facecycle checkpoint")


def test_a_file_that_is_too_large_is_not_read(saved, tmp_path, monkeypatch):
    """A sparse file takes no room on a disk, and all of it in memory."""
    path = tmp_path / "large.safetensors"
    path.write_bytes(saved.read_bytes())
    os.truncate(path, checkpoint.MAX_FILE_BYTES + 1)
    assert "are more than any weights take" in refused(path)


def test_another_configuration_than_the_weights(rewrite):
    path = rewrite(lambda header: {**header, "config": preset("paper").to_dict()})
    assert "weights do not fit the configuration" in refused(path, reads_header=False)


def test_unreadable_file(saved, monkeypatch):
    def deny(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint.Path, "open", deny)
    assert refused(saved) == "cannot read the checkpoint: Permission denied"
