"""Libraries that only evaluations need."""

from __future__ import annotations

import sys
import time

import pytest

from facecycle_cli.errors import MissingExtraError
from facecycle_cli.system import import_extra, import_in_thread, require_extra


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
