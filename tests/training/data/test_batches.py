"""Reading crops: in threads, with broken pictures among them, from memory or not."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facecycle_cli.errors import DataError
from facecycle_cli.training.data import frames
from facecycle_cli.training.data.batches import Batches, Share
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore, middle_square
from facecycle_cli.training.data.pairs import PairSampler, ViewPair
from tests.training.conftest import face, write_clip


def batches(root, *, keep=False, workers=0, first=0, last=6, share=None, side=48):
    index = find_crops([root])
    notes = []
    store = FrameStore(index, side, keep=keep, note=notes.append)
    sampler = PairSampler(index, "mixed", seed=1)
    share = share or Share(4, 0, 4)
    made = list(Batches(store, sampler, share, first=first, last=last, workers=workers))
    return made, store, notes


def same(a, b):
    return all(
        torch.equal(x.views, y.views) and torch.equal(x.mirrored, y.mirrored)
        for x, y in zip(a, b, strict=True)
    )


def test_threads_and_memory_change_nothing(clips):
    plain, _, _ = batches(clips)
    threaded, _, _ = batches(clips, workers=3)
    kept, store, _ = batches(clips, keep=True, workers=2)
    assert same(plain, threaded)
    assert same(plain, kept)
    assert store.keeps
    assert [b.step for b in plain] == list(range(6))


def test_begins_anywhere(clips):
    whole, _, _ = batches(clips)
    rest, _, _ = batches(clips, first=4, workers=2)
    assert same(whole[4:], rest)


def test_shares_are_slices(clips):
    whole, _, _ = batches(clips)
    parts = [batches(clips, share=Share.of(4, rank, 2))[0] for rank in (0, 1)]
    for step, batch in enumerate(whole):
        together = torch.cat([part[step].views for part in parts], dim=1)
        assert torch.equal(batch.views, together)


def test_memory_is_read_once(clips, monkeypatch):
    index = find_crops([clips])
    store = FrameStore(index, 32, keep=True)
    first = store.frame(3).copy()
    monkeypatch.setattr(type(index), "read", None)  # any more reading fails
    assert np.array_equal(store.frame(3), first)


def test_a_broken_picture_is_skipped_counted_and_said(tmp_path, clips):
    shutil.copytree(clips, tmp_path / "crops")
    broken = tmp_path / "crops/id0/v/00000/000002.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "crops/id1/v/00000/000000.jpg").write_bytes(b"")
    made, store, notes = batches(tmp_path / "crops", workers=2, last=40)
    assert len(made) == 40
    assert len(store.broken) == 2
    assert any(str(broken) in note and "skipped" in note for note in notes)
    again, _, _ = batches(tmp_path / "crops", keep=True, first=20, last=40)
    assert same(made[20:], again)


def test_in_place_of_a_broken_picture_comes_the_next_but_never_the_same(tmp_path):
    write_clip(tmp_path / "a", 4, 1)
    write_clip(tmp_path / "b", 4, 2)
    for name in ("a/000001.jpg", "a/000002.jpg"):
        (tmp_path / name).write_bytes(b"broken")
    index = find_crops([tmp_path])
    store = FrameStore(index, 32, keep=False)
    sampler = PairSampler(index, "other-frames", seed=0)
    first, second, mirrored, *_ = store.views(ViewPair(0, 1, 3, False), sampler)
    assert np.array_equal(first, store.frame(3))  # 1 and 2 are broken
    assert np.array_equal(second, store.frame(0))  # 3 is taken
    assert not mirrored
    (tmp_path / "a/000003.jpg").write_bytes(b"broken")
    fresh = FrameStore(index, 32, keep=False)
    first, second, mirrored, *_ = fresh.views(ViewPair(0, 1, 3, False), sampler)
    assert mirrored  # one picture is left
    assert np.array_equal(first, second)
    (tmp_path / "a/000000.jpg").write_bytes(b"broken")
    fresh = FrameStore(index, 32, keep=False)
    first, *_, person = fresh.views(ViewPair(0, 1, 3, False), sampler)
    assert np.array_equal(first, fresh.frame(4))  # the next group
    assert person == 1


def test_nothing_readable_ends_the_run(tmp_path):
    write_clip(tmp_path / "a", 4, 1)
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"no readable picture in 100 folders"):
        batches(tmp_path)


@pytest.mark.parametrize("shape", [(80, 80), (100, 80), (60, 90), (20, 20)])
def test_the_middle_square_at_any_size(shape):
    picture = face(1, 120)[: shape[0], : shape[1]]
    assert middle_square(picture, 64).shape == (64, 64, 3)
    assert middle_square(picture, 64).flags.c_contiguous


def test_shrinking_averages_and_a_fitting_picture_is_left_alone():
    board = np.indices((80, 80)).sum(0) % 2 * 255
    board = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    assert abs(middle_square(board, 40).astype(int) - 127).max() <= 1
    assert np.array_equal(middle_square(board, 80), board)


def test_room_in_memory(monkeypatch):
    free = SimpleNamespace(available=2 * 1000 * 80 * 80 * 3)
    monkeypatch.setattr(frames.psutil, "virtual_memory", lambda: free)
    assert frames.fits_in_memory(1000, 80, 1)
    assert not frames.fits_in_memory(1000, 80, 2)
