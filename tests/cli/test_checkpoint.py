"""facecycle checkpoint, as it is typed."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest
import torch

from facecycle_cli.model import FaceCycle, load, preset, save_checkpoint
from tests.cli.call import call
from tests.model import authors

METADATA = {
    "stage": "identity",
    "steps": 1200,
    "data": ["UTKFace", "GRID"],
    "metrics": {"lfw": {"accuracy": 0.7125}},
    "license": "non-commercial research",
}


@pytest.fixture
def facecycle(monkeypatch, tmp_path):
    """The command in this process, in ``tmp_path``; gives code, out (text) and err (lines)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACECYCLE_CHECKPOINT", raising=False)

    def run(*arguments):
        done = call("checkpoint", *map(str, arguments))
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr.splitlines())

    return run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_checkpoint(path, FaceCycle(preset("small")), METADATA)
    return path


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("authors") / "finalmodel.tar"
    torch.save(authors.hollow_networks(), path)
    return path


# -- info ------------------------------------------------------------------------------------------


def test_info_for_people(facecycle, saved):
    done = facecycle("info", saved)
    assert (done.code, done.err) == (0, [])
    for fact in (
        str(saved),
        load(saved).checkpoint.sha256,
        "small, 64x64",
        "UTKFace, GRID",
        "lfw accuracy 0.7125",
        "non-commercial research",
        "1,260,736",
        "D_id identity decoder",
    ):
        assert fact in done.out


def test_info_says_what_was_not_recorded(facecycle, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", FaceCycle(preset("small")), {"metrics": {}})
    assert "metrics  none recorded" in facecycle("info", "a.safetensors").out


def test_info_as_json(facecycle, saved):
    done = facecycle("info", saved, "--json")
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert found["input"] == found["path"] == str(saved)
    assert found["status"] == "done"
    assert found["metadata"] == METADATA
    assert found["config"]["preset"] == "small"
    sizes = {network["name"]: network["parameters"] for network in found["networks"]}
    assert found["parameters"] == sum(sizes.values())
    assert sizes["flow_decoder"] == 786_000
    assert all(network["multiply_adds"] > 1e6 for network in found["networks"])


def test_info_takes_the_checkpoint_of_the_environment(facecycle, saved, monkeypatch):
    monkeypatch.setenv("FACECYCLE_CHECKPOINT", str(saved))
    assert str(saved) in facecycle("info").out


def test_info_takes_a_checkpoint_of_the_environment_with_a_space_in_its_name(
    facecycle, saved, tmp_path, monkeypatch
):
    named = tmp_path / "my model.safetensors"
    named.write_bytes(saved.read_bytes())
    monkeypatch.setenv("FACECYCLE_CHECKPOINT", str(named))
    done = facecycle("info", "--json")
    (line,) = done.out.splitlines()
    assert (done.code, json.loads(line)["path"]) == (0, str(named))


def test_info_prefers_what_is_named_to_the_environment(facecycle, saved, monkeypatch):
    monkeypatch.setenv("FACECYCLE_CHECKPOINT", "gone.safetensors")
    assert facecycle("info", saved).code == 0
    assert facecycle("info").code == 1
    monkeypatch.setenv("FACECYCLE_CHECKPOINT", "")
    assert "small.safetensors" in facecycle("info").out


def test_info_of_several_goes_on_after_a_failure(facecycle, saved, tmp_path):
    (tmp_path / "broken").write_bytes(b"broken")
    done = facecycle("info", "broken", saved, "--json")
    assert done.code == 1
    assert [json.loads(line)["status"] for line in done.out.splitlines()] == ["failed", "done"]
    assert done.err[0].startswith("facecycle: broken: not a facecycle checkpoint: ")


# -- convert ---------------------------------------------------------------------------------------


def test_convert(facecycle, theirs, tmp_path):
    done = facecycle("convert", theirs, "new/paper.safetensors")
    assert (done.code, done.out, done.err) == (0, "new/paper.safetensors\n", [])
    assert load(tmp_path / "new" / "paper.safetensors").config.preset == "paper"


def test_convert_beside_its_input_and_only_once(facecycle, theirs, tmp_path):
    os.link(theirs, tmp_path / "finalmodel.tar")
    assert facecycle("convert", "finalmodel.tar").out == "finalmodel.safetensors\n"
    (tmp_path / "finalmodel.safetensors").write_bytes(b"mine")
    done = facecycle("convert", "finalmodel.tar")
    assert (done.code, done.out) == (0, "")
    assert "finalmodel.safetensors exists (--overwrite to replace it)" in done.err[0]
    assert (tmp_path / "finalmodel.safetensors").read_bytes() == b"mine"
    assert facecycle("convert", "finalmodel.tar", "--overwrite", "--quiet").err == []
    assert load(tmp_path / "finalmodel.safetensors").config.preset == "paper"


class Payload:
    def __reduce__(self):
        return os.mkdir, ("mark",)


def test_convert_says_in_one_line_what_is_refused(facecycle, tmp_path):
    torch.save({"codegeneration": Payload()}, tmp_path / "evil.tar")
    done = facecycle("convert", "evil.tar")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err
    assert line.startswith("facecycle: evil.tar: refused: the file is not plain weights")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar"]


def test_convert_a_file_that_is_not_there(facecycle):
    done = facecycle("convert", "none.tar")
    assert done.code == 1
    assert done.err == ["facecycle: none.tar: No such file or directory"]


# -- export ----------------------------------------------------------------------------------------


def test_export_asks_where_to(facecycle):
    done = facecycle("export")
    assert done.code == 2
    assert any("--onnx" in line for line in done.err)


def test_export_names_a_wrong_checkpoint(facecycle):
    done = facecycle("export", "--onnx", "out", "-c", "nothing.safetensors")
    assert done.code == 1
    assert len(done.err) == 1
    assert "no checkpoint 'nothing.safetensors'" in done.err[0]


def test_export_keeps_what_is_there_and_reports_each_failure(
    facecycle, saved, tmp_path, monkeypatch
):
    """Without the extra; exporting itself is tested with the model."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "expression_decoder.onnx").write_bytes(b"mine")
    done = facecycle("export", "--onnx", "out", "-c", saved)
    assert done.code == 1
    assert sum("pip install 'facecycle[onnx]'" in line for line in done.err) == 4
    assert sum("out/expression_decoder.onnx exists" in line for line in done.err) == 1
    assert (tmp_path / "out" / "expression_decoder.onnx").read_bytes() == b"mine"


def test_export_checks_on_a_face(facecycle, saved, tmp_path, examples, monkeypatch):
    from facecycle_cli.model import onnx as export

    seen = []

    def note(model, name, path, faces):
        seen.append((name, model.seed, faces.shape))
        return export.ExportedNetwork(name, path, ("x",), ("image",), 2.5e-7)

    monkeypatch.setattr(export, "export_onnx", note)
    face = examples / "faces" / "person1_neutral.jpg"
    done = facecycle("export", "--onnx", "out", "-c", saved, "--face", face, "--seed", "3")
    assert done.code == 0
    assert seen == [(name, 3, (1, 3, 64, 64)) for name in export.NETWORKS]
    assert (
        "out/expression_decoder.onnx: x -> image; within 2.5e-07 of torch" in done.out.splitlines()
    )


def test_export_needs_a_face_in_the_picture(facecycle, saved, tmp_path):
    from PIL import Image

    Image.new("RGB", (200, 200), "white").save(tmp_path / "blank.png")
    done = facecycle("export", "--onnx", "out", "-c", saved, "--face", "blank.png")
    assert done.code == 1
    assert done.err == ["facecycle: --face blank.png: no face found"]
