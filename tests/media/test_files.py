"""Inputs found by name, in folders, and by globs."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facecycle_cli.media import Provenance, expand_inputs, write_image
from facecycle_cli.media import files as files_module
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut


@pytest.fixture
def tree(tmp_path):
    for name in ["b.png", "a.JPG", "c.mp4", "d.gif", "notes.txt", ".hidden.png", "sub/e.webp"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def relatives(patterns, *kinds):
    return [item.relative for item in expand_inputs(list(map(str, patterns)), set(kinds))]


def test_folders_are_walked_in_order_by_kind(tree):
    assert relatives([tree], "image") == ["a.JPG", "b.png", "d.gif", os.path.join("sub", "e.webp")]
    assert relatives([tree], "video") == ["c.mp4", "d.gif"]
    assert relatives([tree], "image", "video")[:3] == ["a.JPG", "b.png", "c.mp4"]


def test_named_files_are_taken_whatever_they_are_called(tree):
    (item,) = expand_inputs([str(tree / "notes.txt")], {"image"})
    assert item.problem is None
    assert not item.from_folder
    assert os.fspath(item) == str(item) == str(tree / "notes.txt")


def test_globs(tree):
    assert relatives([tree / "*.[pJ]*"], "image") == ["a.JPG", "b.png"]
    assert relatives([tree / "**" / "*.webp"], "image") == ["e.webp"]


def test_name_with_glob_characters_is_a_name_first(tree):
    (tree / "x[1].png").touch()
    (tree / "x1.png").touch()
    assert relatives([tree / "x[1].png"], "image") == ["x[1].png"]


def test_dash_is_standard_input(tree):
    (item,) = expand_inputs(["-"], {"image"})
    assert item.is_stdin


def test_patterns_that_lead_nowhere_are_said_and_passed(tree):
    (tree / "void").mkdir()
    patterns = [str(tree / name) for name in ("gone.png", "*.xyz", "void", "b.png")]
    problems = [item.problem for item in expand_inputs(patterns, {"image"})]
    assert problems == [
        "no such file or folder",
        "no such file or folder",
        "no images in this folder",
        None,
    ]


def test_inputs_are_found_as_they_are_asked_for(tree):
    found = expand_inputs([str(tree)], {"image"})
    next(found)
    (tree / "sub" / "f.png").touch()
    assert [item.relative for item in found][-1] == os.path.join("sub", "f.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_followed_but_not_in_circles(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "g.png").touch()
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "away").symlink_to(elsewhere)
    found = relatives([tree], "image")
    assert os.path.join("sub", "away", "g.png") in found
    assert len(found) == 5


def made(path, photo):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(photo, path, provenance=Provenance("test"))


def walk(*patterns, skip=None, kinds=("image",)):
    left_out = LeftOut()
    items = expand_inputs(list(map(str, patterns)), set(kinds), skip=skip, left_out=left_out)
    return list(items), left_out


def test_results_and_the_output_folder_are_left_out_of_walks(tree, photo):
    made(tree / "b_frontal.png", photo)
    made(tree / "sub" / "x.jpg", photo)
    made(tree / "out" / "y.webp", photo)
    (tree / "out" / "deep").mkdir()
    (tree / "out" / "deep" / "no_tag.png").touch()
    items, left_out = walk(tree, skip=tree / "out")
    assert [i.relative for i in items] == ["a.JPG", "b.png", "d.gif", os.path.join("sub", "e.webp")]
    assert left_out.results == 4
    assert left_out.lines()[0] == "4 pictures left out: results of facecycle"
    ((item,), left_out) = walk(tree / "b_frontal.png")
    assert (item.problem, left_out.lines()) == (None, [])


def test_an_output_folder_that_is_the_input_is_walked(tree, photo):
    made(tree / "x.png", photo)
    items, left_out = walk(tree, skip=tree)
    assert (len(items), left_out.results) == (4, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_an_output_folder_is_known_by_any_name(tree, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(tree / "sub")
    items, left_out = walk(tree, skip=link)
    assert (len(items), left_out.results) == (3, 1)


def test_a_folder_of_results_alone_is_no_problem(tmp_path, photo):
    made(tmp_path / "x.png", photo)
    items, left_out = walk(tmp_path)
    assert (items, left_out.lines()) == ([], ["1 picture left out: results of facecycle"])


def test_what_cannot_be_read_is_counted_by_kind(tree):
    for name in ("1.CR2", "2.cr2", "3.psd", "sub/4.svg", "5.webm", ".6.nef"):
        (tree / name).touch()
    _, left_out = walk(tree)
    assert left_out.lines() == [
        "1 .mp4 file, 1 .webm file left out: no pictures",
        "2 .cr2 files, 1 .psd file, 1 .svg file left out: not readable",
    ]
    _, left_out = walk(tree, kinds=("image", "video"))
    assert left_out.unreadable == {".cr2": 2, ".psd": 1, ".svg": 1}


def test_heic_counts_as_readable_if_its_extra_is_there(tmp_path, monkeypatch):
    for name in ("a.heic", "b.HEIF", "c.hif"):
        (tmp_path / name).touch()
    heif = {".heic", ".heif", ".hif"}
    monkeypatch.setitem(files_module._SUFFIXES, "image", IMAGE_SUFFIXES | heif)
    assert len(walk(tmp_path)[0]) == 3
    monkeypatch.setitem(files_module._SUFFIXES, "image", IMAGE_SUFFIXES - heif)
    monkeypatch.setattr(files_module, "UNREADABLE_SUFFIXES", frozenset(heif))
    ((item,), left_out) = walk(tmp_path)
    assert item.problem == "no images in this folder"
    assert left_out.unreadable == dict.fromkeys(heif, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_a_folder_may_hold_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("a.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    (tmp_path / "e.png").symlink_to("nowhere.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "d.png"))
        items, _ = walk(tmp_path)
    assert [item.problem for item in items] == ["not a regular file"] * 4 + [None]


def test_files_that_differ_in_their_suffix_alone_are_marked(tmp_path, photo):
    for name in ("IMG_1.jpg", "IMG_1.png", "IMG_2.jpg", "deep/IMG_2.png", "IMG_3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    made(tmp_path / "IMG_3.png", photo)  # a result takes no part
    expected = {"IMG_1.jpg", "IMG_1.png"}
    items, left_out = walk(tmp_path)
    assert {item.relative for item in items if item.shares_stem} == expected
    assert left_out.results == 1
    assert {i.relative for i in walk(tmp_path / "*_[12].*")[0] if i.shares_stem} == expected
    named = [tmp_path / n for n in ("IMG_1.jpg", "IMG_1.png", "IMG_1.jpg", "deep/IMG_2.png")]
    assert {i.relative for i in walk(*named)[0] if i.shares_stem} == expected
    assert not any(i.shares_stem for i in walk(tmp_path / "IMG_1.jpg")[0])


@example(["**"])
@given(st.lists(st.text("abc./*[]?-", min_size=1, max_size=6), max_size=4))
def test_any_patterns_give_each_at_least_one_input(patterns):
    patterns = [f"/nonexistent/{pattern}" for pattern in patterns]
    items = list(expand_inputs(patterns, {"image"}))
    assert len(items) >= len(patterns)
    assert all(item.problem for item in items)
