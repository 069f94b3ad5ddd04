"""The part of a motion that turns the head."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facecycle_cli.model.flow import identity_grid, mirror
from facecycle_cli.portrait.motions import turning_part

seeds = st.integers(0, 2**31 - 1)


def flow(seed: int) -> torch.Tensor:
    return torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(seed)) / 10


def symmetric(seed: int) -> torch.Tensor:
    return (flow(seed) + mirror(flow(seed))) / 2


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_the_mirror_image_turns_the_other_way(a, b):
    ours, theirs = turning_part(flow(a), flow(b)), turning_part(flow(b), flow(a))
    assert torch.allclose(mirror(ours), theirs, atol=1e-6)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_a_motion_that_mirroring_reverses_is_all_turn(seed):
    turn = flow(seed) - symmetric(seed)
    assert torch.allclose(turning_part(turn, mirror(turn)), turn, atol=1e-6)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_of_a_symmetric_motion_only_the_uniform_squeeze_is_turn(seed):
    part = turning_part(symmetric(seed), symmetric(seed))
    x = identity_grid(16, 16, like=part)[:, :1]
    scale = part[0, 0, 0, -1]
    assert torch.allclose(part[:, :1], scale * x, atol=1e-6)
    assert part[:, 1:].abs().max() < 1e-6


def test_a_smile_is_no_turn_and_the_squeeze_of_a_turned_head_is():
    grid = identity_grid(16, 16, like=torch.zeros(1))
    smile = torch.zeros(1, 2, 16, 16)
    smile[:, 1, 10:13, 4:6] = smile[:, 1, 10:13, 10:12] = 0.1
    squeeze = torch.cat((0.2 * grid[:, :1], torch.zeros_like(grid[:, :1])), dim=1)
    assert turning_part(smile, smile).abs().max() < 1e-6
    assert torch.allclose(turning_part(smile + squeeze, smile + squeeze), squeeze, atol=1e-6)
