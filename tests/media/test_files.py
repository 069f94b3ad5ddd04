"""Inputs found by name, in folders, and by globs."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facecycle_cli.media import expand_inputs


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


@example(["**"])
@given(st.lists(st.text("abc./*[]?-", min_size=1, max_size=6), max_size=4))
def test_any_patterns_give_each_at_least_one_input(patterns):
    patterns = [f"/nonexistent/{pattern}" for pattern in patterns]
    items = list(expand_inputs(patterns, {"image"}))
    assert len(items) >= len(patterns)
    assert all(item.problem for item in items)
