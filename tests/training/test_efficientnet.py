"""EfficientNet-Lite0's first stages, against the formulas written down one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from facecycle_cli.errors import TrainingError
from facecycle_cli.model.inputs import IMAGENET_MEAN, IMAGENET_STD
from facecycle_cli.training.efficientnet import (
    PACKAGE,
    EfficientNetLite0,
    packaged_file,
    read_efficientnet,
)
from facecycle_cli.training.losses import gram
from facecycle_cli.training.perceptual import PerceptualLoss

FACES = Path(__file__).resolve().parents[2] / "examples" / "faces"


def normalized(pixels):
    """Pixels (N, 3, H, W) from 0 to 255, as the networks of facecycle take them."""
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels / 255 - mean) / std


def straightforward(state, pixels):
    """The outputs of the first three stages for pixels from 0 to 255."""

    def layer(x, conv, norm, stride=1, groups=1):
        weight = state[f"{conv}.weight"]
        kernel = weight.shape[-1]
        if stride == 2:  # TensorFlow's SAME for even sizes: one more row below than above
            first = (kernel - 2) // 2
            x = F.pad(x, (first, kernel - 2 - first) * 2)
        x = F.conv2d(x, weight, None, stride, 0 if stride == 2 else kernel // 2, groups=groups)
        mean, variance = (state[f"{norm}.running_{kind}"] for kind in ("mean", "var"))
        return F.batch_norm(
            x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3
        )

    x = F.relu6(layer((pixels - 127) / 128, "_conv_stem", "_bn0", 2))
    found = []
    for i, stride in enumerate((1, 2, 1, 2, 1)):
        name, inner = f"_blocks.{i}.", x
        if i:
            inner = F.relu6(layer(x, f"{name}_expand_conv", f"{name}_bn0"))
        groups = inner.shape[1]
        inner = F.relu6(layer(inner, f"{name}_depthwise_conv", f"{name}_bn1", stride, groups))
        out = layer(inner, f"{name}_project_conv", f"{name}_bn2")
        x = out + x if i in (2, 4) else out
        if i in (0, 2, 4):
            found.append(x)
    return found


def test_its_features_are_those_of_the_formulas(lite_state):
    pixels = 255 * torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    found = EfficientNetLite0(lite_state)(normalized(pixels))
    expected = straightforward(lite_state, pixels)
    shapes = [tuple(features.shape) for features in found]
    assert shapes == [(2, 16, 16, 24), (2, 24, 8, 12), (2, 40, 4, 6)]
    for features, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-4)


def test_pictures_of_odd_size_keep_every_pixel(lite_state):
    found = EfficientNetLite0(lite_state)(torch.zeros(1, 3, 33, 31))
    assert [features.shape[2:] for features in found] == [(17, 16), (9, 8), (5, 4)]


def test_gradients_reach_the_pictures_but_not_the_weights(lite_state):
    loss = PerceptualLoss(EfficientNetLite0(lite_state))
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    value = loss([image], torch.randn(1, 3, 32, 32))
    value.backward()
    assert value.dtype == torch.float32
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in loss.parameters())


def test_its_weights_are_no_part_of_what_a_run_saves(lite_state):
    buffers = dict(EfficientNetLite0(lite_state).named_buffers())
    assert set(buffers) == {"gain", "offset"}
    assert not set(buffers) & set(EfficientNetLite0(lite_state).state_dict())


def test_from_a_file(tmp_path, lite_state):
    torch.save({**lite_state, "_fc.bias": torch.zeros(1000)}, tmp_path / "lite.pth")
    state = read_efficientnet(tmp_path / "lite.pth")
    assert set(state) == set(lite_state)
    assert torch.equal(state["_bn0.bias"], lite_state["_bn0.bias"])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("_bn0.bias", torch.zeros(3), r"_bn0\.bias is \(3,\), not \(32,\)"),
        ("_bn0.bias", torch.full((32,), torch.nan), r"_bn0\.bias holds values that are not finite"),
        ("_bn0.bias", None, r"_bn0\.bias is not a tensor"),
        ("_bn0.running_var", -torch.ones(32), r"_bn0\.running_var holds negative variances"),
    ],
)
def test_a_file_of_something_else(tmp_path, lite_state, name, value, reason):
    torch.save({**lite_state, name: value}, tmp_path / "wrong.pth")
    with pytest.raises(TrainingError, match=reason):
        read_efficientnet(tmp_path / "wrong.pth")


def test_a_file_that_is_no_table(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(TrainingError, match="not EfficientNet-Lite0's weights"):
        read_efficientnet(tmp_path / "list.pth")


def test_the_scales_make_the_published_weights_stages_comparable():
    """Where the extra ``train`` is installed: the mean squared Gram matrix of a face is 100."""
    pytest.importorskip(PACKAGE)
    network = EfficientNetLite0(read_efficientnet(packaged_file()))
    faces = []
    for file in sorted(FACES.glob("*.jpg")):
        with Image.open(file) as picture:
            faces.append(np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)))
    pixels = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()
    for features, scale in zip(network(normalized(pixels)), network.scales, strict=True):
        assert scale * gram(features).square().mean() == pytest.approx(100, rel=0.1)
