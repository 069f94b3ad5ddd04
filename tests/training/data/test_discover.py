"""From folders and shards to groups of crops."""

from __future__ import annotations

import json

import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.training.data.discover import Quality, find_crops
from facecycle_cli.training.data.index import CropIndex
from tests.training.conftest import crop_line, jpeg, touch


def contents(index, root):
    """The groups, each as its paths below ``root``."""
    return [
        [index.path(crop)[len(str(root)) + 1 :] for crop in range(*index.starts[g : g + 2])]
        for g in range(index.groups)
    ]


def test_a_folder_below_is_one_person_and_a_picture_at_the_top_too(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/1.png", "a/x/1.jpg", "z.jpeg", "y.jpg", "b/notes.txt", ".c/1.jpg")
    index = find_crops([tmp_path])
    assert contents(index, tmp_path) == [
        ["y.jpg"],
        ["z.jpeg"],
        ["a/x/1.jpg"],
        ["b/1.png", "b/2.jpg"],
    ]


def test_results_of_facecycle_are_no_crops(tmp_path, photo):
    touch(tmp_path, "a/1.jpg", "a/2.jpg")
    for name in ("a/1_frontal.png", "b/1_frontal.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(photo, tmp_path / name, provenance=Provenance("frontalize"))
    notes = []
    index = find_crops([tmp_path], note=notes.append)
    assert contents(index, tmp_path) == [["a/1.jpg", "a/2.jpg"]]
    assert notes == [f"{tmp_path}: 2 pictures left out: results of facecycle"]


def test_singles_are_persons_of_their_own(tmp_path):
    touch(tmp_path, "stills/utk/1.jpg", "stills/utk/2.jpg", "people/00/1.jpg", "people/00/2.jpg")
    index = find_crops([tmp_path / "stills", tmp_path / "people"], singles=["stills"])
    assert index.sizes.tolist() == [1, 1, 2]
    index = find_crops([tmp_path], singles=["stills/utk"])
    assert sorted(index.sizes.tolist()) == [1, 1, 2]


@pytest.mark.parametrize("wanted", ["photos_faces", "utk", "photos_faces/utk"])
def test_singles_are_found_in_what_preprocess_listed(tmp_path, wanted):
    """A folder of photographs is one folder of crops."""
    listed = tmp_path / "photos_faces"
    listed.mkdir()
    lines = [crop_line(f"utk/images/0001/{i}.jpg") for i in range(3)]
    (listed / "index.jsonl").write_text("".join(lines))
    assert find_crops([listed]).sizes.tolist() == [3]
    assert find_crops([listed], singles=[wanted]).sizes.tolist() == [1, 1, 1]


def test_singles_that_are_nowhere_are_an_error(tmp_path):
    touch(tmp_path, "stills/1.jpg", "stills/2.jpg")
    assert find_crops([tmp_path / "stills"], singles=["stills"]).sizes.tolist() == [1, 1]
    with pytest.raises(DataError, match="singles: no folder 'stils'"):
        find_crops([tmp_path], singles=["stills", "stils"])


def test_linked_folders_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "far/away/1.jpg", "data/near/1.jpg", "data/near/2.jpg")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "data" / "near" / "round").symlink_to(tmp_path / "data")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "data" / "near")
    (tmp_path / "far" / "nowhere").symlink_to(tmp_path / "gone")
    index = find_crops([tmp_path / "data"])
    assert contents(index, tmp_path / "data") == [
        ["link/away/1.jpg"],
        ["link/back/1.jpg", "link/back/2.jpg"],
        ["near/1.jpg", "near/2.jpg"],
    ]


def test_a_crowd_in_one_folder_is_pointed_out(tmp_path):
    touch(tmp_path, *[f"stills/{i}.jpg" for i in range(1001)])
    notes = []
    find_crops([tmp_path], note=notes.append)
    assert "1001 pictures are taken for one person" in notes[0]


def test_the_index_of_preprocess_decides_in_whatever_order_it_was_written(tmp_path):
    lines = [
        crop_line("id1/v/00002/000001.jpg"),
        json.dumps({"source": "x", "status": "done", "target": "id1", "crops": 2}) + "\n",
        crop_line("id1/v/00001/000001.jpg"),
        crop_line("id1/v/00001/000000.jpg"),
        crop_line("id1/v/00002/000000.jpg"),
        crop_line("id1/v/00002/000000.jpg"),  # said twice by a run that was killed
        '{"path": "id1/v/00002/0000',
    ]
    touch(tmp_path, "id1/v/00001/not_listed.jpg")
    notes = []
    (tmp_path / "index.jsonl").write_text("".join(lines))
    index = find_crops([tmp_path], note=notes.append)
    assert contents(index, tmp_path) == [
        ["id1/v/00001/000000.jpg", "id1/v/00001/000001.jpg"],
        ["id1/v/00002/000000.jpg", "id1/v/00002/000001.jpg"],
    ]
    assert "1 lines cannot be read" in notes[0]


def test_quality_leaves_out_blurred_and_turned_faces(tmp_path):
    (tmp_path / "index.jsonl").write_text(
        crop_line("a/0.jpg", sharpness=20.0)
        + crop_line("a/1.jpg", yaw=-50.0)
        + crop_line("a/2.jpg", sharpness=60.0, yaw=30.0)
        + '{"path": "a/3.jpg"}\n'
    )
    quality = Quality(min_sharpness=50, max_yaw=45)
    assert contents(find_crops([tmp_path], quality=quality), tmp_path) == [["a/2.jpg"]]
    assert quality.left_out == 3
    with pytest.raises(DataError, match="none of its 4 crops is sharp and frontal enough"):
        find_crops([tmp_path], quality=Quality(min_sharpness=1000))
    touch(tmp_path / "plain", "a/0.jpg")
    with pytest.raises(DataError, match=r"has no index\.jsonl"):
        find_crops([tmp_path / "plain"], quality=Quality(max_yaw=45))


def test_shards_give_the_same_groups_and_bytes(tmp_path, write_shard):
    pictures = {f"id{p}/v/c/{i:06d}": jpeg(10 * p + i) for p in range(2) for i in range(3)}
    samples = {
        key: {"jpg": data, "json": crop_line(f"{key}.jpg", yaw=60.0 if key[-1] == "2" else 0.0)}
        for key, data in pictures.items()
    }
    samples = {
        k: {s: v if s == "jpg" else v.encode() for s, v in p.items()} for k, p in samples.items()
    }
    keys = list(samples)
    write_shard(tmp_path / "crops-000000.tar", {k: samples[k] for k in keys[:4]})
    write_shard(tmp_path / "crops-000001.tar", {k: samples[k] for k in keys[4:]})
    index = find_crops([tmp_path])
    assert index.sizes.tolist() == [3, 3]
    assert [index.read(i) for i in range(6)] == list(pictures.values())
    frontal = find_crops([tmp_path], quality=Quality(max_yaw=45))
    assert [frontal.read(i) for i in range(4)] == [pictures[k] for k in keys if k[-1] != "2"]
    single = find_crops([tmp_path / "crops-000001.tar"])
    assert [single.read(i) for i in range(2)] == [pictures[k] for k in keys[4:]]


def test_webdatasets_own_writer(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for i in range(3):
            writer.write({"__key__": f"id1/v.1/c/{i:06d}", "jpg": jpeg(i), "json": {"yaw": 0.0}})
    index = find_crops([tmp_path])
    assert index.sizes.tolist() == [3]
    assert [index.read(i) for i in range(3)] == [jpeg(i) for i in range(3)]


def test_samples_without_folders_are_persons_of_their_own(tmp_path, write_shard):
    write_shard(tmp_path / "a.tar", {"one": {"jpg": jpeg(1)}, "two": {"png": jpeg(2)}})
    assert find_crops([tmp_path]).sizes.tolist() == [1, 1]


def test_singles_are_found_in_shards(tmp_path, write_shard):
    samples = {f"{k}/images/0001/{i}": {"jpg": jpeg(i)} for k in ("a", "utk") for i in range(2)}
    write_shard(tmp_path / "a.tar", samples)
    index = find_crops([tmp_path], singles=["utk"])
    assert index.sizes.tolist() == [2, 1, 1]
    assert [index.read(i) for i in (2, 3)] == [jpeg(0), jpeg(1)]


def test_saved_and_mapped_again(tmp_path, write_shard):
    touch(tmp_path / "data", "ä ö/1.jpg", "ä ö/new\nline.jpg", "b/'quote'.jpg")
    index = find_crops([tmp_path / "data"])
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")  # again, over the old one
    loaded = CropIndex.load(tmp_path / "index")
    assert contents(loaded, tmp_path) == contents(index, tmp_path)
    assert [loaded.group_of(i) for i in range(3)] == [0, 1, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("missing", "missing: no such folder"),
        ("empty", "empty: no pictures in this folder"),
        ("text.txt", r"text.txt: neither a folder nor a \.tar shard"),
        ("bad.tar", r"bad\.tar: not a tar file"),
    ],
)
def test_what_is_no_data(tmp_path, data, message):
    (tmp_path / "empty" / "below").mkdir(parents=True)
    (tmp_path / "text.txt").write_text("no crops")
    (tmp_path / "bad.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError, match=message):
        find_crops([tmp_path / data])
