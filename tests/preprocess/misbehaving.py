"""Work that fails in ways that only a real process can: for the tests of the pool.

What a source does is in its name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from facecycle_cli.errors import OutputError
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.watchdog import set_deadline
from facecycle_cli.preprocess.workers import SourceResult, WorkerTask
from tests.preprocess.conftest import pretend

SLOW_SECONDS = 600


def work(source: Source, task: WorkerTask, on_frames) -> SourceResult:
    """Do as the source says, or pretend that all is well."""
    on_frames(1)
    if "crash" in source.id:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "killed" in source.id:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in source.id:
        os._exit(7)
    if "library" in source.id:  # as OpenBLAS ends a process in which it cannot start a thread
        os._exit(1)
    if "memory" in source.id:
        raise MemoryError
    if "threads" in source.id:
        raise RuntimeError("can't start new thread")
    if "error" in source.id:
        raise KeyError("outside of a source")
    if "hungry" in source.id:  # memory is enough only when no other source takes some of it
        first = not (task.staging / "tried").exists()
        (task.staging / "tried").touch()
        if first or "very" in source.id:
            os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in source.id:
        program = subprocess.Popen(["sleep", str(SLOW_SECONDS)], start_new_session=True)
        (task.staging / "program").write_text(str(program.pid))
        set_deadline(task.timeout)
        program.wait()
    if "slow" in source.id:
        time.sleep(SLOW_SECONDS)
    if "full" in source.id:
        raise OutputError("No space left on device")
    return pretend(source, task)
