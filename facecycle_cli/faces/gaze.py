"""Where the eyes of a face look: its irises between the corners of its eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from facecycle_cli.faces.face import Face

__all__ = ["UNKNOWN_GAZE", "Gaze", "eye_corners", "irises_seen", "rises", "seen_gaze", "usual_gaze"]

_LEAST_WIDTH = 7.0, 14.0
"""Width of an eye in pixels up to which its iris is not found, and from which it is."""

_OPEN = 0.07, 0.14
"""Opening of eyes over their width up to which lids cover the irises, and from which they do
not."""

_TURNED = 25.0, 40.0
"""Degrees of yaw up to which both eyes are seen, and from which one is not."""

_CONVERGE = -0.12
"""By how much the left eye looks further to the right than the right one, in half widths of an eye
(the mean of twelve clips)."""

_DISAGREE = 0.3, 0.6
"""By how much the eyes converge more or less than usual, in half widths of an eye: up to the first
number both irises are found, from the second one on one of them is not."""


@dataclass(frozen=True)
class Gaze:
    """Where the irises are between the corners of the eyes, as the mean of both.

    Attributes:
        place: (2,) float64, in half widths of an eye, from the middle between its corners: to the
            right in the picture of an upright face, and down.
        trust: 0 (not found, or lids are shut) to 1.
    """

    place: np.ndarray
    trust: float

    @classmethod
    def of(cls, numbers: np.ndarray) -> Gaze:
        """From :attr:`numbers`."""
        return cls(np.array(numbers[:2], np.float64), float(numbers[2]))

    @classmethod
    def of_both(cls, places: np.ndarray, seen: float, converge: float) -> Gaze:
        """From the places of both irises.

        Args:
            places: (2, 2), of the image-left eye and of the other one, each as :attr:`place`.
            seen: as :func:`irises_seen` has it.
            converge: how much further to the right the left eye usually looks than the right one.
        """
        apart = abs(float(places[0, 0] - places[1, 0]) - converge)
        return cls(places.mean(0), seen * (1 - rises(apart, _DISAGREE)))

    @property
    def numbers(self) -> np.ndarray:
        """(3,): place and trust."""
        return np.array([*self.place, self.trust])


UNKNOWN_GAZE: Final = Gaze(np.zeros(2), 0.0)


def eye_corners(face: Face) -> np.ndarray:
    """(2, 2, 2) float64, pixels: of the image-left eye and of the other one the left and the right
    corner.
    """
    lids = face.topology.left_lids, face.topology.right_lids
    ends = [[upper[0], upper[-1]] for upper, _ in lids]
    return face.landmarks[ends][..., :2].astype(np.float64)


def irises_seen(face: Face) -> float:
    """0..1: how far size, lids and yaw of a face let both irises be seen."""
    left, right = eye_corners(face)
    width = min(float(np.linalg.norm(b - a)) for a, b in (left, right))
    seen = rises(width, _LEAST_WIDTH) * rises(face.eye_opening, _OPEN)
    return seen * (1 - rises(abs(face.pose.yaw), _TURNED))


def seen_gaze(face: Face, irises: np.ndarray) -> Gaze:
    """Where a face looks.

    Args:
        face: looked at closely, too: the corners of its eyes lie where they are seen. Those of the
            mesh of the whole face move with a smile.
        irises: (2, 2), pixels: the middles of both, of the image-left one first.
    """
    places = []
    for (left, right), iris in zip(eye_corners(face), irises, strict=True):
        across = (right - left) / 2
        axes = np.array([across, [-across[1], across[0]]]) / max(1e-6, float(across @ across))
        places.append(axes @ (iris - (left + right) / 2))
    return Gaze.of_both(np.array(places), irises_seen(face), _CONVERGE)


def usual_gaze(gazes: Sequence[Gaze]) -> Gaze:
    """The median of those that are trusted: a glance aside does not count."""
    found = [gaze for gaze in gazes if gaze.trust > 0]
    if not found:
        return UNKNOWN_GAZE
    place = np.median([gaze.place for gaze in found], axis=0)
    return Gaze(place, max(gaze.trust for gaze in found))


def rises(value: float, limits: tuple[float, float]) -> float:
    """From 0 at the first limit, and below, straight to 1 at the second one, and beyond."""
    low, high = limits
    return min(1.0, max(0.0, (value - low) / (high - low)))
