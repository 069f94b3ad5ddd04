"""The files that ship with the package, and what is said of them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest

from facecycle_cli import weights


def test_shipped_networks_are_the_ones_of_the_notice():
    notice = (weights.path("face_mesh_468.onnx").parent / "NOTICE.md").read_text("utf-8")
    told = re.findall(r"^ +([0-9a-f]{64})  (\S+)$", notice, re.MULTILINE)
    assert len(told) == 4
    for digest, name in told:
        assert hashlib.sha256(weights.path(name).read_bytes()).hexdigest() == digest


def test_every_third_party_network_has_its_license():
    folder = weights.path("face_mesh_468.onnx").parent
    notice = (folder / "NOTICE.md").read_text("utf-8")
    assert all(f"`{file.name}`" in notice for file in folder.glob("*.onnx"))
    licenses = set(re.findall(r"\((LICENSE-[\w-]+\.txt)\)", notice))
    assert len(licenses) == 2
    assert all((folder / name).read_text("utf-8").strip() for name in licenses)


@pytest.mark.parametrize("name", ["missing.onnx", "../cli.py", "NOTICE.md", ""])
def test_what_does_not_ship_is_an_error_that_lists_what_does(name):
    with pytest.raises(FileNotFoundError, match=r"face_mesh_468\.onnx"):
        weights.path(name)


def test_nothing_heavy_is_imported():
    """Neither for the path of a file nor for geometry; networks open with the first face."""
    code = (
        "import sys, facecycle_cli.weights as w; w.path('face_mesh_468.onnx');"
        "assert not {'numpy', 'cv2', 'torch', 'onnxruntime'} & set(sys.modules);"
        "import facecycle_cli.faces as f; f.load_backend();"
        "assert not {'torch', 'onnxruntime', 'face_alignment'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rewritten_mesh_is_the_converted_one(shared_data):
    """`rewrite_mesh.py` made the shipped file, and what it computes is what it computed before."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from .rewrite_mesh import rewrite

    converted = shared_data.parent / "weights" / "face_mesh_468.onnx"
    shipped = weights.path("face_mesh_468.onnx")
    made = rewrite(onnx.load(converted))
    assert {node.op_type for node in made.graph.node} >= {"Conv", "Relu", "Add"}
    assert "PRelu" not in {node.op_type for node in made.graph.node}
    image = np.random.default_rng(0).random((3, 3, 192, 192), np.float32)
    outputs = [
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(
            ["landmarks", "presence_logit"], {"image": image}
        )
        for file in (str(converted), str(shipped), made.SerializeToString())
    ]
    for before, after, again in zip(*outputs, strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-3)  # pixels of 192; logit
        np.testing.assert_array_equal(again, after)
