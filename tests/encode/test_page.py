"""The page about encode: its code runs, and its columns are those that are written."""

from __future__ import annotations

import re

import pytest
import torch

from facecycle_cli.encode.columns import SOURCE, choose_columns
from tests.cli.call import call
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "encode.md").read_text(encoding="utf-8")


def test_the_pages_code_runs(examples, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="needs the extra evaluate")
    monkeypatch.chdir(examples / "faces")
    assert call("encode", ".", "-o", tmp_path / "codes.npz", "-q").returncode == 0
    for name, source in {"photo": "person1_smiling", "other": "person1_neutral"}.items():
        (tmp_path / f"{name}.jpg").write_bytes((examples / f"faces/{source}.jpg").read_bytes())
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    said = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert len(said) >= 4
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(code, "docs/encode.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == said


def test_the_page_lists_every_column(model):
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^(\| `\w+`.*?) \| ", PAGE, re.MULTILINE)))
    names = [SOURCE, *(column.name for column in choose_columns(model, landmarks="mesh"))]
    assert listed == names
