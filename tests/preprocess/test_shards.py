"""Tar shards hold every crop once and are read by webdataset."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from facecycle_cli.preprocess import PreprocessSettings, preprocess, read_index
from facecycle_cli.preprocess import shards as module
from tests.clips import digests

pytest.importorskip("webdataset", reason="needs webdataset (the extra dev)")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte is a thousand bytes here."""
    real = module.ShardPacker.__init__

    def init(packer, *args):
        real(packer, *args)
        packer._limit = packer._store.settings.shard_megabytes * 20_000

    monkeypatch.setattr(module.ShardPacker, "__init__", init)


def run(tree: Path, folder: Path):
    return preprocess(
        [str(tree)], folder, PreprocessSettings(format="webdataset", shard_megabytes=2)
    )


def test_webdataset_reads_what_was_written(instantly, small_shards, tree, tmp_path):
    import webdataset

    folder = tmp_path / "out"
    run(tree, folder)
    shards = sorted(folder.glob("crops-*.tar"))
    assert len(shards) >= 2
    dataset = webdataset.WebDataset([str(path) for path in shards], shardshuffle=False)
    samples = list(dataset)
    lines = {line["path"]: line for line in read_index(folder) if "path" in line}
    assert {f"{sample['__key__']}.jpg" for sample in samples} == set(lines)
    assert len(samples) == len(lines)
    for sample in samples:
        path = f"{sample['__key__']}.jpg"
        assert json.loads(sample["json"]) == lines[path]
        assert sample["jpg"] == path.encode() * 40
        assert sample["landmarks.npy"] == path.encode()


def test_shards_are_of_the_set_size_and_listed(instantly, small_shards, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, folder)
    listed = [line for line in read_index(folder) if "shard" in line]
    assert [line["shard"] for line in listed] == [f"crops-{i:06d}.tar" for i in range(len(listed))]
    for line in listed:
        path = folder / line["shard"]
        assert path.stat().st_size == line["bytes"]
        with tarfile.open(path) as tar:
            assert sum(name.endswith(".jpg") for name in tar.getnames()) == line["crops"]
    assert all(line["bytes"] <= 60_000 for line in listed)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_source_without_crops_is_in_no_shard(instantly, small_shards, tree, tmp_path):
    instantly(lambda source: "no-face" if source.id.endswith("top.mov") else "done")
    run(tree, tmp_path / "out")
    packed = [s for line in read_index(tmp_path / "out") for s in line.get("sources", [])]
    assert len(packed) == 9
    assert "tree/top.mov" not in packed


def test_crops_that_were_lost_before_they_were_packed_are_made_again(
    instantly, small_shards, tree, tmp_path, monkeypatch
):
    run(tree, tmp_path / "one")
    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module.ShardPacker, "finish", lambda *_: None)
        run(tree, folder)
    waiting = list((folder / ".unpacked").rglob("*.tar"))
    assert waiting
    waiting[0].unlink()
    run(tree, folder)
    assert digests(folder) == digests(tmp_path / "one")


def test_the_bytes_are_those_of_webdatasets_own_writer(instantly, tree, tmp_path):
    import webdataset

    folder = tmp_path / "out"
    run(tree, folder)
    (shard,) = folder.glob("crops-*.tar")
    keys = "__key__", "jpg", "json", "landmarks.npy"
    options = {"encoder": False, "mtime": 0, "user": "facecycle", "group": "facecycle"}
    with open(tmp_path / "theirs.tar", "wb") as file, webdataset.TarWriter(file, **options) as tar:
        for sample in webdataset.WebDataset(str(shard), shardshuffle=False):
            tar.write({k: sample[k] for k in keys})
    assert shard.read_bytes() == (tmp_path / "theirs.tar").read_bytes()


def test_long_names_are_read_again(instantly, tmp_path):
    import webdataset

    folder = tmp_path / "out"
    name = "ü" + 110 * "x"
    (tmp_path / "tree" / name).mkdir(parents=True)
    (tmp_path / "tree" / name / f"{name}.mp4").touch()
    run(tmp_path / "tree", folder)
    (shard,) = folder.glob("crops-*.tar")
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    paths = [line["path"] for line in read_index(folder) if "path" in line]
    assert sorted(f"{sample['__key__']}.jpg" for sample in samples) == sorted(paths)
    assert all(path.startswith(f"{name}/{name}/") for path in paths)
