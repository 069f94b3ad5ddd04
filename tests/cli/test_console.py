"""Errors in one line, and the exit codes that they give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.cli.console import Console, prefix_errors, reason
from facecycle_cli.cli.run import run_each
from facecycle_cli.errors import (
    CommandError,
    FacecycleError,
    MediaError,
    SettingsError,
    exit_code_of,
)
from facecycle_cli.text import one_line
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
        (MemoryError(), "out of memory"),
        (OSError(9, "Bad file descriptor", 1), "Bad file descriptor"),
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


def test_json_has_no_nan(capsys):
    Console(json=True).result(None, {"similarity": float("nan"), "all": [np.inf, np.float32(1)]})
    assert capsys.readouterr().out == '{"similarity": null, "all": [null, 1.0]}\n'


@pytest.mark.parametrize(
    ("error", "code"), [(MediaError("empty"), 1), (SettingsError("x must be 1"), 2)]
)
def test_the_exit_code_of_the_command_is_that_of_the_error(monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("facecycle_cli.cli.checkpoint.run_each", fail)
    done = call("checkpoint", "info")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"facecycle: {error}\n"


def test_a_setting_is_wrong_for_every_input(capsys):
    def process(item):
        raise SettingsError("size must be 64")

    with pytest.raises(SettingsError):
        run_each(["a.png", "b.png"], process, Console())
    assert capsys.readouterr() == ("", "")
