"""Entry point of ``facecycle`` and of ``python -m facecycle_cli``."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code: one line about what went wrong, no traceback."""
    code: int | str | None = 1
    try:
        try:
            code = _run()
        finally:
            # A second Ctrl-C while Python shuts down ends it quietly.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, which is nobody's fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # Python looks for garbage once more at its end: among all that torch has made, a third of a
    # second for memory that is given back anyhow.
    gc.freeze()
    sys.exit(code)


def _run() -> int | str | None:
    # torch's threads spin while they wait for each other. Where another process wants the core, a
    # small network's many short waits take twenty times its work; asleep, they cost nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        # Termination unwinds like an interrupt, so that no temporary file stays behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # libraries' notes to developers
        from facecycle_cli.cli.app import app

        app(prog_name="facecycle")
    except SystemExit as stop:
        return stop.code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:
        from facecycle_cli.cli.console import report

        report(error)
        return 1
    return 0


if __name__ == "__main__":
    main()
