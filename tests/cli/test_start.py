"""The command starts at once and says what it is."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

import facecycle_cli
from facecycle_cli import cli as commands
from facecycle_cli.cli.app import SUMMARIES, app
from tests.conftest import run_process

HEAVY = {"torch", "cv2", "onnxruntime", "numpy", "PIL", "rich"}


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['facecycle', '--help']\n"
        "from facecycle_cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print('MODULES', *sorted(sys.modules))"
    )
    done = run_process([sys.executable, "-c", code])
    modules = set(done.stdout.decode().partition("MODULES ")[2].split())
    assert "typer" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("name", ["facecycle_cli", "facecycle_cli.cli.app"])
def test_import_costs_nothing_heavy(name):
    code = f"import {name}, sys; print(*sys.modules)"
    done = run_process([sys.executable, "-c", code])
    assert not set(done.stdout.decode().split()) & HEAVY


def test_help_costs_little(run_cli):
    """0.3 s on an idle machine; here processor time, which others on a busy one do not add to."""

    def best(run):
        seconds = []
        for _ in range(3):
            start = os.times()
            run()
            end = os.times()
            user = end.children_user - start.children_user
            seconds.append(user + end.children_system - start.children_system)
        return min(seconds)

    bare = best(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    assert best(lambda: run_cli("--help")) < max(0.3, 20 * bare)


def test_version_and_help(run_cli):
    assert run_cli("--version").stdout.decode() == f"facecycle {facecycle_cli.__version__}\n"
    done = run_cli("--help")
    assert done.returncode == 0
    assert b"Exit codes" in done.stdout


def test_module_runs_like_the_command(run_cli):
    module = run_process([sys.executable, "-m", "facecycle_cli", "--help"])
    assert module.stdout == run_cli("--help").stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"]])
def test_wrong_usage_exits_2(run_cli, arguments):
    done = run_cli(*arguments)
    assert done.returncode == 2
    assert b"nonsense" in done.stderr
    assert done.stdout == b""


def test_every_command_module_is_registered():
    found = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    named = {n for n in found if hasattr(import_module(f"{commands.__name__}.{n}"), f"{n}_command")}
    assert set(SUMMARIES) == named


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_summary_is_how_the_command_describes_itself(name):
    command = getattr(import_module(f"{commands.__name__}.{name}"), f"{name}_command")
    text = command.info.help if isinstance(command, typer.Typer) else inspect.getdoc(command)
    first = " ".join(text.split("\n\n")[0].split())
    assert first.startswith(SUMMARIES[name].rstrip("."))


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_help_of_every_command(name):
    result = CliRunner().invoke(app, [name, "-h"], prog_name="facecycle")
    assert result.exit_code == 0, result.output
    assert f"Usage: facecycle {name} " in result.output
    assert "\x1b" not in result.output
    assert "╭" not in result.output


def test_help_lists_every_command_without_building_one(run_cli):
    listed = run_cli("--help").stdout.decode().partition("Change faces:")[2]
    entries = [line for line in listed.splitlines() if re.match("  [a-z]", line)]
    assert [entry.split()[0] for entry in entries] == list(SUMMARIES)
    code = (
        "import sys; sys.argv = ['facecycle', '--help']\n"
        "from facecycle_cli.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print('MODULES', *sys.modules)"
    )
    modules = run_process([sys.executable, "-c", code]).stdout.decode().partition("MODULES ")[2]
    loaded = {f"{commands.__name__}.{name}" for name in SUMMARIES}
    assert not loaded & set(modules.split())


WAITING = "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT"


@pytest.mark.parametrize(("own", "expected"), [(None, "passive 4"), ("9", "9 9")])
def test_threads_of_torch_and_numpy_sleep_while_they_wait(own, expected):
    code = (
        "import os, sys; sys.argv = ['facecycle', '--version']\n"
        "from facecycle_cli.__main__ import main\n"
        "try: main()\n"
        f"except SystemExit: print(*(os.environ[name] for name in {WAITING}))"
    )
    env = {k: v for k, v in os.environ.items() if k not in WAITING}
    env |= {} if own is None else dict.fromkeys(WAITING, own)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == expected


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        (["frontalise", "x.jpg"], "frontalize"),
        (["translat"], "translate"),
        (["evaluate", "expresion"], "expression"),
    ],
)
def test_a_typing_error_gets_a_suggestion(run_cli, typed, suggested):
    done = run_cli(*typed)
    assert done.returncode == 2
    assert f"Did you mean '{suggested}'" in done.stderr.decode()


def test_shell_completion_knows_commands_and_their_options(run_cli):
    def complete(words):
        env = {"_FACECYCLE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "1"}
        return run_cli(env=env | {"COMP_CWORD": str(len(words.split()) - 1)}).stdout.decode()

    assert complete("facecycle fr").split() == ["frontalize"]
    assert "--paste-back" in complete("facecycle frontalize --paste").split()
    assert complete("facecycle checkpoint ex").split() == ["export"]
