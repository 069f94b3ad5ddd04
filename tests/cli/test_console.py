"""Errors in one line, and the exit codes that they give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.cli.console import Console, one_line, prefix_errors, reason
from facecycle_cli.errors import (
    CommandError,
    FacecycleError,
    MediaError,
    SettingsError,
    exit_code_of,
)
from tests.cli.call import call


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MediaError("empty file"), "empty file"),
        (CommandError("x.png: empty file"), "x.png: empty file"),
        (ValueError("too large"), "ValueError: too large"),
        (KeyError(), "KeyError"),
        (MediaError("\nfirst\nsecond"), "first"),
        (MediaError(""), "MediaError"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "No such file or directory"),
        (
            FileNotFoundError(2, "No such file or directory", b"b.png"),
            "b.png: No such file or directory",
        ),
    ],
)
def test_reason_is_one_line(error, expected):
    assert reason(error, "a.png") == expected


def test_control_characters_are_escaped():
    assert one_line("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
    assert one_line("ü 'q\".png") == "ü 'q\".png"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MediaError("x"), 1),
        (SettingsError("x"), 2),
        (CommandError("x"), 1),
        (CommandError("x", 2), 2),
        (KeyError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code_of(error) == code


def test_the_name_is_put_in_front_once_and_the_exit_code_stays():
    for error in (SettingsError("no such setting"), CommandError("no such setting", 2)):
        with pytest.raises(CommandError) as caught, prefix_errors("a.toml"):
            raise error
        assert str(caught.value).endswith("no such setting")
        assert caught.value.exit_code == 2
    with (
        pytest.raises(CommandError, match=r"^a\.toml: empty$"),
        prefix_errors("--config"),
        prefix_errors("a.toml"),
    ):
        raise FacecycleError("empty")


def test_a_bug_keeps_its_kind():
    with pytest.raises(KeyError), prefix_errors("a.toml"):
        raise KeyError


def test_json_takes_arrays_numbers_and_paths(capsys):
    fields = {"array": np.arange(2), "number": np.float32(0.5), "path": Path("a"), "none": None}
    Console(json=True).result("ignored", fields)
    assert json.loads(capsys.readouterr().out) == {
        "array": [0, 1],
        "number": 0.5,
        "path": "a",
        "none": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "nonsense=1"], "facecycle: unknown setting nonsense"),
        (["--set", "nonsense"], "facecycle: 'nonsense' is not of the form key=value"),
        (["--set", "lr=fast"], "facecycle: lr must be a number, not 'fast'"),
        (["--config", "wrong.toml"], "facecycle: wrong.toml: unknown setting nonsense"),
        (["--config", "no.toml"], "facecycle: no.toml: not a TOML file"),
    ],
)
def test_train_with_a_wrong_setting_is_wrong_usage(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("wrong.toml").write_text("nonsense = 1")
    Path("no.toml").write_text("= 1")
    done = call("train", "faces", "-o", "run", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(message)
    assert not Path("run").exists()


def test_train_with_a_missing_configuration_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("train", "faces", "-o", "run", "--config", "gone.toml")
    assert (done.returncode, done.stderr) == (
        1,
        "facecycle: gone.toml: No such file or directory\n",
    )
