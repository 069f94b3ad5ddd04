from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.__main__ import main
from tests.cli import invert_command


@pytest.fixture
def invert(tmp_path, monkeypatch):
    """The tiny command in ``tmp_path``: the whole of `main`, but without a process of its own."""
    assert invert_command.invert

    def run(*arguments, stdin=b"", env=None):
        outputs = io.BytesIO(), io.BytesIO()
        handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["facecycle", "invert", *map(os.fspath, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(outputs[0], "utf-8"))
            patch.setattr(sys, "stderr", io.TextIOWrapper(outputs[1], "utf-8"))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            try:
                with pytest.raises(SystemExit) as stop:
                    main()
                sys.stderr.flush()
                code = stop.value.code
                return subprocess.CompletedProcess(
                    arguments, code, *(o.getvalue() for o in outputs)
                )
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)

    return run


@pytest.fixture
def pictures(tmp_path, photo):
    """a.png, b.jpg and a folder: sub/c.png, sub/deep/d.png, sub/notes.txt."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    for name in ["a.png", "b.jpg", "sub/c.png", "sub/deep/d.png"]:
        Image.fromarray(photo).save(tmp_path / name)
    (tmp_path / "sub" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def black(tmp_path):
    path = tmp_path / "black.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    return path
