"""Checkpoints that facecycle 0.1 wrote: two small ones, and the embedded one.

``data/format1_*_outputs.safetensors`` holds what facecycle 0.1 computed from them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from facecycle_cli.errors import CheckpointError
from facecycle_cli.model import FaceCycle, load, preset, read_info, save_checkpoint
from facecycle_cli.model.checkpoint import annotate
from facecycle_cli.model.format1 import upgrade_config

DATA = Path(__file__).parent / "data"
KINDS = ("small", "paper")


def outputs(model: FaceCycle) -> dict[str, torch.Tensor]:
    source = torch.Generator().manual_seed(5)

    def faces(side: int) -> torch.Tensor:
        pixels = torch.randint(0, 256, (2, side, side, 3), generator=source, dtype=torch.uint8)
        return model.to_input(pixels, side)

    x, compared = faces(64), faces(model.verifier.side)
    codes = model.encode(x)
    flows = model.decode_flow(codes.expression_code)
    neutral = model.de_express(x, flows.flow)
    mean = model.de_identify(neutral, codes.identity_code)
    pictures = {
        "neutral": neutral,
        "rebuilt": model.re_express(neutral, flows.backflow),
        "mean": mean,
        "restored": model.re_identify(mean, codes.identity_code),
    }
    return {
        **codes._asdict(),
        **flows._asdict(),
        **{name: picture[..., ::8, ::8] for name, picture in pictures.items()},
        "embedding": model.embed_identity(compared),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_computes_what_it_computed(kind):
    found = outputs(load(DATA / f"format1_{kind}.safetensors"))
    expected = load_file(DATA / f"format1_{kind}_outputs.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # Equal to the bit with one thread of the processor that computed them. Others add in other
        # orders, and the instance norms of the mean face, nearly constant here, magnify that.
        loose = 1e-2 if name == "restored" else 1e-5
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=loose, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_written_again_it_is_of_todays_format_and_the_same(kind, tmp_path):
    old = load(DATA / f"format1_{kind}.safetensors")
    assert old.checkpoint.metadata["license"] == "MIT"
    save_checkpoint(tmp_path / "new.safetensors", old, old.checkpoint.metadata)
    new = load(tmp_path / "new.safetensors")
    assert (new.config, new.checkpoint.metadata) == (old.config, old.checkpoint.metadata)
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor), name
    with safe_open(tmp_path / "new.safetensors", framework="pt") as file:
        assert '"format_version": 2' in file.metadata()["facecycle"]
        assert not any(name.startswith(("generator", "normaliser")) for name in file.keys())  # noqa: SIM118


def test_a_threshold_is_added_to_an_old_file(tmp_path):
    old = load(DATA / "format1_small.safetensors")
    annotate(old.checkpoint, tmp_path / "new.safetensors", {"verification": {"threshold": 0.5}})
    new = load(tmp_path / "new.safetensors")
    assert new.checkpoint.metadata["verification"] == {"threshold": 0.5}
    assert new.checkpoint.metadata["license"] == "MIT"
    torch.testing.assert_close(outputs(new), outputs(old), rtol=0, atol=0)


def test_the_embedded_checkpoint_is_read():
    info = read_info("small")
    assert info.config == preset("small")
    assert "license" in info.metadata
    assert load().verifier.matrix.abs().sum() > 0


def test_what_the_old_format_did_not_know_is_refused():
    assert upgrade_config({"preset": "paper", "color": 1}) == {"preset": "paper", "color": 1}
    assert upgrade_config({"trunk": "learned"}) == {"extensions": {"trunk": "learned"}}


def test_todays_names_in_an_old_file_are_refused(tmp_path):
    """A file must not say format 1 and use the names of format 2 in part."""
    tensors = load_file(DATA / "format1_small.safetensors")
    with safe_open(DATA / "format1_small.safetensors", framework="pt") as file:
        header = file.metadata()
    tensors["expression_decoder.reduce.weight"] = tensors.pop("generator.reduce.bias")
    save_file(tensors, tmp_path / "mixed.safetensors", header)
    with pytest.raises(CheckpointError, match="weights do not fit"):
        load(tmp_path / "mixed.safetensors")
