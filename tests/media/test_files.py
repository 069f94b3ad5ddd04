"""Inputs found, outputs complete or absent."""

from __future__ import annotations

import os
import stat
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facecycle_cli.media import expand_inputs
from facecycle_cli.system import PendingFile, atomic_path


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


def test_atomic_path_appears_at_the_end(tmp_path):
    target = tmp_path / "new" / "x.png"
    with atomic_path(target) as path:
        assert path.parent == target.parent
        assert path.suffix == ".png"
        path.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert [p.name for p in target.parent.iterdir()] == ["x.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_leaves_nothing_of_a_failure(tmp_path, error):
    target = tmp_path / "x.png"
    target.write_bytes(b"old")

    with pytest.raises(error), atomic_path(target) as path:  # noqa: PT012 (it is about the middle)
        path.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_devices_are_written_and_links_followed(tmp_path):
    assert str(PendingFile("/dev/null").path) == "/dev/null"
    with atomic_path("/dev/null") as path:
        path.write_bytes(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "real.png")
    with atomic_path(link) as path:
        path.write_bytes(b"data")
    assert link.is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"data"


def test_longest_names_work(tmp_path):
    target = tmp_path / ("x" * 251 + ".png")
    with atomic_path(target) as path:
        path.touch()
    assert target.exists()
