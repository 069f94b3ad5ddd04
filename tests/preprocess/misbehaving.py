"""Work that goes wrong in ways that only a real process can: for the tests of the pool.

What a source does is in its name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from facecycle_cli.errors import OutputError
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.watchdog import watch
from facecycle_cli.preprocess.work import Result, Task
from tests.preprocess.conftest import pretend


def work(source: Source, task: Task, beat) -> Result:
    """Do as the source says, or pretend that all is well."""
    beat(1)
    if "crash" in source.id:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "killed" in source.id:
        os.kill(os.getpid(), signal.SIGKILL)
    if "exit" in source.id:
        os._exit(7)
    if "hang" in source.id:
        program = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (task.staging / "program").write_text(str(program.pid))
        watch(task.timeout)
        program.wait()
    if "slow" in source.id:
        time.sleep(600)
    if "full" in source.id:
        raise OutputError("No space left on device")
    return pretend(source, task)
