"""The authors' networks as functions over their state dicts, for comparison.

Written from the published description, independently of facecycle_cli.model: plain operations on
tensors that look the weights up under the names in the authors' files.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

# Layers of one of their state dicts: (name, shape of the weight, has a bias).
_ATTENTION = ("g", "theta", "phi")


def _conv(name, inputs, outputs, kernel):
    return [(name, (outputs, inputs, kernel, kernel), outputs)]


def _attention(name, channels):
    return [(f"{name}.{part}", (channels, channels, 1, 1), channels) for part in _ATTENTION]


def _residual(name, channels):
    return [(f"{name}.conv{i}", (channels, channels, 3, 3), channels) for i in (1, 2)]


def _transposed(name, inputs, outputs):
    return [(name, (inputs, outputs, 4, 4), outputs)]


def _trunk():
    sizes = {"conv1_1": (3, 64), "conv1_2": (64, 64), "conv2_1": (64, 128), "conv2_2": (128, 128)}
    sizes["conv3_1"] = (128, 256)
    return [layer for name, size in sizes.items() for layer in _conv(f"{name}.0", *size, 3)]


def _encoder():
    return [
        *_conv("conv1.0", 3, 64, 7),
        *_conv("conv1.2", 64, 64, 3),
        *_conv("layer1.0", 64, 64, 3),
        *_attention("layer1.2", 64),
        *_conv("layer1.3", 64, 64, 3),
        *_conv("layer2_1.0", 64, 128, 3),
        *_attention("layer2_1.2", 128),
        *_conv("layer2_1.3", 128, 128, 3),
        *_residual("resblock1", 128),
        *_residual("resblock2", 128),
        *_conv("layer2_2.0", 128, 128, 3),
        *_conv("layer2_2.2", 128, 128, 3),
        *_conv("layer3_1.0", 128, 256, 3),
        *_conv("layer3_1.2", 256, 256, 3),
        *_conv("layer3_2.0", 256, 256, 3),
        *_conv("layer3_2.2", 256, 128, 3),
        ("expresscode.0", (512, 2048), 512),
        ("expresscode.2", (256, 512), 256),
    ]


def _flow_decoder():
    return [
        *_conv("motiongen1.0", 256, 4096, 1),
        *_attention("motiongen1.3", 256),
        *_conv("motiongen1.4", 256, 256, 3),
        *_conv("motiongen2.1", 256, 128, 3),
        *_attention("motiongen2.3", 128),
        *_conv("motiongen2.4", 128, 128, 3),
        *_residual("resblock1", 128),
        *_residual("resblock2", 128),
        *_conv("toflow4.1", 128, 64, 3),
        ("toflow4.3", (2, 64, 1, 1), 0),
    ]


def _generator():
    blocks = [layer for i in range(8) for layer in _residual(f"cnn.{i}", 256)]
    return [
        *_trunk(),
        *_conv("redconv.0", 256, 256, 3),
        *blocks,
        *_transposed("up.0", 256, 128),
        *_conv("up.2", 128, 128, 3),
        *_transposed("up2.0", 256, 128),
        *_conv("up2.2", 128, 128, 3),
        *_conv("torgb", 128, 3, 3),
        *_conv("noise_encoding1.0", 128, 128, 3),
        *_conv("noise_encoding1.2", 128, 128, 3),
        *_conv("noise_encoding0.0", 256, 256, 3),
        *_conv("noise_encoding0.2", 256, 256, 3),
    ]


def _normalizer():
    norms = [
        (f"{norm}.{part}", (256, 256, 1, 1), 256)
        for norm in ("denorm", "renorm")
        for part in ("beta", "gamma")
    ]
    blocks = [layer for i in range(6) for layer in _residual(f"cnn.{i}", 256)]
    return [
        *_trunk(),
        *norms,
        *blocks,
        *_residual("cnn3.0", 256),
        *_transposed("up.0", 256, 128),
        *_conv("up.2", 128, 128, 3),
        *_transposed("up.4", 128, 128),
        *_conv("torgb", 128, 3, 1),
    ]


LAYERS = {
    "codegeneration": _encoder(),
    "exptoflow": _flow_decoder(),
    "Swap_Generator": _generator(),
    "idcodegen": _encoder(),
    "Swap_Norm": _normalizer(),
}


def random_networks(seed=0):
    """Five state dicts with weights that keep every layer's output around 1, the trunks equal."""
    source = torch.Generator().manual_seed(seed)

    def layer(name, shape, biases):
        fan_in = shape[0] * 4 if len(shape) == 4 and shape[-1] == 4 else np.prod(shape[1:])
        gain = 0.3 if name == "toflow4.3" else 1.5
        yield f"{name}.weight", torch.randn(shape, generator=source) * (gain / fan_in) ** 0.5
        if biases:
            yield f"{name}.bias", torch.randn(biases, generator=source) * 0.1

    networks = {
        network: {name: t for one in layers for name, t in layer(*one)}
        for network, layers in LAYERS.items()
    }
    for layer_name, _, _ in _trunk():
        for kind in ("weight", "bias"):
            name = f"{layer_name}.{kind}"
            networks["Swap_Norm"][name] = networks["Swap_Generator"][name].clone()
    return networks


def hollow_networks():
    """As `random_networks`, but zeros that take no room in a file."""
    networks = {}
    for network, layers in LAYERS.items():
        state = networks[network] = {}
        for name, shape, biases in layers:
            state[f"{name}.weight"] = torch.zeros(1).expand(shape)
            if biases:
                state[f"{name}.bias"] = torch.zeros(1).expand(biases)
    return networks


class Layers:
    """A state dict, applied layer by layer."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, stride=1):
        weight = self.state[f"{name}.weight"]
        bias = self.state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[-1] // 2)

    def conv_leaky(self, x, name, stride=1):
        return _leaky(self.conv(x, name, stride))

    def up_relu(self, x, name):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1).clamp(min=0)

    def attention(self, x, name):
        n, c, h, w = x.shape
        g, theta, phi = (self.conv(x, f"{name}.{part}").reshape(n, c, h * w) for part in _ATTENTION)
        over_space = torch.exp(theta - theta.amax(2, keepdim=True))
        over_space = over_space / over_space.sum(2, keepdim=True)
        over_channels = torch.exp(g - g.amax(1, keepdim=True))
        over_channels = over_channels / over_channels.sum(1, keepdim=True)
        relations = torch.einsum("nip,njp->nij", phi, over_space)
        attended = torch.einsum("nij,njp->nip", relations, over_channels)
        return _leaky(x + attended.reshape(n, c, h, w))

    def residual(self, x, name):
        inner = self.conv(_leaky(self.conv(x, f"{name}.conv1")), f"{name}.conv2")
        return _leaky(inner + x)

    def trunk(self, x):
        x = self.conv(x, "conv1_1.0").clamp(min=0)
        x = _pool(self.conv(x, "conv1_2.0").clamp(min=0))
        half = self.conv(x, "conv2_1.0").clamp(min=0)
        x = _pool(self.conv(half, "conv2_2.0").clamp(min=0))
        return half, self.conv(x, "conv3_1.0").clamp(min=0)


def _leaky(x):
    return torch.where(x > 0, x, 0.1 * x)


def _pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).amax((3, 5))


def sample(image, flow):
    """Bilinear sampling at identity + flow, zeros outside, corners aligned; by hand."""
    n, c, h, w = image.shape
    base_y, base_x = np.mgrid[0:h, 0:w]
    x = torch.from_numpy(base_x).float() + flow[:, 0] * (w - 1) / 2
    y = torch.from_numpy(base_y).float() + flow[:, 1] * (h - 1) / 2
    result = torch.zeros_like(image)
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = x.floor() + dx, y.floor() + dy
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
            place = row.clamp(0, h - 1).long() * w + column.clamp(0, w - 1).long()
            place = place.reshape(n, 1, h * w).expand(n, c, h * w)
            value = image.reshape(n, c, h * w).gather(2, place).reshape(n, c, h, w)
            result = result + value * (weight * inside)[:, None]
    return result


def resize_flow(flow, side):
    return F.interpolate(flow, (side, side), mode="bilinear", align_corners=True)


def encode(state, x):
    """E_exp or E_id: (N, 3, 64, 64) -> (N, 256)."""
    net = Layers(state)
    x = net.conv_leaky(net.conv_leaky(x, "conv1.0", 2), "conv1.2")
    x = net.attention(net.conv_leaky(x, "layer1.0"), "layer1.2")
    x = net.conv_leaky(x, "layer1.3")
    x = net.attention(net.conv_leaky(x, "layer2_1.0", 2), "layer2_1.2")
    x = net.conv_leaky(x, "layer2_1.3")
    x = net.residual(net.residual(x, "resblock1"), "resblock2")
    x = net.conv_leaky(net.conv_leaky(x, "layer2_2.0", 2), "layer2_2.2")
    x = net.conv_leaky(net.conv_leaky(x, "layer3_1.0", 2), "layer3_1.2")
    x = net.conv_leaky(net.conv_leaky(x, "layer3_2.0"), "layer3_2.2")
    x = x.reshape(len(x), -1)
    x = _leaky(x @ state["expresscode.0.weight"].T + state["expresscode.0.bias"])
    return torch.tanh(x @ state["expresscode.2.weight"].T + state["expresscode.2.bias"])


def decode_flow(state, code):
    """D_flow: (N, 256) -> two flows (N, 2, 16, 16)."""
    net = Layers(state)
    x = net.conv(code.reshape(len(code), -1, 1, 1), "motiongen1.0")
    x = x.reshape(len(code), 256, 4, 4)  # one pixel's channels shuffled into 4x4 pixels
    x = net.conv_leaky(net.attention(_leaky(x), "motiongen1.3"), "motiongen1.4")
    x = net.attention(net.conv_leaky(resize_flow(x, 8), "motiongen2.1"), "motiongen2.3")
    x = net.conv_leaky(x, "motiongen2.4")
    x = net.residual(net.residual(x, "resblock1"), "resblock2")
    x = net.conv_leaky(resize_flow(x, 16), "toflow4.1")
    flow = torch.tanh(net.conv(x, "toflow4.3"))
    return flow, -1.0 * sample(flow, flow).clamp(-1, 1)


def generate(state, x, flow, noise):
    """D_exp: a face, a flow or None, and the noise that the authors draw -> (N, 3, 64, 64)."""
    net = Layers(state)
    half, quarter = net.trunk(x)
    if flow is not None:
        filled = []
        for feature, name, normal in (
            (half, "noise_encoding1", noise[0]),
            (quarter, "noise_encoding0", noise[1]),
        ):
            y = normal + feature.mean((2, 3), keepdim=True)
            y = net.conv(net.conv(y, f"{name}.0").clamp(min=0), f"{name}.2").clamp(min=0)
            filled.append(sample(feature, resize_flow(flow, feature.shape[-1])) + y)
        half, quarter = filled
    x = net.conv(quarter, "redconv.0").clamp(min=0)
    for i in range(8):
        x = net.residual(x, f"cnn.{i}")
    x = net.conv(net.up_relu(x, "up.0"), "up.2").clamp(min=0)
    x = net.conv(net.up_relu(torch.cat((half, x), 1), "up2.0"), "up2.2").clamp(min=0)
    return net.conv(x, "torgb")


def normalize(state, x, code, norm):
    """D_id with ``denorm`` or ``renorm``: (N, 3, 64, 64) -> (N, 3, 64, 64)."""
    net = Layers(state)
    _, x = net.trunk(x)
    mean = x.mean((2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((2, 3), keepdim=True)
    code = code.reshape(len(code), -1, 1, 1)
    x = (x - mean) / torch.sqrt(variance + 1e-5)
    x = x * net.conv(code, f"{norm}.gamma") + net.conv(code, f"{norm}.beta")
    for name in [*(f"cnn.{i}" for i in range(6)), "cnn3.0"]:
        x = net.residual(x, name)
    x = net.conv(net.up_relu(x, "up.0"), "up.2").clamp(min=0)
    return net.conv(net.up_relu(x, "up.4"), "torgb")
