"""The same run on a Ray cluster of two workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import types

import pytest

from facecycle_cli.errors import MissingExtraError, PreprocessError
from facecycle_cli.preprocess import PreprocessSettings, preprocess
from facecycle_cli.preprocess.workers import WorkerTask
from tests.clips import FACES, digests, make_clip
from tests.conftest import ROOT


def test_says_what_is_missing_without_the_package(tmp_path, monkeypatch):
    from facecycle_cli.preprocess.ray import RayPool

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'facecycle\[ray\]'"):
        RayPool(WorkerTask(PreprocessSettings(), tmp_path, 60), "auto")


def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path, monkeypatch):
    from facecycle_cli.preprocess.ray import RayPool

    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    task = WorkerTask(PreprocessSettings(), tmp_path, 60)
    for address in (f"127.0.0.1:{port}", "127.0.0.1:99999"):
        with pytest.raises(PreprocessError, match=f"^--ray {address}: "):
            RayPool(task, address)


@pytest.mark.slow
def test_a_cluster_makes_what_one_machine_makes(tmp_path, clip):
    pytest.importorskip("ray", reason="needs ray (the extra ray)")
    root = tmp_path / "in"
    make_clip(root / "a" / "one.mp4", clip)
    make_clip(root / "a" / "two.mp4", clip, start=0.3, seconds=0.6)
    for face in FACES[:3]:
        (root / face.name).write_bytes(face.read_bytes())
    (root / "broken.mp4").write_bytes(b"no video")
    preprocess([str(root)], tmp_path / "here", PreprocessSettings(), workers=1)
    code = (
        "import ray\n"
        "ray.init('local', num_cpus=2, include_dashboard=False, logging_level='error')\n"
        "from facecycle_cli.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, "preprocess", root, "-o", tmp_path / "there"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*map(str, command), "--ray", "auto"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr  # of the broken one
    assert b"broken.mp4: not a readable video" in done.stderr
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
