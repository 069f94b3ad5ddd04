from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.cli import invert_command
from tests.cli.call import call_for_bytes


@pytest.fixture
def invert(tmp_path, monkeypatch):
    """The tiny command in ``tmp_path``: the whole of `main`, but without a process of its own."""
    assert invert_command.invert

    def run(*arguments, stdin=b"", env=None):
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            return call_for_bytes("invert", *arguments, stdin=stdin)

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
