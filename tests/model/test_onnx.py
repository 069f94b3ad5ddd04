"""The exported networks compute, in onnxruntime, what torch computes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from facecycle_cli.errors import ExportError, MissingExtraError
from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.model import onnx as export
from facecycle_cli.model.onnx import NETWORKS, TOLERANCE, export_onnx
from tests.conftest import ROOT

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxscript", reason="needs the extra onnx")

pytestmark = pytest.mark.slow


def build(config):
    torch.manual_seed(0)
    model = FaceCycle(config).eval().requires_grad_(False)
    model.flow_decoder.to_flow.weight.normal_(0, 0.05)  # flows that move faces, but do not fold
    return model


@pytest.fixture(scope="module")
def small():
    """The small preset with fewer of its equal blocks: tracing takes its time."""
    return build(replace(preset("small"), expression_decoder_blocks=1, identity_decoder_blocks=1))


@pytest.fixture(scope="module")
def papers_kind():
    """Every kind of layer that only the paper's preset has, in smaller numbers."""
    return build(
        replace(
            preset("paper"),
            encoder_widths=(8, 8, 8, 8),
            encoder_hidden=8,
            flow_decoder_widths=(8, 8, 8),
            expression_decoder_blocks=1,
            identity_decoder_blocks=1,
        )
    )


@pytest.fixture(scope="module")
def crops(examples):
    """Three real faces, aligned: (3, 64, 64, 3) uint8."""
    pictures = [read_image(examples / "faces" / f"person{i}_smiling.jpg") for i in (1, 2, 3)]
    found = load_backend().detect(pictures)
    aligned = zip(pictures, found, strict=True)
    return np.stack([Alignment.from_face(f[0], 64).crop(picture) for picture, f in aligned])


@pytest.fixture(scope="module")
def exported(small, crops, tmp_path_factory):
    """{name: what `export_onnx` said} of all networks of ``small``."""
    folder = tmp_path_factory.mktemp("onnx")
    faces = small.to_input(crops[:2])
    return {name: export_onnx(small, name, folder / f"{name}.onnx", faces) for name in NETWORKS}


def run(path, **inputs):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


def assert_same(found, expected):
    assert expected.std() > 1e-3, "the comparison is void"
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_all_networks_are_written_and_were_compared(exported):
    assert set(exported) == {"expression_encoder", "flow_decoder", "expression_decoder",
                             "identity_encoder", "identity_decoder"}  # fmt: skip
    for name, network in exported.items():
        assert network.path.name == f"{name}.onnx"
        assert 0 <= network.difference <= TOLERANCE
    folder = exported["expression_decoder"].path.parent
    assert sorted(p.stem for p in folder.iterdir()) == sorted(exported), "nothing else is left"


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("kind", ["random", "real"])
def test_same_as_torch_for_any_number_of_faces(small, crops, exported, n, kind):
    if kind == "real":
        x = small.to_input(np.resize(crops, (n, 64, 64, 3)))
    else:
        x = torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(9)) * 4 - 2
    paths = {name: network.path for name, network in exported.items()}
    codes = small.encode(x)
    flows = small.decode_flow(codes.expression_code)
    assert_same(run(paths["expression_encoder"], x=x)[0], codes.expression_code)
    assert_same(run(paths["identity_encoder"], x=x)[0], codes.identity_code)
    found = run(paths["flow_decoder"], expression_code=codes.expression_code)
    assert_same(found[0], flows.flow)
    assert_same(found[1], flows.backflow)
    neutral = small.de_express(x, flows.flow)
    assert_same(run(paths["expression_decoder"], x=x, flow=flows.flow)[0], neutral)
    for restore, method in ((False, small.de_identify), (True, small.re_identify)):
        found = run(
            paths["identity_decoder"], x=x, identity_code=codes.identity_code, restore=restore
        )
        assert_same(found[0], method(x, codes.identity_code))


def test_the_papers_layers_export_as_well(papers_kind, crops, tmp_path):
    x = papers_kind.to_input(crops)
    path = export_onnx(papers_kind, "expression_decoder", tmp_path / "net.onnx", x[:1]).path
    flow = papers_kind.decode_flow(papers_kind.encode_expression(x)).flow * 3
    assert_same(run(path, x=x, flow=flow)[0], papers_kind.de_express(x, flow))


def test_files_are_plain_onnx_and_say_what_they_are(exported):
    for name, network in exported.items():
        proto = onnx.load(network.path)
        onnx.checker.check_model(proto, full_check=True)
        assert {entry.domain: entry.version for entry in proto.opset_import} == {"": 18}
        assert [value.name for value in proto.graph.input] == list(network.inputs)
        assert [value.name for value in proto.graph.output] == list(network.outputs)
        for value in (*proto.graph.input, *proto.graph.output):
            if value.name != "restore":
                assert value.type.tensor_type.shape.dim[0].dim_param
        properties = {entry.key: entry.value for entry in proto.metadata_props}
        assert properties["network"] == name
        assert json.loads(properties["image_size"]) == 64
        assert json.loads(properties["mean"]) == [0.485, 0.456, 0.406]


def test_files_tell_nothing_of_this_machine(exported):
    for network in exported.values():
        content = network.path.read_bytes()
        for trace in (str(ROOT), "site-packages", "facecycle_cli", "stack_trace"):
            assert trace.encode() not in content


def test_a_file_that_computes_something_else_is_not_written(small, exported, tmp_path, monkeypatch):
    other = onnx.load(exported["identity_encoder"].path)
    monkeypatch.setattr(export, "_to_proto", lambda *_: other)
    with pytest.raises(ExportError, match="onnxruntime differs from torch by"):
        export_onnx(small, "expression_encoder", tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_the_extra(small, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"{missing}: pip install 'facecycle\[onnx\]'"):
        export_onnx(small, "flow_decoder", tmp_path / "net.onnx")


# -- the example -----------------------------------------------------------------------------------

EXAMPLE = ROOT / "examples" / "onnx_neutralize.py"


@pytest.fixture(scope="module")
def neutral(small, crops):
    x = small.to_input(crops)
    flow = small.decode_flow(small.encode_expression(x)).flow
    return small.to_image(small.de_express(x, flow)).numpy()


def assert_same_picture(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1, "more than rounding"


def test_example_needs_nothing_but_onnxruntime_and_numpy(exported, crops, neutral, tmp_path):
    np.save(tmp_path / "crops.npy", crops)
    code = f"""
import sys
for name in ("torch", "PIL", "cv2", "onnx", "facecycle_cli"):
    sys.modules[name] = None
sys.path.insert(0, {str(EXAMPLE.parent)!r})
import numpy as np
from onnx_neutralize import neutralize
folder = {str(exported["expression_decoder"].path.parent)!r}
np.save("neutral.npy", neutralize(folder, np.load("crops.npy")))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert_same_picture(np.load(tmp_path / "neutral.npy"), neutral)


def test_snippet_of_the_documentation(exported, crops, neutral, tmp_path):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text("utf-8"), re.DOTALL
    )
    (snippet,) = (block for block in blocks if "onnxruntime" in block)
    (tmp_path / "onnx").symlink_to(exported["expression_decoder"].path.parent)
    np.save(tmp_path / "crops.npy", crops)
    code = f"""
import sys
for name in ("torch", "PIL", "cv2", "onnx", "facecycle_cli"):
    sys.modules[name] = None
import numpy as np
crops = np.load("crops.npy")
{snippet}
np.save("neutral.npy", neutral)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert_same_picture(np.load(tmp_path / "neutral.npy"), neutral)


def test_example_as_a_script(exported, crops, neutral, tmp_path):
    Image.fromarray(crops[0]).save(tmp_path / "crop.png")
    folder = exported["expression_decoder"].path.parent
    arguments = [str(folder), "crop.png", "neutral.png"]
    subprocess.run([sys.executable, str(EXAMPLE), *arguments], check=True, cwd=tmp_path)
    assert_same_picture(np.array(Image.open(tmp_path / "neutral.png")), neutral[0])
