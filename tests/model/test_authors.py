"""The authors' file and its conversion: same arithmetic, nothing lost, nothing executed."""

from __future__ import annotations

import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from facecycle_cli.errors import CheckpointError
from facecycle_cli.model import load, read_info
from facecycle_cli.model.authors import AUTHORS_NETWORKS, convert, read_authors
from facecycle_cli.model.tensors import MAX_FILE_BYTES
from tests.model import authors


def write(networks, path, *, legacy=False, prefix="", **options):
    saved = {
        network: OrderedDict((prefix + name, tensor) for name, tensor in state.items())
        for network, state in networks.items()
    }
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy, **options)
    return path


@pytest.fixture(scope="module")
def networks():
    return authors.random_networks()


@pytest.fixture(scope="module")
def converted(networks, tmp_path_factory):
    """The zip format without prefixes, through a file of ours and back."""
    folder = tmp_path_factory.mktemp("converted")
    convert(write(networks, folder / "finalmodel.tar"), folder / "paper.safetensors")
    (folder / "finalmodel.tar").unlink()
    return load(folder / "paper.safetensors")


@pytest.fixture
def hollow():
    return authors.hollow_networks()


# -- the same arithmetic ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces():
    smooth = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(smooth, (64, 64), mode="bicubic")


def assert_same(ours, theirs):
    assert ours.shape == theirs.shape
    assert 0.01 < theirs.std() < 100, "the comparison is void"
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_encoders_compute_what_the_authors_compute(converted, networks, faces):
    codes = [authors.encode(networks[n], faces) for n in ("idcodegen", "codegeneration")]
    assert_same(converted.encode_identity(faces), codes[0])
    assert_same(converted.encode_expression(faces), codes[1])
    assert (codes[0] - codes[1]).abs().max() > 0.1


def test_flow_decoder_computes_what_the_authors_compute(converted, networks, faces):
    code = authors.encode(networks["codegeneration"], faces)
    flow, backflow = authors.decode_flow(networks["exptoflow"], code)
    ours = converted.decode_flow(code)
    assert_same(ours.flow, flow)
    assert_same(ours.backflow, backflow)


@pytest.mark.parametrize("moved", [True, False])
def test_generator_computes_what_the_authors_compute(converted, networks, faces, moved):
    source = torch.Generator().manual_seed(2)
    noise = converted.random_noise(2, source)
    flow = torch.rand(2, 2, 16, 16, generator=source) * 1.2 - 0.6  # looks outside, too
    if moved:
        theirs = authors.generate(networks["Swap_Generator"], faces, flow, noise)
        assert_same(converted.de_express(faces, flow, noise), theirs)
        assert_same(converted.re_express(faces, flow, noise), theirs)
    else:
        theirs = authors.generate(networks["Swap_Generator"], faces, None, None)
        assert_same(converted.rebuild(faces), theirs)


def test_normalizer_computes_what_the_authors_compute(converted, networks, faces):
    code = authors.encode(networks["idcodegen"], faces)
    mean = authors.normalize(networks["Swap_Norm"], faces, code, "denorm")
    again = authors.normalize(networks["Swap_Norm"], faces, code, "renorm")
    assert_same(converted.de_identify(faces, code), mean)
    assert_same(converted.re_identify(faces, code), again)
    assert (mean - again).abs().max() > 0.1


# -- every way such a file is written --------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2 did."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(text)

    dispatch[str] = save_str


def dump_python2(value, file, protocol):
    Python2Pickler(file, protocol).dump(value)


FORMATS = {
    "zip": {},
    "legacy": {"legacy": True},
    "zip, DataParallel": {"prefix": "module."},
    "legacy, DataParallel": {"legacy": True, "prefix": "module."},
    "Python 2": {
        "legacy": True,
        "pickle_module": types.SimpleNamespace(
            __name__="pickle", Pickler=Python2Pickler, dump=dump_python2
        ),
    },
}


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_formats(hollow, tmp_path, options):
    values = iter(range(1, 1000))
    for network, state in hollow.items():
        for name, tensor in state.items():
            is_trunk = network == "Swap_Norm" and name in hollow["Swap_Generator"]
            if is_trunk and name.startswith(("conv1_", "conv2_", "conv3_")):
                state[name] = hollow["Swap_Generator"][name]
            else:
                state[name] = torch.full((1,), float(next(values))).expand(tensor.shape)
    model = read_authors(write(hollow, tmp_path / "finalmodel.tar", **options))
    found = sorted({t.flatten()[0].item() for t in model.state_dict().values()})
    used = next(values) - 1
    assert found == list(range(1, used + 1)), "every tensor is used, each once"
    assert sum(len(state) for state in hollow.values()) - 10 == used == len(model.state_dict())
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_file_from_a_gpu_opens_without_one(hollow, tmp_path):
    path = write(hollow, tmp_path / "finalmodel.tar", legacy=True)
    cpu, gpu = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    content = path.read_bytes()
    assert content.count(cpu) == 1
    path.write_bytes(content.replace(cpu, gpu))
    assert read_authors(path).device.type == "cpu"


def test_half_precision_becomes_single(hollow, tmp_path):
    state = hollow["exptoflow"]
    state["toflow4.3.weight"] = torch.full((2, 64, 1, 1), 0.5, dtype=torch.float16)
    weight = read_authors(write(hollow, tmp_path / "a.tar")).flow_decoder.to_flow.weight
    assert weight.dtype == torch.float32
    assert weight.mean() == 0.5


def test_converted_file_says_where_it_comes_from(hollow, tmp_path):
    source = write(hollow, tmp_path / "finalmodel.tar")
    convert(source, tmp_path / "out.safetensors")
    info = read_info(tmp_path / "out.safetensors")
    assert (info.config.preset, info.config.image_size) == ("paper", 64)
    assert info.metadata["converted_from"]["file"] == "finalmodel.tar"
    assert len(info.metadata["converted_from"]["sha256"]) == 64
    assert info.metadata["stage"] == "identity"


# -- files that are refused ------------------------------------------------------------------------


def refused(path):
    """The one line that `read_authors` says."""
    with pytest.raises(CheckpointError) as error:
        read_authors(path)
    message = str(error.value)
    assert message
    assert "\n" not in message
    assert len(message) < 200
    return message


@pytest.mark.parametrize("network", AUTHORS_NETWORKS)
def test_every_tensor_is_needed_and_no_other_is_taken(hollow, tmp_path, network):
    name = list(hollow[network])[-1]
    tensor = hollow[network].pop(name)
    assert refused(write(hollow, tmp_path / "a.tar")) == f"{network}.{name} is missing"
    hollow[network] |= {name: tensor, "extra.weight": tensor}
    message = refused(write(hollow, tmp_path / "a.tar"))
    assert message == f"{network}.extra.weight is not a tensor of the authors' network"


def test_wrong_shape(hollow, tmp_path):
    hollow["idcodegen"]["conv1.2.weight"] = torch.zeros(64, 32, 3, 3)
    message = refused(write(hollow, tmp_path / "a.tar"))
    assert message == "idcodegen.conv1.2.weight is (64, 32, 3, 3), not (64, 64, 3, 3)"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.zeros(64, dtype=torch.int64), "floating point"),
        ("weights", "floating point"),
        (torch.full((64,), float("nan")), "not finite"),
    ],
)
def test_no_weights(hollow, tmp_path, value, reason):
    hollow["idcodegen"]["conv1.0.bias"] = value
    message = refused(write(hollow, tmp_path / "a.tar"))
    assert message.startswith("idcodegen.conv1.0.bias")
    assert reason in message


def test_two_trunks_must_be_one(hollow, tmp_path):
    hollow["Swap_Norm"]["conv2_1.0.bias"] = torch.ones(128)
    assert refused(write(hollow, tmp_path / "a.tar")) == (
        "Swap_Generator.conv2_1.0.bias and Swap_Norm.conv2_1.0.bias differ: "
        "both must be the same frozen VGG-19"
    )


def test_first_stage_alone(hollow, tmp_path):
    del hollow["idcodegen"], hollow["Swap_Norm"]
    assert "first stage" in refused(write(hollow, tmp_path / "ExpCode_19.tar"))


def test_one_more_network(hollow, tmp_path):
    hollow["optimizer"] = {}
    assert refused(write(hollow, tmp_path / "a.tar")) == (
        "optimizer is not one of the authors' five networks"
    )


def test_numbers_beside_the_networks_are_no_networks(hollow, tmp_path):
    torch.save({**hollow, "epoch": 19}, tmp_path / "a.tar")
    assert read_authors(tmp_path / "a.tar").config.preset == "paper"


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, torch.zeros(3), "text"])
def test_something_else_that_torch_saved(tmp_path, content):
    torch.save(content, tmp_path / "a.tar")
    assert refused(tmp_path / "a.tar").startswith("not the authors' checkpoint")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated(hollow, tmp_path, legacy, share):
    path = write(hollow, tmp_path / "a.tar", legacy=legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert any(word in refused(path) for word in ("truncated", "damaged"))


@pytest.mark.parametrize("content", [b"\0" * 100, b"\x89PNG\r\n\x1a\n" + b"?" * 50, b"P", b"{}"])
def test_no_checkpoint_at_all(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path / "a.tar")


def test_empty_file(tmp_path):
    (tmp_path / "a.tar").touch()
    assert refused(tmp_path / "a.tar") == "the file is empty"


def test_random_bytes_never_surprise(tmp_path):
    source = np.random.default_rng(0)
    for _ in range(200):
        (tmp_path / "a.tar").write_bytes(b"\x80\x02" + source.bytes(60))
        refused(tmp_path / "a.tar")


def test_zip_without_a_pickle(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.tar", "w") as archive:
        archive.writestr("a/readme", "nothing")
    refused(tmp_path / "a.tar")


def test_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_authors(tmp_path / "none.tar")


# -- files that try to run code --------------------------------------------------------------------


class Payload:
    """Unpickled, it runs a command that leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_malicious_file_is_refused_and_runs_nothing(hollow, tmp_path, kind):
    mark, path = tmp_path / "mark", tmp_path / "finalmodel.tar"
    saved = {**hollow, "codegeneration": Payload(mark)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(saved["codegeneration"], protocol=2))
    else:
        torch.save(saved, path, _use_new_zipfile_serialization=kind == "zip")

    assert "asks for posix.mkdir" in refused(path) or os.name != "posix"
    for read in (load, read_info):
        with pytest.raises(CheckpointError):
            read(path)
    assert not mark.exists()

    # The test has teeth: whoever trusts this file has run its code.
    if kind == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert mark.is_dir()


def test_nothing_in_the_package_unpickles_freely():
    """Except what a process hands to its own child, as multiprocessing does."""
    package = Path(__file__).parents[2] / "facecycle_cli"
    own = package / "media" / "second_process.py"
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "weights_only=False" not in source, path
        assert source.count("torch.load(") == source.count("weights_only=True"), path
        assert "pickle.load" not in source or path == own, path


# -- files that would fill the memory --------------------------------------------------------------


def test_a_file_that_unpacks_to_more_than_it_holds(hollow, tmp_path):
    path = tmp_path / "finalmodel.tar"
    with (
        zipfile.ZipFile(write(hollow, tmp_path / "a.tar")) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
        packed.writestr("archive/data/bomb", bytes(50_000_000))
    assert "not a file of torch.save: it unpacks to " in refused(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs sparse files")
@pytest.mark.parametrize("legacy", [True, False])
def test_a_file_that_is_larger_than_any_weights(hollow, tmp_path, legacy):
    path = write(hollow, tmp_path / "finalmodel.tar", legacy=legacy)
    os.truncate(path, MAX_FILE_BYTES + 1)
    assert "are more than any weights take" in refused(path)


class Huge:
    """Asks for a tensor of four terabytes on four bytes."""

    def __reduce__(self):
        storage = torch.zeros(1)._typed_storage()
        rebuild = torch._utils._rebuild_tensor_v2
        return rebuild, (storage, 0, (2**40,), (1,), False, OrderedDict())


@pytest.mark.parametrize("legacy", [True, False])
def test_a_tensor_that_is_larger_than_its_file(hollow, tmp_path, legacy):
    path = tmp_path / "finalmodel.tar"
    saved = {**hollow, "exptoflow": {**hollow["exptoflow"], "toflow4.3.weight": Huge()}}
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    assert refused(path)
