"""The sizes that the paper's networks have, and that the small ones must not pass."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.model.summary import summarize


@pytest.fixture(scope="module")
def models():
    return {name: FaceCycle(preset(name)).eval() for name in ("paper", "small")}


@pytest.fixture(scope="module")
def summaries(models):
    return {
        name: {network.name: network for network in summarize(model)}
        for name, model in models.items()
    }


@pytest.mark.parametrize(
    ("symbol", "names", "parameters"),
    [
        ("E_exp", ["expression_encoder"], 4_240_000),
        ("E_id", ["identity_encoder"], 4_240_000),
        ("D_flow", ["flow_decoder"], 2_996_544),
        ("D_exp", ["trunk", "expression_decoder"], 13_409_475),
        ("D_id", ["trunk", "identity_decoder"], 10_014_275),
    ],
)
def test_paper_has_the_papers_parameters(summaries, symbol, names, parameters):
    assert sum(summaries["paper"][name].parameters for name in names) == parameters
    assert summaries["paper"][names[-1]].symbol == symbol


def test_every_parameter_belongs_to_one_network(models, summaries):
    for name, model in models.items():
        total = sum(p.numel() for p in model.parameters())
        assert sum(n.parameters for n in summaries[name].values()) == total


def test_small_is_small(summaries):
    assert sum(n.parameters for n in summaries["small"].values()) <= 6_000_000


# As counted before torch counted: by the shapes of every convolution and matrix product.
MULTIPLY_ADDS = {
    ("paper", 64): {
        "trunk": 460_062_720,
        "expression_encoder": 420_806_656,
        "flow_decoder": 105_938_944,
        "expression_decoder": 4_611_112_960,
        "identity_encoder": 420_806_656,
        "identity_decoder": 2_669_281_280,
    },
    ("small", 64): {
        "trunk": 30_081_024,
        "expression_encoder": 67_002_368,
        "flow_decoder": 47_513_600,
        "expression_decoder": 122_224_640,
        "identity_encoder": 67_002_368,
        "identity_decoder": 97_091_584,
    },
    ("small", 128): {
        "trunk": 120_324_096,
        "expression_encoder": 253_902_848,
        "flow_decoder": 132_743_168,
        "expression_decoder": 488_898_560,
        "identity_encoder": 253_902_848,
        "identity_decoder": 97_091_584,  # at half the size
    },
}


@pytest.mark.parametrize(("name", "size"), MULTIPLY_ADDS)
def test_multiply_adds_of_every_network(name, size):
    found = summarize(FaceCycle(preset(name, size)).eval())
    assert {network.name: network.multiply_adds for network in found} == MULTIPLY_ADDS[name, size]


PASSES = {
    "neutral face": lambda m, x, code: m.de_express(x, m.decode_flow(m.encode_expression(x)).flow),
    "expression code": lambda m, x, code: m.encode_expression(x),
    "identity code": lambda m, x, code: m.encode_identity(x),
    "mean face": lambda m, x, code: m.de_identify(x, code),
    "re-identified face": lambda m, x, code: m.re_identify(x, code),
}
NETWORKS = {
    "neutral face": ["expression_encoder", "flow_decoder", "trunk", "expression_decoder"],
    "expression code": ["expression_encoder"],
    "identity code": ["identity_encoder"],
    "mean face": ["trunk", "identity_decoder"],
    "re-identified face": ["trunk", "identity_decoder"],
}


@torch.no_grad()
def multiply_adds(model, what):
    x, code = torch.zeros(1, 3, 64, 64), torch.zeros(1, 256)
    with FlopCounterMode(display=False) as counter:
        PASSES[what](model, x, code)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("what", PASSES)
def test_a_pass_is_the_sum_of_its_networks_and_small_has_a_tenth(models, summaries, what):
    counts = {name: multiply_adds(model, what) for name, model in models.items()}
    for name, count in counts.items():
        assert count == sum(summaries[name][n].multiply_adds for n in NETWORKS[what])
    if what != "expression code" and what != "identity code":
        assert counts["small"] <= counts["paper"] / 10


def test_small_needs_a_tenth_of_all_multiply_adds(summaries):
    totals = {k: sum(n.multiply_adds for n in v.values()) for k, v in summaries.items()}
    assert totals["small"] <= totals["paper"] / 10
