"""A run that is killed at any step ends, when it goes on, where an undisturbed one does."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facecycle_cli.preprocess import PreprocessSettings, preprocess
from facecycle_cli.preprocess.index import Journal, Records
from tests.clips import digests

FORMATS = ("folder", "webdataset")


class Killed(BaseException):
    """Stands for SIGKILL: nothing that a process does afterwards has an effect."""


class Machine:
    """Counts what a run does to the disk, and dies at the step it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self.dies_at: int | None = None
        for owner, name in (
            (os, "replace"),
            (shutil, "rmtree"),
            (Path, "mkdir"),
            (Path, "unlink"),
            (Path, "rmdir"),
            (Path, "write_bytes"),
        ):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name)))
        monkeypatch.setattr(Journal, "append", self._torn(Journal.append))
        monkeypatch.setattr(Journal, "close", lambda journal: journal._file.close())

    def start(self, dies_at: int | None = None) -> None:
        self.steps, self.dies_at = 0, dies_at

    def _step(self) -> None:
        self.steps += 1
        if self.dies_at is not None and self.steps > self.dies_at:
            raise Killed

    def _watched(self, real: Callable) -> Callable:
        def watched(*args, **kwargs):
            self._step()  # dead before
            result = real(*args, **kwargs)
            self._step()  # dead after
            return result

        return watched

    def _torn(self, real: Callable) -> Callable:
        def append(journal, lines):
            lines = list(lines)
            try:
                self._step()
            except Killed:
                # The kernel may have taken a part of a write by the time the process dies.
                block = "".join(lines).encode()
                journal._file.write(block[: (37 * self.steps) % len(block)])
                raise
            real(journal, lines)
            self._step()

        return append


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def run(tree: Path, folder: Path, format_: str = "folder", **options):
    return preprocess([str(tree)], folder, PreprocessSettings(format=format_), **options)


@pytest.mark.parametrize("format_", FORMATS)
def test_killed_at_any_step_the_next_run_ends_where_an_undisturbed_one_does(
    instantly, machine, few, tmp_path, format_
):
    machine.start()
    run(few, tmp_path / "undisturbed", format_)
    expected, steps = digests(tmp_path / "undisturbed"), machine.steps
    assert steps > 30
    for step in range(steps):
        folder = tmp_path / f"killed{step}"
        machine.start(dies_at=step)
        with pytest.raises(Killed):
            run(few, folder, format_)
        machine.start()
        run(few, folder, format_)
        assert digests(folder) == expected, f"killed at step {step}"
        left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
        assert all(name.startswith(".facecycle-") for name in left)  # of config.json alone
        shutil.rmtree(folder)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 90), min_size=2, max_size=5))
@pytest.mark.parametrize("format_", FORMATS)
def test_killed_again_and_again(instantly, machine, tree, tmp_path, format_, kills):
    reference = tmp_path / f"reference-{format_}"
    machine.start()
    run(tree, reference, format_)
    folder = tmp_path / "killed"
    done: set[str] = set()
    for step in kills:
        machine.start(dies_at=step)
        with contextlib.suppress(Killed):
            run(tree, folder, format_)
        machine.start()
        finished = set(Records.load(folder).sources)
        assert done <= finished  # nothing that was finished is lost
        done = finished
    run(tree, folder, format_)
    assert digests(folder) == digests(reference)
    shutil.rmtree(folder)
