"""The shipped ONNX networks: opened when first used, once, and shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from facecycle_cli import weights
from facecycle_cli.errors import FaceError
from facecycle_cli.types import RGBImage

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["Network", "to_planes"]

_ERRORS_ONLY = 3
"""onnxruntime's level of log messages: its warnings are about inputs of any size, which we want."""


class Network:
    """A shipped ONNX file, run on the CPU.

    The file is opened at the first call, under a lock. After that onnxruntime may be called from
    any number of threads at once. Pickling (to worker processes) carries the file's name, not the
    opened session.

    Args:
        name: a file of :mod:`facecycle_cli.weights`.
        threads: how many threads one call may use; None: all cores.
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
        """Run the network on named inputs; returns its outputs by name.

        Raises:
            FaceError: the file cannot be opened.
        """
        session = self._session or self.open()
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    def open(self) -> InferenceSession:
        """Read the file now and not at the first call.

        Raises:
            FaceError: it is missing or damaged.
        """
        with self._lock:
            if self._session is None:
                self._session = self._read()
            return self._session

    def _read(self) -> InferenceSession:
        # Imported here so that the geometry of this floor can be used without loading onnxruntime.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin between two calls keep the core from torch and from other processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
            options.inter_op_num_threads = 1
        try:
            file = weights.path(self.name).read_bytes()
        except OSError as error:
            raise FaceError(
                f"cannot read the network {self.name}: {error.strerror or error}"
            ) from error
        try:
            return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common root but this
            raise FaceError(f"the network file {self.name} is damaged") from error


def to_planes(pictures: Sequence[RGBImage] | np.ndarray) -> np.ndarray:
    """N pictures of one size, uint8 (H, W, 3) -> what networks take, float32 (N, 3, H, W), 0..1.

    Plane after plane: numpy takes six times as long for all pictures in one expression.
    """
    height, width = pictures[0].shape[:2]
    planes = np.empty((len(pictures), 3, height, width), np.float32)
    for out, picture in zip(planes, pictures, strict=True):
        np.divide(picture.transpose(2, 0, 1), np.float32(255), out=out, dtype=np.float32)
    return planes
