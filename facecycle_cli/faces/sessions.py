"""ONNX networks that are opened when first used, once, and shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facecycle_cli import weights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["Network"]


class Network:
    """A shipped ONNX file, run on the CPU.

    The file is opened at the first call, under a lock; onnxruntime's own `run` may then be called
    from any number of threads at once. Pickling (to worker processes) carries the file's name, not
    the opened session.

    Args:
        name: a file of `facecycle_cli.weights`.
        threads: how many threads one call may use; None leaves that to onnxruntime (all cores).
    """

    def __init__(self, name: str, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.name = name
        self.threads = threads
        self._session: InferenceSession | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Network, (self.name, self.threads)

    def __call__(self, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """Run the network on named inputs; returns its outputs by name."""
        session = self._session or self.open()
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def open(self) -> InferenceSession:
        """Read the file now instead of at the first call."""
        # Imported here so that the geometry of this floor can be used without loading onnxruntime.
        import onnxruntime

        with self._lock:
            if self._session is None:
                options = onnxruntime.SessionOptions()
                options.log_severity_level = (
                    3  # errors only: its warnings are about our dynamic shapes
                )
                # Threads that spin between two calls keep the core from torch and from others.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                if self.threads is not None:
                    options.intra_op_num_threads = self.threads
                    options.inter_op_num_threads = 1
                self._session = onnxruntime.InferenceSession(
                    str(weights.path(self.name)), options, providers=["CPUExecutionProvider"]
                )
            return self._session
