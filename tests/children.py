"""Processes that tests start and send signals to."""

from __future__ import annotations

import signal
import sys
from typing import Any


def _heed() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


HEEDS_SIGNALS: dict[str, Any] = {} if sys.platform == "win32" else {"preexec_fn": _heed}
"""Arguments of ``Popen``: the child heeds signals, although the tests may run where they are
ignored, such as in the background of a shell or under ``nohup``."""
