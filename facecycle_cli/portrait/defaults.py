"""What a call uses that names no networks of its own: opened once, shared by all threads."""

from __future__ import annotations

import threading
from functools import lru_cache

from facecycle_cli.faces import FaceBackend, load_backend
from facecycle_cli.model import FaceCycle, load

_lock = threading.Lock()  # two threads must not both load what one of them could


def default_model() -> FaceCycle:
    """The embedded checkpoint on the CPU."""
    with _lock:
        return _model()


def default_backend() -> FaceBackend:
    """The mesh."""
    with _lock:
        return _backend()


_model = lru_cache(maxsize=1)(load)
_backend = lru_cache(maxsize=1)(load_backend)
