"""Whether the motion arrived: source and output measured by the same landmarks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facecycle_cli.faces import Face, FaceBackend

__all__ = ["Agreement", "MotionMeter"]

_BATCH = 8
_FEWEST = 3
"""Frames below which a correlation says nothing."""


class Agreement:
    """Mean difference and correlation of two sequences, of which nothing but sums is kept."""

    def __init__(self) -> None:
        self.count = 0
        self._difference = 0.0
        self._origin = np.zeros(2)
        self._sum = np.zeros(2)
        self._products = np.zeros((2, 2))

    def add(self, wanted: float, got: float) -> None:
        """One more pair of values."""
        pair = np.array([wanted, got], np.float64)
        if self.count == 0:
            self._origin = pair  # sums of squares around it lose no digits
        self.count += 1
        self._difference += abs(got - wanted)
        pair = pair - self._origin
        self._sum += pair
        self._products += np.outer(pair, pair)

    @property
    def difference(self) -> float | None:
        """Mean absolute difference; None without any pair."""
        return self._difference / self.count if self.count else None

    @property
    def correlation(self) -> float | None:
        """Pearson's; None where there are too few pairs or one side does not change."""
        if self.count < _FEWEST:
            return None
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        variances = float(covariance[0, 0]), float(covariance[1, 1])
        if min(variances) < 1e-12:
            return None
        return float(covariance[0, 1]) / math.sqrt(variances[0] * variances[1])


class MotionMeter:
    """Compares the pose and the mouth of the output's face with those of the source's.

    Args:
        backend: measures the output's faces.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._last: Face | None = None
        self._waiting: list[tuple[np.ndarray, float, float]] = []
        self._yaw = Agreement()
        self._mouth = Agreement()

    def add(self, frame: np.ndarray, yaw: float, mouth: float) -> None:
        """A frame of the output, and the yaw (degrees) and opening of the mouth it should show."""
        self._waiting.append((frame, yaw, mouth))
        if len(self._waiting) == _BATCH:
            self._measure()

    def summary(self) -> dict[str, Any]:
        """``yaw_error`` (mean absolute, degrees), ``yaw_correlation``, ``mouth_correlation``; None
        where nothing can be said.
        """
        self._measure()
        values = {
            "yaw_error": self._yaw.difference,
            "yaw_correlation": self._yaw.correlation,
            "mouth_correlation": self._mouth.correlation,
        }
        return {k: None if v is None else round(v, 4) for k, v in values.items()}

    def _measure(self) -> None:
        if not self._waiting:
            return
        faces = self._find([frame for frame, *_ in self._waiting])
        for (_, yaw, mouth), face in zip(self._waiting, faces, strict=True):
            if face is not None:
                self._yaw.add(yaw, face.pose.yaw)
                self._mouth.add(mouth, face.mouth_opening)
        self._last = next((face for face in reversed(faces) if face is not None), None)
        self._waiting.clear()

    def _find(self, frames: list[np.ndarray]) -> list[Face | None]:
        if self._last is None:
            return [faces[0] if faces else None for faces in self._backend.detect(frames)]
        near = self._backend.follow(frames, [self._last] * len(frames))
        # Again, from where each was found: landmarks are best in the middle of what is looked at.
        return self._backend.follow(frames, near)
