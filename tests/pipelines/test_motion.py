"""The motion that a face shares with its mirror image."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facecycle_cli.model.flow import identity_grid, mirror
from facecycle_cli.pipelines.motion import symmetric_part

seeds = st.integers(0, 2**31 - 1)


def flow(seed: int) -> torch.Tensor:
    return torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(seed)) / 10


@given(seeds, seeds)
@settings(max_examples=25, deadline=None)
def test_is_symmetric(a, b):
    part = symmetric_part(flow(a), flow(b))
    assert torch.allclose(mirror(part), part, atol=1e-6)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_a_motion_that_mirroring_reverses_vanishes(seed):
    turn = flow(seed)
    turn = (turn - mirror(turn)) / 2
    assert symmetric_part(turn, mirror(turn)).abs().max() < 1e-6


def test_a_smile_survives_and_the_squeeze_of_a_turned_head_does_not():
    grid = identity_grid(16, 16, like=torch.zeros(1))
    smile = torch.zeros(1, 2, 16, 16)
    smile[:, 1, 10:13, 4:6] = smile[:, 1, 10:13, 10:12] = 0.1
    squeeze = torch.cat((0.2 * grid[:, :1], torch.zeros_like(grid[:, :1])), dim=1)
    assert torch.allclose(symmetric_part(smile + squeeze, smile + squeeze), smile, atol=1e-6)
