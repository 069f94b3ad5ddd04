"""Atomic writing, hashes, CPU cores, and libraries of optional extras."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time

import pytest

from facecycle_cli.errors import MissingExtraError, OutputError
from facecycle_cli.system import (
    PendingFile,
    atomic_path,
    import_extra,
    import_in_thread,
    require_extra,
    sha256_of,
    usable_cores,
)


@pytest.mark.parametrize("check", [import_extra, require_extra])
def test_missing_library_is_named_with_its_remedy(check, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.metrics", raising=False)
    with pytest.raises(
        MissingExtraError, match=r"scikit-learn: pip install 'facecycle\[evaluate\]'"
    ):
        check("sklearn.metrics")


def test_require_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "facecycle_probe_a.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    require_extra("facecycle_probe_a")
    assert "facecycle_probe_a" not in sys.modules


def test_prepare_imports_in_the_background_and_leaves_errors_to_the_user(tmp_path, monkeypatch):
    (tmp_path / "facecycle_probe_b.py").write_text("")
    (tmp_path / "facecycle_probe_c.py").write_text("raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    import_in_thread("facecycle_probe_c")
    import_in_thread("facecycle_probe_b")
    end = time.monotonic() + 30
    while "facecycle_probe_b" not in sys.modules and time.monotonic() < end:
        time.sleep(0.01)
    assert "facecycle_probe_b" in sys.modules
    with pytest.raises(RuntimeError, match="broken"):
        import_extra("facecycle_probe_c")


# -- files ----------------------------------------------------------------------------------------


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
    (tmp_path / "real.png").touch()
    with atomic_path(link) as path:
        path.write_bytes(b"data")
    assert link.is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"data"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("name", ["link", "link/x.png", "link/new/x.png", "there/chain"])
def test_a_link_to_nowhere_makes_no_file(tmp_path, name):
    """Whoever may write into a folder could otherwise choose where our files are made."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "real").mkdir()
    (tmp_path / "there").symlink_to("real")
    (tmp_path / "real" / "chain").symlink_to("../link")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="is a link that leads nowhere"):
        PendingFile(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_folder_that_is_a_link_is_written_into(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_path(tmp_path / "link" / "new" / "x.png") as path:
        path.write_bytes(b"data")
    assert (tmp_path / "real" / "new" / "x.png").read_bytes() == b"data"


def test_longest_names_work(tmp_path):
    target = tmp_path / ("x" * 251 + ".png")
    with atomic_path(target) as path:
        path.touch()
    assert target.exists()


def test_a_pending_file_is_committed_or_discarded(tmp_path):
    target = tmp_path / "a.txt"
    discarded, committed = PendingFile(target), PendingFile(target)
    for pending in (discarded, committed):
        assert pending.is_temporary
        pending.path.write_text("whole")
    discarded.discard()
    assert not target.exists()
    committed.commit()
    assert target.read_text() == "whole"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_hash_of_a_file(tmp_path, size):
    (tmp_path / "a").write_bytes(b"x" * size)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"x" * size).hexdigest()


# -- the machine ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set as Linux has them")
def test_cores_are_those_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    assert usable_cores() == len(before)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
