"""The networks and the crop size of a call that names none.

The networks are opened once and shared by all threads.
"""

from __future__ import annotations

import threading
from functools import lru_cache

from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.model import FaceCycle, load

__all__ = ["DEFAULT_SIZE", "default_backend", "default_model"]

DEFAULT_SIZE = 256
"""Side of the face crops that are moved and returned, in pixels."""

_lock = threading.Lock()  # two threads must not open the same networks twice


def default_model() -> FaceCycle:
    """The embedded checkpoint on the CPU.

    Raises:
        CheckpointError: the shipped file is damaged.
    """
    with _lock:
        return _model()


def default_backend() -> FaceBackend:
    """The mesh backend, with all cores."""
    with _lock:
        return _backend()


_model = lru_cache(maxsize=1)(load)
_backend = lru_cache(maxsize=1)(load_backend)
