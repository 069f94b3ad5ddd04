"""Layers of settings, and what they decide."""

from __future__ import annotations

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.errors import SettingsError
from facecycle_cli.training.config import StageConfig, TrainConfig
from facecycle_cli.training.layers import parse_assignments, read_toml
from facecycle_cli.training.loop import LearningRate
from facecycle_cli.training.stages import STAGES


def test_presets_have_their_own_defaults_per_stage():
    paper = TrainConfig.from_layers({"preset": "paper"})
    assert (paper.expression.epochs, paper.identity.epochs) == (40, 20)
    assert (paper.expression.beta2, paper.identity.beta2) == (0.999, 0.9)
    assert (paper.expression.beta1, paper.identity.beta1) == (0.5, 0.5)
    assert paper.expression.clip == paper.expression.ema == 0
    assert not paper.expression.augmentation.coupled
    assert vars(paper.expression.weights) == {
        "pixel": 1.0, "perceptual": 0.01, "ssim": 5.0, "symmetry": 1.5, "margin": 1.0,
        "smoothness": 0.0, "folding": 0.0, "gauge": 0.0, "guide": 0.0, "contrast": 0.0,
        "average": 0.0,
    }  # fmt: skip
    assert paper.identity.weights == paper.expression.weights
    for stage in (paper.expression, paper.identity):
        assert vars(stage.options) == {
            "focus": 0.0, "exchange": 1.0, "relight": 0.0, "features": 0.0, "reenact": 0.0,
        }  # fmt: skip
    small = TrainConfig.from_layers({})
    assert small.preset == "small"
    assert small.expression.schedule == "cosine"
    assert small.expression.weights.guide > 0
    assert small.expression.flow_steps < small.expression.steps


def test_later_layers_win_and_the_top_means_both_stages():
    config = TrainConfig.from_layers(
        {"lr": 1e-3, "identity": {"lr": 2e-3, "weights": {"margin": 0.5}}},
        {"batch_size": 8, "weights": {"ssim": 1.0}, "expression": {"augmentation": {"gray": 0.5}}},
    )
    assert (config.expression.lr, config.identity.lr) == (1e-3, 2e-3)
    assert config.expression.batch_size == config.identity.batch_size == 8
    assert config.identity.weights.margin == 0.5
    assert config.identity.weights.ssim == config.expression.weights.ssim == 1.0
    assert config.expression.augmentation.gray == 0.5
    overridden = TrainConfig.from_layers({"identity": {"lr": 2e-3}}, {"lr": 5e-4})
    assert overridden.identity.lr == 5e-4


def test_steps_take_the_place_of_epochs():
    config = TrainConfig.from_layers({"preset": "paper"}, {"steps": 7})
    assert (config.identity.epochs, config.identity.steps) == (0, 7)
    config = TrainConfig.from_layers({"preset": "paper"}, {"steps": 7}, {"epochs": 2})
    assert config.identity.epochs == 2


def test_frozen_networks_are_checked_before_any_stage_begins():
    config = TrainConfig.from_layers({"identity": {"frozen": ["identity_encoder"]}})
    assert config.identity.frozen == ("identity_encoder",)
    for wrong in (["trunk"], ["identity_encoder", "identity_decoder"]):
        with pytest.raises(SettingsError, match="frozen must leave out"):
            TrainConfig.from_layers({"identity": {"frozen": wrong}})


def test_toml_there_and_back(tmp_path):
    layer = {"data": ['a "b"\\c', "ä\n"], "singles": ["x"], "amp": "bf16", "identity": {"lr": 1e-7}}
    config = TrainConfig.from_layers({"preset": "paper"}, layer)
    (tmp_path / "config.toml").write_text(tomli_w.dumps(config.to_dict()), encoding="utf-8")
    assert TrainConfig.from_layers(read_toml(tmp_path / "config.toml")) == config


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.toml"
    path.write_text(tomli_w.dumps({"license": text}), encoding="utf-8", newline="")
    assert read_toml(path) == {"license": text}


def test_assignments():
    assert parse_assignments(
        ["identity.lr=1e-4", "preset=paper", 'singles=["a"]', "augmentation.gray=0.5", "seed = 3"]
    ) == {
        "identity": {"lr": 1e-4},
        "preset": "paper",
        "singles": ["a"],
        "augmentation": {"gray": 0.5},
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lr", "not of the form key=value"),
        ("=3", "not the name of a setting"),
        ("speed=3", "unknown setting expression.speed|unknown setting speed"),
        ("identity.speed=3", "unknown setting identity.speed"),
        ("weights.beauty=3", r"unknown setting expression\.weights\.beauty"),
        ("lr=fast", "expression.lr must be a number, not 'fast'"),
        ("lr=-1", "lr must be above 0"),
        ("lr=nan", "lr must be above 0"),
        ("steps=1.5", "expression.steps must be a whole number, not 1.5"),
        ("steps=true", "expression.steps must be a whole number, not True"),
        ("batch_size=3", "batch_size must be even"),
        ("seed=-1", "seed must be at least 0"),
        ("preset=huge", "preset must be paper or small, not 'huge'"),
        ("image_size=96", "image_size must be 64 or 128, not 96"),
        ("transform=rotate", "transform must be other-frames, flip or mixed, not 'rotate'"),
        ("stage=all", "stage must be both, expression or identity, not 'all'"),
        ("weights=3", "expression.weights is a table"),
        ("expression=3", "expression is a table"),
        ("data=a", "data must be a list, not 'a'"),
        ("ema=1.0", "ema must be from 0 to below 1"),
        ("augmentation.color=3", r"augmentation\.color must be from 0 to 1, not 3"),
        ("options.focus=1.5", r"expression\.options\.focus must be from 0 to 1, not 1.5"),
        ("weights.pixel=-1", r"expression\.weights\.pixel must be at least 0, not -1"),
        ("schedule=linear", r"expression\.schedule must be cosine, constant or paper"),
        ("amp=fp8", "amp must be off, auto, bf16 or fp16, not 'fp8'"),
        ("cache=3", "cache must be auto, device, ram or disk, not 3"),
        ("trunk=big", "trunk must be vgg19 or random, not 'big'"),
    ],
)
def test_wrong_settings_are_one_clear_line(assignment, message):
    with pytest.raises(SettingsError, match=message) as caught:
        TrainConfig.from_layers(parse_assignments([assignment]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expression.weights.exchange", "expression.options.exchange"),
        ("identity.weights.perform", "identity.options.reenact"),
        ("identity.augmentation.apart", "identity.augmentation.independent"),
    ],
)
def test_names_of_older_versions_are_errors_that_say_the_new_ones(old, new):
    with pytest.raises(SettingsError, match=f"unknown setting {old}: it is {new} now"):
        TrainConfig.from_layers(parse_assignments([f"{old}=0.5"]))
    TrainConfig.from_layers(parse_assignments([f"{new}={'true' if 'aug' in new else 0.5}"]))


def test_a_file_that_is_no_toml(tmp_path):
    (tmp_path / "bad.toml").write_text("lr = = 3")
    with pytest.raises(SettingsError, match="not a TOML file"):
        read_toml(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("expression", {0: 1e-5, 1: 5e-5, 19: 5e-5, 20: 1e-5, 39: 1e-5}),
        ("identity", {0: 5e-5, 1: 1e-4, 9: 1e-4, 10: 1e-5, 19: 1e-5}),
    ],
)
def test_the_papers_rates_by_epoch(stage, expected):
    settings = TrainConfig.from_layers({"preset": "paper"}).of(stage)
    found = LearningRate(settings, 10_000, epoch_steps=7, paper_rates=STAGES[stage].paper_rates)
    for epoch, rate in expected.items():
        for step in (7 * epoch, 7 * epoch + 6):
            assert found(step) == pytest.approx(rate)


def test_cosine_rises_and_falls():
    settings = StageConfig(lr=1.0, warmup=10, schedule="cosine")
    rates = [*map(LearningRate(settings, 100, epoch_steps=1, paper_rates=()), range(100))]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == rates[9] == pytest.approx(0.98, abs=0.01)
    assert rates[50] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[9:] == sorted(rates[9:], reverse=True)
