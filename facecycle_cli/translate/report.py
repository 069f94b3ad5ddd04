"""Whether the motion arrived: source and output measured by the same landmarks."""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.faces import Face, FaceBackend
from facecycle_cli.media.pipeline import BATCH
from facecycle_cli.types import RGBImage

__all__ = ["Agreement", "MotionMeter"]

_MIN_PAIRS = 3
"""Pairs of values below which a correlation says nothing."""

_MIN_VARIANCE = 1e-12
"""Below this variance a value does not change."""


class Agreement:
    """Mean difference, correlation and slope of two sequences, of which only sums are kept.

    Attributes:
        count: pairs of values so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._difference = 0.0
        self._origin = np.zeros(2)
        self._sum = np.zeros(2)
        self._products = np.zeros((2, 2))

    def add(self, wanted: float, measured: float) -> None:
        """Add one pair of values."""
        pair = np.array([wanted, measured], np.float64)
        if self.count == 0:
            self._origin = pair  # sums of squares around it lose no digits
        self.count += 1
        self._difference += abs(measured - wanted)
        pair = pair - self._origin
        self._sum += pair
        self._products += np.outer(pair, pair)

    @property
    def difference(self) -> float | None:
        """Mean absolute difference; None without any pair."""
        return self._difference / self.count if self.count else None

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation; None with fewer than 3 pairs, or if one side does not change."""
        if self.count < _MIN_PAIRS:
            return None
        covariance = self._covariance
        variances = float(covariance[0, 0]), float(covariance[1, 1])
        if min(variances) < _MIN_VARIANCE:
            return None
        return float(covariance[0, 1]) / math.sqrt(variances[0] * variances[1])

    @property
    def slope(self) -> float | None:
        """Of the least-squares line of what was measured over what was wanted; None with fewer than
        3 pairs, or if what was wanted does not change.
        """
        if self.count < _MIN_PAIRS:
            return None
        covariance = self._covariance
        if covariance[0, 0] < _MIN_VARIANCE:
            return None
        return float(covariance[0, 1] / covariance[0, 0])

    @property
    def spread(self) -> float:
        """Standard deviation of what was wanted; 0 without any pair."""
        return math.sqrt(max(0.0, float(self._covariance[0, 0]))) if self.count else 0.0

    @property
    def _covariance(self) -> np.ndarray:
        mean = self._sum / self.count
        covariance: np.ndarray = self._products / self.count - np.outer(mean, mean)
        return covariance


class MotionMeter:
    """Compares yaw and mouth of the output's face with those of the source's.

    Args:
        backend: measures the output's faces.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._last: Face | None = None
        self._waiting: list[tuple[RGBImage, float, float]] = []
        self._yaw = Agreement()
        self._mouth = Agreement()

    def add(self, frame: RGBImage, yaw: float, mouth: float) -> None:
        """Add a frame of the output.

        Args:
            frame: (H, W, 3) uint8.
            yaw: that it should show, in degrees.
            mouth: opening of the source's mouth, in distances between the eyes.
        """
        self._waiting.append((frame, yaw, mouth))
        if len(self._waiting) == BATCH:
            self._measure()

    def summary(self) -> dict[str, float | None]:
        """What was measured so far.

        Returns:
            ``yaw_error`` (mean absolute, in degrees), ``yaw_correlation`` and
            ``mouth_correlation``; None where nothing can be said.
        """
        self._measure()
        values = {
            "yaw_error": self._yaw.difference,
            "yaw_correlation": self._yaw.correlation,
            "mouth_correlation": self._mouth.correlation,
        }
        return {name: None if v is None else round(v, 4) for name, v in values.items()}

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

    def _find(self, frames: list[RGBImage]) -> list[Face | None]:
        if self._last is None:
            return [faces[0] if faces else None for faces in self._backend.detect(frames)]
        near = self._backend.follow(frames, [self._last] * len(frames))
        # Landmarks are best in the middle of what the network is shown: measure once more.
        return self._backend.follow(frames, near)
