"""Which pairs are drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.training.data.index import IndexBuilder
from facecycle_cli.training.data.pairs import PairSampler


def index_of(*sizes):
    builder = IndexBuilder([Path("data")])
    for number, size in enumerate(sizes):
        builder.add(0, f"clip{number:03d}", [f"{i}.jpg" for i in range(size)])
    return builder.build()


def test_an_epoch_draws_every_group_once_in_another_order():
    sampler = PairSampler(index_of(*[5] * 12), "other-frames", seed=3)
    epochs = [
        [pair.group for step in range(3 * e, 3 * e + 3) for pair in sampler.pairs(step, 4).each()]
        for e in range(3)
    ]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_batches_that_do_not_fit_into_an_epoch_lose_nothing():
    sampler = PairSampler(index_of(*[5] * 10), "other-frames", seed=0)
    groups = [p.group for step in range(10) for p in sampler.pairs(step, 3).each()]  # three epochs
    assert Counter(groups) == dict.fromkeys(range(10), 3)


def test_a_function_of_seed_and_step_alone():
    index = index_of(*[6] * 9, 1, 2)
    first, second, other = (PairSampler(index, "mixed", seed=s) for s in (7, 7, 8))
    for step in (41, 0, 5):  # in any order
        assert first.pairs(step, 4).each() == second.pairs(step, 4).each()
    assert [first.pairs(s, 4).each() for s in range(5)] != [
        other.pairs(s, 4).each() for s in range(5)
    ]


def test_the_parts_of_several_processes_are_the_whole():
    sampler = PairSampler(index_of(*[6] * 9), "mixed", seed=7)
    parts = [sampler.pairs(2, 6, start, start + 2).each() for start in (0, 2, 4)]
    assert [pair for part in parts for pair in part] == sampler.pairs(2, 6).each()


def test_other_frames_are_never_the_same_frame_and_reach_the_last_one():
    sampler = PairSampler(index_of(4, 7), "other-frames", seed=0)
    pairs = [p for step in range(300) for p in sampler.pairs(step, 2).each()]
    assert all(p.first != p.second and not p.mirrored for p in pairs)
    for which in ("first", "second"):
        counts = Counter(getattr(p, which) for p in pairs)
        assert set(counts) == set(range(11))
        assert min(counts[i] for i in range(4)) > 45  # of 300 / 4 = 75 on average
    combinations = {(p.first, p.second) for p in pairs if p.group == 0}
    assert len(combinations) == 12


def test_flip_pairs_a_picture_with_itself():
    sampler = PairSampler(index_of(1, 5, 2), "flip", seed=0)
    pairs = [p for step in range(20) for p in sampler.pairs(step, 3).each()]
    assert all(p.mirrored and p.first == p.second for p in pairs)
    assert {p.group for p in pairs} == {0, 1, 2}


def test_mixed_mirrors_small_groups_always_and_large_ones_in_their_share():
    sampler = PairSampler(index_of(*[6] * 10, *[2] * 10), "mixed", seed=1, flip_share=0.3)
    pairs = [p for step in range(200) for p in sampler.pairs(step, 10).each()]
    assert all(p.mirrored for p in pairs if p.group >= 10)
    large = [p.mirrored for p in pairs if p.group < 10]
    assert np.mean(large) == pytest.approx(0.3, abs=0.05)


def test_group_share_is_exact_in_every_batch():
    index = index_of(*[6] * 4, *[1] * 30)
    sampler = PairSampler(index, "mixed", seed=1, flip_share=0.0, group_share=0.75)
    for step in range(20):
        groups = [p.group for p in sampler.pairs(step, 8).each()]
        assert sum(g < 4 for g in groups) == 6
    small = [p.group for s in range(15) for p in sampler.pairs(s, 8).each() if p.group >= 4]
    assert sorted(small) == list(range(4, 34))  # 15 x 2: every single picture once


def test_small_groups_are_dropped_for_other_frames():
    sampler = PairSampler(index_of(3, 4, 1, 5), "other-frames", seed=0)
    assert len(sampler) == 2
    assert {p.group for s in range(9) for p in sampler.pairs(s, 2).each()} == {1, 3}


def test_folders_with_one_frame_cannot_give_other_frames():
    with pytest.raises(DataError, match="no folder holds 4 or more pictures of one person"):
        PairSampler(index_of(1, 1, 3), "other-frames", seed=0)


def test_held_out_groups_are_never_drawn():
    index = index_of(*[5] * 50, *[1] * 50)
    sampler = PairSampler(index, "mixed", seed=0, holdout=64)
    held_out = {p.group for p in sampler.held_out_pairs().each()}
    assert len(held_out) == 5  # a twentieth
    drawn = {p.group for step in range(40) for p in sampler.pairs(step, 5).each()}
    assert drawn | held_out == set(range(100))
    assert not drawn & held_out
    assert sampler.held_out_pairs().each() == sampler.held_out_pairs().each()
    assert len(PairSampler(index_of(*[5] * 19), "mixed", seed=0, holdout=64).held_out) == 0
