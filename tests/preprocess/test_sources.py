"""What counts as a source, and where its crops go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.errors import MediaError
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.media.files import LeftOut
from facecycle_cli.preprocess import PreprocessSettings
from facecycle_cli.preprocess.extract import extract_crops
from facecycle_cli.preprocess.sources import Problem, Source, find_sources, in_shard, made_by_us
from facecycle_cli.preprocess.store import open_sink


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def targets(root: Path, **settings) -> dict[str, str]:
    found = list(find_sources(str(root), PreprocessSettings(**settings)))
    assert all(isinstance(item, Source) for item in found), found
    return {item.id.partition("/")[2]: item.target for item in found}


def problems(root: Path | str, **settings) -> list[str]:
    found = list(find_sources(str(root), PreprocessSettings(**settings)))
    return [item.reason for item in found if isinstance(item, Problem)]


def test_every_kind_of_source_in_one_tree(tree):
    assert targets(tree) == {
        "A.J._Buckley/1.6/Y8hIVOBuels": "A.J._Buckley/Y8hIVOBuels/1.6",
        "alice/portrait.jpg": "alice/images/0001/portrait",
        "alice/trip/day1.mp4": "alice/trip/day1",
        'alice/trip/day 2 "it\'s"\nlonger.mp4': 'alice/trip/day 2 "it\'s"\nlonger',
        "bob/ünïcode.webm": "bob/ünïcode",
        "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4": "id00012/21Uxsk56VDQ/00001",
        "dev/mp4/id00012/21Uxsk56VDQ/00002.mp4": "id00012/21Uxsk56VDQ/00002",
        "test/mp4/id00017/01dfn2spqyE/00001.mp4": "id00017/01dfn2spqyE/00001",
        "top.jpg": "top_jpg/images/0001/top_jpg",
        "top.mov": "top_mov/top_mov",
    }


@pytest.mark.parametrize(
    "inside", ["dev", "dev/mp4", "dev/mp4/id00012", "dev/mp4/id00012/21Uxsk56VDQ"]
)
def test_any_part_of_a_voxceleb_tree_gives_the_same_targets(tree, inside):
    found = set(targets(tree / inside).values())
    assert found == {"id00012/21Uxsk56VDQ/00001", "id00012/21Uxsk56VDQ/00002"}


def test_a_single_clip_of_voxceleb(tree):
    (source,) = find_sources(
        str(tree / "dev/mp4/id00012/21Uxsk56VDQ/00002.mp4"), PreprocessSettings()
    )
    assert (source.id, source.target) == ("00002.mp4", "id00012/21Uxsk56VDQ/00002")


def test_frames_in_folders_of_utterances(tmp_path):
    touch(tmp_path, "Zed/1.6/vid/1/01.jpg", "Zed/1.6/vid/2/01.jpg")
    assert sorted(targets(tmp_path).values()) == ["Zed/vid/1.6-1", "Zed/vid/1.6-2"]


def test_layouts_choose(tree):
    assert len(targets(tree, layout="videos")) == 7
    assert set(targets(tree, layout="images")) == {
        "A.J._Buckley/1.6/Y8hIVOBuels/0000025.jpg",
        "A.J._Buckley/1.6/Y8hIVOBuels/0000050.jpg",
        "alice/portrait.jpg",
        "top.jpg",
    }
    voxceleb = targets(tree, layout="voxceleb")
    assert voxceleb["alice/trip/day1.mp4"] == "alice/trip/day1"  # taken at the user's word
    assert "alice/portrait.jpg" not in voxceleb


def test_tracks_are_numbered_where_nobody_promises_one_person(tree):
    numbered = {s.target: s.numbered for s in find_sources(str(tree), PreprocessSettings())}
    assert not numbered["id00012/21Uxsk56VDQ/00001"]
    assert not numbered["A.J._Buckley/Y8hIVOBuels/1.6"]
    assert numbered["alice/trip/day1"]
    assert all(s.numbered for s in find_sources(str(tree), PreprocessSettings(faces="all")))


@pytest.mark.parametrize("layout", ["auto", "voxceleb"])
@pytest.mark.parametrize("below", ["", "id10270"])
def test_whole_videos_of_voxceleb_belong_to_their_person(tmp_path, layout, below):
    root = touch(tmp_path / "vox1", "id10270/5r0dWxy17C8.mp4", "id10270/7k/00001.mp4") / below
    found = {
        s.target: s.numbered for s in find_sources(str(root), PreprocessSettings(layout=layout))
    }
    assert found == {"id10270/5r0dWxy17C8": True, "id10270/7k/00001": False}


def test_names_that_differ_in_their_suffix_alone_stay_apart(tmp_path):
    touch(tmp_path, "p/a.mp4", "p/a.mkv", "p/b.mp4", "p/b/c.mp4", "p/images.mp4", "p/d.jpg")
    found = targets(tmp_path)
    assert found["p/a.mp4"] == "p/a_mp4"
    assert found["p/a.mkv"] == "p/a_mkv"
    assert found["p/b.mp4"] == "p/b_mp4"
    assert found["p/b/c.mp4"] == "p/b/c"
    assert found["p/images.mp4"] == "p/images_mp4"


def test_no_target_lies_inside_another_or_has_a_dot_in_its_last_part(tmp_path):
    touch(
        tmp_path, "a.mp4", "a/a.mp4", "a/a/a.mp4", "a/0001.mp4", "a/x.y.jpg", "a/images/0001/z.jpg"
    )
    found = sorted(targets(tmp_path).values())
    assert len(set(found)) == 6
    for one in found:
        assert "." not in one.rpartition("/")[2]
        assert not any(other.startswith(f"{one}/") for other in found)


def test_order_and_names_are_those_of_the_tree_not_of_where_it_is(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [
        [s.id for s in find_sources(name, PreprocessSettings())]
        for name in (str(tree), "tree", "tree/")
    ]
    assert found[0] == found[1] == found[2]
    assert all(name.startswith("tree/") for name in found[0])


def test_what_cannot_be_used_is_said(tmp_path):
    assert problems(tmp_path / "missing") == ["no such file or folder"]
    assert problems(touch(tmp_path / "notes", "a.txt")) == ["no video or picture in this folder"]
    assert problems(tmp_path / "notes", layout="videos") == ["no video in this folder"]
    (reason,) = problems(tmp_path / "notes" / "a.txt")
    assert reason == "no video or picture, judging by its suffix"


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "real/a.mp4")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "circle").symlink_to(tmp_path / "tree")
    assert targets(tmp_path / "tree") == {"link/a.mp4": "link/a"}


def test_crops_hidden_files_and_the_output_are_left_out(tmp_path):
    touch(tmp_path, "a.mp4", ".hidden.mp4", ".git/b.mp4", "out/c.mp4")
    touch(tmp_path, "crops/config.json", "crops/index.jsonl", "crops/a/a/0001/000000.jpg")
    found = find_sources(str(tmp_path), PreprocessSettings(), skip=str(tmp_path / "out"))
    assert [source.target for source in found] == ["a/a"]


def test_what_is_left_out_is_counted(tmp_path):
    touch(tmp_path, "a.mp4", "x/1.cr2", "x/2.CR2", "3.psd", "notes.txt", ".4.nef")
    touch(tmp_path, "out/c.mp4", "out/d/e.jpg", "out/index.jsonl")
    touch(tmp_path, "crops/config.json", "crops/index.jsonl", "crops/a/a/0001/000000.jpg")
    left_out = LeftOut()
    found = find_sources(
        str(tmp_path), PreprocessSettings(), skip=str(tmp_path / "out"), left_out=left_out
    )
    assert [source.target for source in found] == ["a/a"]
    assert left_out.lines("file") == [
        "3 files left out: results of facecycle",
        "2 .cr2 files, 1 .psd file left out: not readable",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_devices_and_pipes_are_refused_by_their_reader(tmp_path, backend):
    """Then the index has a line for them, and the next run has nothing to say."""
    os.mkfifo(tmp_path / "b.mp4")
    os.mkfifo(tmp_path / "no source")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    assert problems(tmp_path) == []
    settings = PreprocessSettings()
    sources = list(find_sources(str(tmp_path), settings))
    assert [source.kind for source in sources] == ["video", "photo"]
    for source in sources:
        sink = open_sink(source, settings, tmp_path / "x")
        with pytest.raises(MediaError, match="not a regular file"):
            extract_crops(source, settings, backend, sink, lambda frames: None)
    assert problems(tmp_path / "b.mp4") == ["not a regular file"]
    assert problems("/dev/zero") == ["not a regular file"]


def test_a_result_does_not_change_the_name_of_what_it_was_made_of(tmp_path, photo):
    touch(tmp_path, "p/a.jpg")
    before = targets(tmp_path)
    write_image(photo, tmp_path / "p" / "a.png", provenance=Provenance("test"))
    assert targets(tmp_path) == before


def test_results_are_known_in_every_kind_of_source(tmp_path, photo):
    tag = Provenance("test")
    touch(tmp_path, "p/a.jpg", "Zed/1.6/mixed/1.jpg", "Zed/1.6/mixed/3.txt")
    for name in ("p/b.jpg", "Zed/1.6/mixed/2.png", "Zed/1.6/ours/1.png", "Zed/1.6/ours/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(photo, tmp_path / name, provenance=tag)
    found = {s.target: made_by_us(s) for s in find_sources(str(tmp_path), PreprocessSettings())}
    assert found == {
        "Zed/mixed/1.6": False,
        "Zed/ours/1.6": True,
        "p/images/0001/a": False,
        "p/images/0001/b": True,
    }


def test_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    open(path, "wb").close()
    (source,) = find_sources(str(tmp_path), PreprocessSettings())
    assert os.fsencode(source.path) == path
    assert in_shard(source.id, 1, 1)


@given(st.lists(st.text(min_size=1), unique=True, max_size=50), st.integers(1, 9))
def test_every_source_is_in_exactly_one_share(names, count):
    for name in names:
        assert sum(in_shard(name, number, count) for number in range(1, count + 1)) == 1


def test_shares_are_about_equal():
    names = [f"vox2/dev/mp4/id{i:05d}/x/00001.mp4" for i in range(4000)]
    sizes = [sum(in_shard(name, number, 4) for name in names) for number in range(1, 5)]
    assert min(sizes) > 900
