from __future__ import annotations

import json
from dataclasses import replace

import pytest

from facecycle_cli.model import PRESETS, FaceCycle, ModelConfig, preset
from facecycle_cli.model.skeleton import skeleton


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [64, 128])
def test_survives_json(name, size):
    config = preset(name, size)
    assert (config.preset, config.image_size) == (name, size)
    assert config.flow_size == size // {"paper": 4, "small": 2}[name]
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_key_that_an_older_file_lacks_means_the_papers_value():
    older = preset("paper").to_dict()
    del older["extensions"]["residual"]
    del older["verifier"]
    assert ModelConfig.from_dict(older) == preset("paper")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"color": 1}, "unknown model configuration key: color"),
        ({"image_size": 96}, "image_size must be 64 or 128, not 96"),
        ({"image_size": 64.0}, "image_size must be 64 or 128, not 64.0"),
        ({"extensions": {"color": 1}}, r"unknown model configuration key: extensions\.color"),
        ({"extensions": [1]}, "extensions must be a group of values"),
        ({"extensions": {"trunk": "resnet"}}, "trunk must be vgg19 or learned"),
        ({"extensions": {"upsampling": "nearest"}}, "upsampling must be transposed or bilinear"),
        ({"extensions": {"padding": ["zeros"]}}, "padding must be zeros or border"),
        ({"extensions": {"residual": 1}}, "residual must be False or True"),
        ({"extensions": {"inverse_steps": 0}}, "inverse_steps must be an integer from 1 to 16"),
        ({"verifier": {"compares": "ears"}}, "compares must be code or neutral"),
        ({"verifier": {"side": 32}}, "verifier.side must be 0 or from 64"),
        ({"verifier": {"size": 257}}, "size must not be larger than 256"),
        ({"encoder_widths": [64, 128]}, "encoder_widths must be 4 integers"),
        ({"encoder_widths": "wide"}, "encoder_widths must be 4 integers"),
        (
            {"flow_decoder_widths": [1, 2, -3]},
            "flow_decoder_widths must be an integer from 1 to 4096, not -3",
        ),
        (
            {"expression_decoder_blocks": 10**9},
            "expression_decoder_blocks must be an integer from 0 to 64",
        ),
        (
            {"expression_decoder_blocks": True},
            "expression_decoder_blocks must be an integer from 0 to 64",
        ),
        ({"code_size": None}, "code_size must be an integer from 1 to 4096"),
        ({"noise_kernel": 2}, "noise_kernel must be odd"),
        ({"trunk_widths": [1, 2, 3]}, "VGG-19 trunk has widths"),
        ({"identity_decoder_width": 8}, "identity_decoder_width must equal"),
    ],
)
def test_nonsense_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig.from_dict({**preset("paper").to_dict(), **change})


def test_preset_is_needed():
    with pytest.raises(ValueError, match="missing model configuration key: preset"):
        ModelConfig.from_dict({})


@pytest.mark.parametrize(("name", "size"), [("large", 64), ("small", 100)])
def test_unknown_preset(name, size):
    with pytest.raises(ValueError, match=r"no preset 'large'|image_size"):
        preset(name, size)


@pytest.mark.parametrize("name", PRESETS)
def test_skeleton_has_the_models_shapes_and_no_weights(name):
    config = replace(preset(name), expression_decoder_blocks=1, identity_decoder_blocks=1)
    bones, model = skeleton(config), FaceCycle(config)
    assert {p.device.type for p in bones.parameters()} == {"meta"}
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in bones.state_dict().items()} == shapes
