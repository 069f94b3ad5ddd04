"""Atomic writing, hashes, CPU cores, and libraries of optional extras."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import time
import zipfile

import pytest

from facecycle_cli.errors import MissingExtraError, OutputError
from facecycle_cli.system import (
    LOCK_FILE,
    PendingFile,
    atomic_path,
    check_zip,
    import_extra,
    import_in_thread,
    locked_folder,
    open_locked,
    parse_json,
    require_extra,
    sha256_of,
    usable_cores,
)
from tests.conftest import ROOT


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


# -- locks ----------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from facecycle_cli.system import locked_folder, open_locked
with locked_folder(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the lock of ``tmp_path / 'run'``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_a_folder_is_locked_until_its_process_dies_however_rudely(tmp_path, holder):
    folder = tmp_path / "run"
    with (
        pytest.raises(OutputError, match="another run is writing this folder"),
        locked_folder(folder),
    ):
        pytest.fail("two have the lock")
    assert (folder / LOCK_FILE).exists()
    holder.kill()
    holder.wait()
    assert (folder / LOCK_FILE).exists()
    with locked_folder(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_lock_leaves_nothing_behind(tmp_path):
    with locked_folder(tmp_path / "new" / "run"):
        assert [p.name for p in (tmp_path / "new" / "run").iterdir()] == [LOCK_FILE]
    assert list(tmp_path.iterdir()) == []
    with locked_folder(tmp_path / "run"):
        (tmp_path / "run" / "result").touch()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["result"]


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be replaced there")
@pytest.mark.parametrize("replaced", [True, False])
def test_the_lock_of_a_file_that_is_gone_is_none(tmp_path, monkeypatch, replaced):
    """Its owner replaced or removed it between our opening and our locking it."""
    path, calls = tmp_path / "index", []

    def lock(file):
        calls.append(file)
        if len(calls) == 1:
            (tmp_path / "new").touch()
            os.replace(tmp_path / "new", path)
            if not replaced:
                path.unlink()
        return True

    monkeypatch.setattr("facecycle_cli.system._lock", lock)
    with open_locked(path) as file:
        assert os.path.samestat(os.fstat(file.fileno()), path.stat())
    assert len(calls) == 2
    assert calls[0].closed


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
@pytest.mark.parametrize(
    ("number", "locked"),
    [(errno.EACCES, True), (errno.EAGAIN, True), (errno.ENOLCK, False), (errno.EOPNOTSUPP, False)],
)
def test_file_systems_say_in_their_own_ways_that_a_file_is_locked(
    tmp_path, monkeypatch, number, locked
):
    """Over NFS, and on file systems without locks."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    file = open_locked(tmp_path / "file")
    assert (file is None) == locked
    if file is not None:
        file.close()


# -- files that anybody may have made -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number of JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "4300"),
        (b"{} {}", "not JSON"),
    ],
)
def test_json_that_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason) as error:
        parse_json(text)
    assert "\n" not in str(error.value)


def test_json_that_is_read():
    assert parse_json(b' {"a": [1.5, "\\u00fc", null]} \n') == {"a": [1.5, "ü", None]}


def test_what_a_zip_file_unpacks_to(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000))
    check_zip(path, 10_000)
    with pytest.raises(ValueError, match="it unpacks to 10,000 bytes, and 9,999 are allowed"):
        check_zip(path, 9_999)
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="damaged, or not a ZIP file"):
        check_zip(path, 10_000)
