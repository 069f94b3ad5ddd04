"""Entry point of ``facecycle`` and of ``python -m facecycle_cli``."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from typing import NoReturn

from facecycle_cli.cli.signals import INTERRUPTED, end_on_signals, restore_signals
from facecycle_cli.cli.streams import close_streams, open_streams


def main() -> NoReturn:
    """Run the command line and exit with its code: one line about what went wrong, no traceback."""
    open_streams()
    code: int | str | None = 1
    try:
        code = _run()
    except BrokenPipeError:
        pass  # the reader of standard output has closed it: no error to report
    finally:
        restore_signals()
        code = close_streams(code)
    # Python would look for garbage once more at its end. With all that torch has made this takes a
    # third of a second, for memory that the system takes back anyway.
    gc.freeze()
    sys.exit(code)


def _run() -> int | str | None:
    # torch's threads spin while they wait for each other. Where another process needs the core, the
    # many short waits of a small network take twenty times as long as its work. Sleeping threads
    # leave the core free. Those of numpy's OpenBLAS spin, too, unless told to wait for 2^4 cycles.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    try:
        end_on_signals()
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # libraries' notes to developers
        from facecycle_cli.cli.app import app

        app(prog_name="facecycle")
    except SystemExit as stop:
        return stop.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        from facecycle_cli.cli.console import print_error
        from facecycle_cli.errors import exit_code_of

        print_error(error)
        return exit_code_of(error)
    return 0


if __name__ == "__main__":
    main()
