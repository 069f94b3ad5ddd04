"""The command starts at once and says what it is."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import time
from importlib import import_module

import pytest

import facecycle_cli
from facecycle_cli import commands
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


@pytest.mark.parametrize("name", ["facecycle_cli", "facecycle_cli.cli"])
def test_import_costs_nothing_heavy(name):
    code = f"import {name}, sys; print(*sys.modules)"
    done = run_process([sys.executable, "-c", code])
    assert not set(done.stdout.decode().split()) & HEAVY


def test_help_is_quick(run_cli):
    """0.3 s is promised; an interpreter's own start tells how busy this machine is."""

    def best(run):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    bare = best(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    assert best(lambda: run_cli("--help")) < max(0.3, 15 * bare)


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
    """A module that holds something of its own name is a command."""
    from facecycle_cli.cli import app

    registered = [command.callback for command in app.registered_commands]
    registered += [group.typer_instance for group in app.registered_groups]
    registered += [app.registered_callback.callback]
    for module in pkgutil.iter_modules(commands.__path__):
        command = getattr(import_module(f"{commands.__name__}.{module.name}"), module.name, None)
        assert command is None or command in registered, module.name


def test_public_names_are_importable_and_unknown_ones_are_not():
    assert set(facecycle_cli.__all__) <= set(dir(facecycle_cli))
    assert facecycle_cli.read_image.__module__ == "facecycle_cli.media.images"
    with pytest.raises(AttributeError, match="nonsense"):
        _ = facecycle_cli.nonsense
