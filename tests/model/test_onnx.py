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
from torch import nn

from facecycle_cli.errors import ExportError, MissingExtraError
from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.model import onnx as export
from facecycle_cli.model.networks import ResidualBlock
from facecycle_cli.model.onnx import NETWORKS, TOLERANCE, export_onnx
from tests.conftest import ROOT

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxscript", reason="needs the extra onnx")

pytestmark = pytest.mark.slow


def build(config):
    torch.manual_seed(0)
    model = FaceCycle(config).eval().requires_grad_(False)
    model.flow_decoder.to_flow.weight.normal_(0, 0.05)  # flows that move faces, but do not fold
    for network in (model.expression_encoder, model.identity_encoder, model.flow_decoder):
        for part in network.children():
            if isinstance(part, nn.Sequential):
                leave_out_repetitions(part)
    return model


def leave_out_repetitions(layers):
    """Keep one of the layers that are equal but for their weights: tracing takes its time."""
    kinds = set()
    for number, layer in enumerate(layers):
        keeps_size = isinstance(layer, ResidualBlock) or getattr(layer, "stride", 0) == (1, 1)
        if keeps_size and str(layer) in kinds:
            layers[number] = nn.Identity()
        kinds.add(str(layer))


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


class Exported(dict):
    """{name: what `export_onnx` said} of the networks of ``small``, each when it is asked for."""

    def __init__(self, model, faces, folder):
        super().__init__()
        self.model, self.faces, self.folder = model, faces, folder

    def __missing__(self, name):
        path = self.folder / f"{name}.onnx"
        self[name] = export_onnx(self.model, name, path, self.faces)
        return self[name]


@pytest.fixture(scope="module")
def exported(small, crops, tmp_path_factory):
    return Exported(small, small.to_input(crops[:2]), tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def networks_of_a_neutral_face(exported):
    """The folder with the files that a neutral face needs."""
    for name in ("expression_encoder", "flow_decoder", "expression_decoder"):
        assert exported[name].path.is_file()
    return exported.folder


def run(path, **inputs):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


def assert_same(found, expected):
    assert expected.std() > 1e-3, "the comparison is void"
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


# E_exp and E_id are of one kind; that the file is of E_id is tested without an export.
network = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if name == "identity_encoder" else ())
        for name in NETWORKS
    ],
)


def test_what_can_be_exported(small):
    assert set(NETWORKS) == {"expression_encoder", "flow_decoder", "expression_decoder",
                             "identity_encoder", "identity_decoder"}  # fmt: skip
    for name in ("expression_encoder", "identity_encoder"):
        described = export._NETWORKS[name]
        assert described.module(small).encoder is getattr(small, name)
        assert described.outputs == (name.replace("encoder", "code"),)


@network
def test_written_and_compared(exported, name):
    made = exported[name]
    assert made.path == exported.folder / f"{name}.onnx"
    assert 0 <= made.difference <= TOLERANCE
    written = {path.name for path in exported.folder.iterdir()}
    assert written == {f"{name}.onnx" for name in exported}, "nothing else is left"


@network
@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("kind", ["random", "real"])
def test_same_as_torch_for_any_number_of_faces(small, crops, exported, name, n, kind):
    if kind == "real":
        x = small.to_input(np.resize(crops, (n, 64, 64, 3)))
    else:
        x = torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(9)) * 4 - 2
    codes = small.encode(x)
    flows = small.decode_flow(codes.expression_code)
    identity = {"x": x, "identity_code": codes.identity_code}
    for inputs, outputs in {
        "expression_encoder": [({"x": x}, [codes.expression_code])],
        "identity_encoder": [({"x": x}, [codes.identity_code])],
        "flow_decoder": [
            ({"expression_code": codes.expression_code}, [flows.flow, flows.backflow])
        ],
        "expression_decoder": [
            ({"x": x, "flow": flows.flow}, [small.de_express(x, flows.flow)]),
        ],
        "identity_decoder": [
            (identity | {"restore": False}, [small.de_identify(x, codes.identity_code)]),
            (identity | {"restore": True}, [small.re_identify(x, codes.identity_code)]),
        ],
    }[name]:
        for found, expected in zip(run(exported[name].path, **inputs), outputs, strict=True):
            assert_same(found, expected)


@pytest.mark.full  # the embedded networks have none of these layers
def test_the_papers_layers_export_as_well(papers_kind, crops, tmp_path):
    x = papers_kind.to_input(crops)
    path = export_onnx(papers_kind, "expression_decoder", tmp_path / "net.onnx", x[:1]).path
    flow = papers_kind.decode_flow(papers_kind.encode_expression(x)).flow * 3
    assert_same(run(path, x=x, flow=flow)[0], papers_kind.de_express(x, flow))


@network
def test_files_are_plain_onnx_and_say_what_they_are(exported, name):
    proto = onnx.load(exported[name].path)
    onnx.checker.check_model(proto, full_check=True)
    assert {entry.domain: entry.version for entry in proto.opset_import} == {"": 18}
    assert [value.name for value in proto.graph.input] == list(exported[name].inputs)
    assert [value.name for value in proto.graph.output] == list(exported[name].outputs)
    for value in (*proto.graph.input, *proto.graph.output):
        if value.name != "restore":
            assert value.type.tensor_type.shape.dim[0].dim_param
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    assert properties["network"] == name
    assert json.loads(properties["image_size"]) == 64
    assert json.loads(properties["mean"]) == [0.485, 0.456, 0.406]


@network
def test_files_tell_nothing_of_this_machine(exported, name):
    content = exported[name].path.read_bytes()
    for trace in (str(ROOT), "site-packages", "facecycle_cli", "stack_trace"):
        assert trace.encode() not in content


def test_a_file_that_computes_something_else_is_not_written(small, exported, tmp_path, monkeypatch):
    other = onnx.load(exported["expression_encoder"].path)
    monkeypatch.setattr(export, "_to_proto", lambda *_: other)
    with pytest.raises(ExportError, match="onnxruntime differs from torch by"):
        export_onnx(small, "identity_encoder", tmp_path / "net.onnx")
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


def test_example_needs_nothing_but_onnxruntime_and_numpy(
    networks_of_a_neutral_face, crops, neutral, tmp_path
):
    np.save(tmp_path / "crops.npy", crops)
    code = f"""
import sys
for name in ("torch", "PIL", "cv2", "onnx", "facecycle_cli"):
    sys.modules[name] = None
sys.path.insert(0, {str(EXAMPLE.parent)!r})
import numpy as np
from onnx_neutralize import neutralize
folder = {str(networks_of_a_neutral_face)!r}
np.save("neutral.npy", neutralize(folder, np.load("crops.npy")))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert_same_picture(np.load(tmp_path / "neutral.npy"), neutral)


def test_snippet_of_the_documentation(networks_of_a_neutral_face, crops, neutral, tmp_path):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text("utf-8"), re.DOTALL
    )
    (snippet,) = (block for block in blocks if "onnxruntime" in block)
    (tmp_path / "onnx").symlink_to(networks_of_a_neutral_face)
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


def test_example_as_a_script(networks_of_a_neutral_face, crops, neutral, tmp_path):
    Image.fromarray(crops[0]).save(tmp_path / "crop.png")
    folder = networks_of_a_neutral_face
    arguments = [str(folder), "crop.png", "neutral.png"]
    subprocess.run([sys.executable, str(EXAMPLE), *arguments], check=True, cwd=tmp_path)
    assert_same_picture(np.array(Image.open(tmp_path / "neutral.png")), neutral[0])
