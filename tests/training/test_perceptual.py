"""The perceptual loss, and where VGG-19's weights come from."""

from __future__ import annotations

import os
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from facecycle_cli.errors import TrainingError
from facecycle_cli.model.tensors import MAX_FILE_BYTES
from facecycle_cli.training import efficientnet
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.efficientnet import EfficientNetLite0
from facecycle_cli.training.initial import build_networks
from facecycle_cli.training.perceptual import (
    LITE,
    PerceptualLoss,
    Vgg19,
    cached_file,
    find_network,
    find_vgg19,
)
from facecycle_cli.training.run import SilentReporter


def features(state, x):
    """relu2_1, relu3_1 and relu4_1, layer by layer as torchvision numbers them."""
    taps = []
    for number in range(21):
        if number in (4, 9, 18):
            x = F.max_pool2d(x, 2)
        elif f"features.{number}.weight" in state:
            weight, bias = (state[f"features.{number}.{k}"] for k in ("weight", "bias"))
            x = F.conv2d(x, weight, bias, padding=1).relu()
            if number in (5, 10, 19):
                taps.append(x)
    return taps


def test_it_is_the_gram_distance_of_all_pictures_as_one_batch(vgg_state):
    generator = torch.Generator().manual_seed(0)
    a, b, target = torch.randn(3, 2, 3, 16, 16, generator=generator)
    expected = 0.0
    wanted, found = (
        features(vgg_state, torch.cat((target, target))),
        features(vgg_state, torch.cat((a, b))),
    )
    for w, f in zip(wanted, found, strict=True):
        positions = w.shape[-1] ** 2
        gram_w = torch.einsum("nchw,ndhw->ncd", w, w) / positions
        gram_f = torch.einsum("nchw,ndhw->ncd", f, f) / positions
        expected += (gram_w - gram_f).square().mean().item()
    assert PerceptualLoss(Vgg19(vgg_state))((a, b), target).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_gradients_reach_the_pictures_but_neither_target_nor_weights(vgg_state):
    loss = PerceptualLoss(Vgg19(vgg_state))
    image = torch.randn(1, 3, 16, 16, requires_grad=True)
    target = torch.randn(1, 3, 16, 16, requires_grad=True)
    loss([image], target).backward()
    assert image.grad.abs().sum() > 0
    assert target.grad is None
    assert all(p.grad is None and not p.requires_grad for p in loss.parameters())


def test_from_a_file_of_either_kind(tmp_path, vgg_state):
    torch.save(vgg_state, tmp_path / "vgg.pth")
    save_file(vgg_state, tmp_path / "vgg.safetensors")
    for name in ("vgg.pth", "vgg.safetensors"):
        state = find_vgg19(str(tmp_path / name), pytest.fail)
        assert torch.equal(state["features.19.weight"], vgg_state["features.19.weight"])


def test_from_torch_hubs_cache(tmp_path, vgg_state, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached_file().parent.mkdir(parents=True)
    torch.save(vgg_state, cached_file())
    network, state = find_network("auto", pytest.fail)
    assert isinstance(network, Vgg19)
    assert state is not None
    assert find_network("off", pytest.fail) == (None, None)


def test_nothing_is_fetched_for_a_run_that_draws_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fetched = []
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: fetched.append(1))
    codes = {"stage": "identity", "identity": {"steps": 5, "code_steps": 5}}
    _, vgg = build_networks(TrainConfig.from_layers(codes), SilentReporter(), resumed=False)
    assert vgg is None
    assert not fetched
    for drawn in (
        {**codes, "stage": "both"},
        {**codes, "identity": {"steps": 6, "code_steps": 5}},
        {**codes, "identity": {"epochs": 1, "code_steps": 5}},
        {**codes, "identity": {"steps": 5, "code_steps": 5, "weights": {"contrast": 0}}},
    ):
        assert TrainConfig.from_layers(drawn).draws


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """Neither a cache nor the internet."""

    def refuse(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)


@pytest.fixture
def package(tmp_path, monkeypatch, lite_state):
    """The package with EfficientNet-Lite0's weights, random ones; gives its file."""
    file = tmp_path / efficientnet.PACKAGE / "models" / "efficientnet-lite0-0.pth"
    file.parent.mkdir(parents=True)
    torch.save(lite_state, file)
    (file.parents[1] / "__init__.py").write_text("raise RuntimeError('no code of it is run')")
    monkeypatch.syspath_prepend(tmp_path)
    return file


def without_package(monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)


def test_without_any_weights_auto_goes_on_and_the_others_stop(offline, monkeypatch):
    without_package(monkeypatch)
    notes = []
    assert find_network("auto", notes.append) == (None, None)
    assert "training without the perceptual loss" in notes[-1]
    with pytest.raises(TrainingError, match="pass --perceptual PATH"):
        find_network("vgg", notes.append)
    with pytest.raises(TrainingError, match=r"pip install 'facecycle\[train\]'"):
        find_network(LITE, notes.append)


def test_without_vgg_auto_takes_the_packages_network(offline, package):
    notes = []
    network, vgg = find_network("auto", notes.append)
    assert isinstance(network, EfficientNetLite0)
    assert vgg is None
    assert "features of EfficientNet-Lite0 instead" in notes[-1]
    with pytest.raises(TrainingError, match="pass --perceptual PATH"):
        find_network("vgg", notes.append)
    assert isinstance(find_network(LITE, pytest.fail)[0], EfficientNetLite0)


def test_a_file_of_something_else(tmp_path, vgg_state):
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(TrainingError, match="not a file with weights"):
        find_vgg19(str(tmp_path / "text.pth"), pytest.fail)
    part = {name: tensor for name, tensor in vgg_state.items() if name != "features.10.bias"}
    torch.save(part, tmp_path / "part.pth")
    with pytest.raises(TrainingError, match=r"no features\.10\.bias of shape \(256,\)"):
        find_vgg19(str(tmp_path / "part.pth"), pytest.fail)
    with pytest.raises(FileNotFoundError):
        find_vgg19(str(tmp_path / "missing.pth"), pytest.fail)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(TrainingError, match="not a file with weights"):
        find_vgg19(str(tmp_path / "list.pth"), pytest.fail)
    for bias, reason in (
        (torch.zeros(1), r"features\.10\.bias is \(1,\), not \(256,\)"),
        (
            torch.zeros(256, dtype=torch.int),
            r"features\.10\.bias is not a tensor of floating point",
        ),
        (torch.full((256,), torch.nan), r"features\.10\.bias holds values that are not finite"),
    ):
        torch.save({**vgg_state, "features.10.bias": bias}, tmp_path / "wrong.pth")
        with pytest.raises(TrainingError, match=reason):
            find_vgg19(str(tmp_path / "wrong.pth"), pytest.fail)
    (tmp_path / "large.pth").touch()
    os.truncate(tmp_path / "large.pth", MAX_FILE_BYTES + 1)
    with pytest.raises(TrainingError, match="larger than any file with weights"):
        find_vgg19(str(tmp_path / "large.pth"), pytest.fail)
