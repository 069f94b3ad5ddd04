"""A mouth, opened and closed in its photograph.

The photograph of a closed mouth has no pixels for the inside of an open one: a flow, which is
smooth, can only make its lips thicker. So the lips are cut apart along the line where they meet,
which the landmarks know; the lower one takes the jaw along, and what appears between them is dark.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from facecycle_cli.faces import Face
from facecycle_cli.portrait.feature import FeatureFrame
from facecycle_cli.portrait.ramp import ramp

__all__ = ["Mouth", "MouthMotion"]

MouthMotion = Literal["landmarks", "flow"]
"""What says how a mouth moves: landmarks, or the networks' flow alone."""

_UPPER, _LOWER = 0.2, 0.8
"""Shares of the lips in an opening: most of it is the jaw's."""

_ROUNDNESS = 0.6
"""Exponent of the opening's outline; 0.5 is an ellipse."""

_OVERLAP = 1.3
"""How far lips close, of the gap between them that landmarks find: these lie on the lips, and what
is between is a little more."""

_MOST = 1.3
"""The widest opening, in half widths of the mouth."""

_LIP = 0.4
"""Thickness of a lip in the same unit."""

_CHEEKS = 1.6
"""How far aside the jaw takes the skin along."""

_ABOVE = 0.9
"""Up to here, above the mouth, the upper lip does."""

_BELOW_CHIN = 1.3

_INSIDE = np.array([0.30, 0.20, 0.20], np.float32)
"""Of the lips' color: that of the inside of a mouth."""

_EDGE = 1.5
"""Pixels over which the lips' edges are soft."""


class Mouth:
    """Where the lips and the chin of a face are in its picture.

    Distances are in half widths of the mouth (between the inner corners), ``u`` towards the right
    corner and ``v`` towards the chin, from the middle.

    Args:
        face: the face.
        to_picture: (2, 3), pixels of the photograph that ``face`` was found in -> pixels of
            ``picture``.
        picture: (H, W, 3) uint8 RGB.

    Attributes:
        unit: a distance between the eyes in half widths of the mouth; openings are measured in it.
        opening: of the mouth in the photograph, in half widths.
    """

    def __init__(self, face: Face, to_picture: np.ndarray, picture: np.ndarray) -> None:
        topology = face.topology
        points = face.landmarks[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        left, right = points[[topology.upper_lip[0], topology.upper_lip[-1]]]
        self._frame = FeatureFrame(left, right)
        corners = face.landmarks[list(topology.mouth)]
        eyes = float(np.linalg.norm(corners[1] - corners[0])) / max(1e-6, face.mouth_width)
        self.unit = eyes * float(np.sqrt(abs(np.linalg.det(to_picture[:, :2])))) / self._frame.half
        places = self._frame.place(points)
        self.opening = face.mouth_opening * self.unit
        self._upper = _contour(places[list(topology.upper_lip)])
        self._lower = _contour(places[list(topology.lower_lip)])
        self._chin = max(0.8, float(places[topology.chin, 1] - self._lower[1].max()))
        lips = list(topology.outer_lips)
        self._marks = points[[*lips, topology.upper[-1], topology.lower[0]]]
        lip_middle = (points[topology.inner_lips[1]] + points[topology.outer_lips[1]]) / 2
        self._inside = _color(picture, lip_middle, self._frame.half / 6) * _INSIDE

    def missing(self, wanted: float, displacement: np.ndarray, part: np.ndarray) -> float:
        """What the flow has not opened of an opening that is to be seen.

        Args:
            wanted: how much wider the mouth has to be, in half widths.
            displacement: (h, w, 2) float32, pixels of the picture, as :class:`Drawing`'s.
            part: (2, 3), pixels of the picture -> cells of ``displacement``.
        """
        moved = self._marks.copy()
        for _ in range(3):  # what comes to lie where: the displacement is that of the output
            cells = (moved @ part[:, :2].T + part[:, 2]).astype(np.float32)
            shift = cv2.remap(
                displacement,
                np.ascontiguousarray(cells[:, :1]),
                np.ascontiguousarray(cells[:, 1:]),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            moved = self._marks - shift[:, 0]
        lips, nose = (float(np.linalg.norm(moved[i] - moved[i + 1])) for i in (0, 2))
        lips_before, nose_before = (
            float(np.linalg.norm(self._marks[i] - self._marks[i + 1])) for i in (0, 2)
        )
        brought = (lips * nose_before / max(1.0, nose) - lips_before) / self._frame.half
        least, most = sorted((0.0, wanted))
        return wanted - min(max(brought, least), most)

    def reach(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the picture: nothing else moves with the mouth."""
        below = self._lower[1].max() + _MOST + self._chin + _BELOW_CHIN
        return self._frame.box(2.2, -1.5, below)

    def open(
        self, xs: np.ndarray, ys: np.ndarray, wanted: float, missing: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points of the picture with the mouth opened -> where their color is in the photograph.

        Args:
            xs, ys: (h, w) float32, pixels of the picture.
            wanted: how much further the lips part, in half widths; less than 0 closes them.
            missing: how much of that the chin has to move, which follows the flow already.

        Returns:
            ``xs`` and ``ys`` there, and (h, w) float32 in 0..1, how far the point lies in the
            inside of the mouth, which the photograph does not show.
        """
        wanted, missing = min(wanted, _MOST), min(missing, _MOST)
        u, v = self._frame.coordinates(xs, ys)
        upper, lower = (
            np.interp(u, *line).astype(np.float32) for line in (self._upper, self._lower)
        )
        gap = np.maximum(0, lower - upper)
        outline = np.maximum(0, 1 - u * u) ** _ROUNDNESS
        parted = np.maximum(wanted * outline, -_OVERLAP * gap)
        chin = missing * np.exp(-((u / _CHEEKS) ** 4))
        new_upper, new_lower = upper - _UPPER * parted, lower + _LOWER * parted
        below, above = np.maximum(0, v - new_lower), np.maximum(0, new_upper - v)
        # The skin beyond a lip follows only as far as the flow has not moved it yet.
        beyond = parted * (missing / wanted if wanted else 0.0)
        lip = parted + (beyond - parted) * ramp(below, 0, _LIP)
        jaw = lip + (chin - lip) * ramp(below, 0, self._chin)
        down = _LOWER * jaw * (1 - ramp(below, self._chin, self._chin + _BELOW_CHIN))
        lip = parted + (beyond - parted) * ramp(above, 0, _LIP)
        up = _UPPER * lip * (1 - ramp(above, 0, _ABOVE))
        # Between the lips, teeth stay where they are below the upper one.
        shift = np.where(v >= new_lower, -down, np.where(v <= new_upper, up, _UPPER * parted))
        soft = _EDGE / self._frame.half
        depth = v - new_upper
        dark = ramp(depth, gap - soft, gap + soft) * ramp(new_lower - v, -soft / 2, soft / 2)
        dark *= ramp(parted, 0, 2 * soft)
        return *self._frame.shifted(xs, ys, shift), dark.astype(np.float32)

    @property
    def inside(self) -> np.ndarray:
        """(3,) float32, the color of its inside."""
        return self._inside


def _contour(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) u, v along a lip -> its u, ascending, and v."""
    order = np.argsort(places[:, 0], kind="stable")
    return places[order, 0], places[order, 1]


def _color(picture: np.ndarray, point: np.ndarray, radius: float) -> np.ndarray:
    """(3,) float32, the median around a point."""
    height, width = picture.shape[:2]
    reach = max(1, round(radius))
    x = int(np.clip(round(float(point[0])), 0, width - 1))
    y = int(np.clip(round(float(point[1])), 0, height - 1))
    patch = picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return np.median(patch.reshape(-1, 3), axis=0).astype(np.float32)
