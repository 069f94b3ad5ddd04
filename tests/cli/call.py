"""The whole command in this process: arguments in; exit code, standard output and error out."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facecycle_cli.__main__ import main


def call_for_bytes(
    *arguments: str | os.PathLike[str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run ``facecycle ARGUMENTS`` through `main`, without a process of its own."""
    outputs = io.BytesIO(), io.BytesIO()
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    for number in handlers:  # where the tests run, they may be ignored
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["facecycle", *map(os.fspath, arguments)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(sys, "stdout", io.TextIOWrapper(outputs[0], "utf-8"))
        patch.setattr(sys, "stderr", io.TextIOWrapper(outputs[1], "utf-8"))
        try:
            with pytest.raises(SystemExit) as stop:
                main()
            sys.stdout.flush()
            sys.stderr.flush()
            data = [output.getvalue() for output in outputs]
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    code = stop.value.code
    return subprocess.CompletedProcess(arguments, 0 if code is None else int(code), *data)


def call(
    *arguments: str | os.PathLike[str], stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """As `call_for_bytes`, with the outputs as text."""
    done = call_for_bytes(*arguments, stdin=stdin)
    texts = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(arguments, done.returncode, *texts)


def files_below(folder: Path) -> set[str]:
    """Names of all files below a folder."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
