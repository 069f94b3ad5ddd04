"""Commands in this process, where the process itself is not what is tested."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.call import call_for_bytes

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `run_cli`, the whole of `main`, without a process of its own: torch is imported once."""

    def run(
        *arguments: object, stdin: bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        with monkeypatch.context() as patch:
            if cwd is not None:
                patch.chdir(cwd)
            return call_for_bytes(*map(str, arguments), stdin=stdin)

    return run
