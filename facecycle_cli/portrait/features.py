"""Mouth and eyes of a face in its picture: moved at the landmarks, where a smooth flow cannot.

The photograph of a closed mouth has no pixels for the inside of an open one, and a smooth flow can
only make its lips thicker. So the lips are cut along the line where they meet, which the landmarks
know. The lower lip takes the jaw along, and what appears between the lips is dark.

A blink takes a tenth of a second. The networks' flow is smooth in space and in time and does not
contain it. So the upper lid comes down as far as the landmarks say: its skin is stretched, and the
eye under it stays where it is.
"""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
from torch import Tensor

from facecycle_cli.faces import Face
from facecycle_cli.types import RGBImage

__all__ = ["Eye", "FeatureFrame", "Mouth", "eyes_of", "smoothstep"]

# -- lips and jaw: lengths are in half widths of the mouth between its inner corners -------------

_UPPER_SHARE, _LOWER_SHARE = 0.2, 0.8
"""Shares of the two lips in an opening: most of it is the jaw's."""

_ROUNDNESS = 0.6
"""Exponent of the opening's outline; 0.5 is an ellipse."""

_CLOSING_OVERLAP = 1.3
"""How far lips close, in gaps between the landmarks: these lie on the lips, and the real gap is a
little larger."""

_WIDEST = 1.3
"""The widest opening."""

_LIP = 0.4
"""Thickness of a lip."""

_CHEEKS = 1.6
"""How far to the sides the jaw moves the skin."""

_ABOVE = 0.9
"""How far above the mouth the upper lip moves the skin."""

_BELOW_CHIN = 1.3
"""How far below the chin the jaw moves the skin."""

_MOUTH_REACH = 2.2, -1.5
"""The part of the picture that a mouth changes: to either side, and above its middle."""

_INSIDE = np.array([0.30, 0.20, 0.20], np.float32)
"""Color of the inside of a mouth, as a share of the lips' color."""

_LIP_EDGE = 1.5
"""Pixels over which the lips' edges are soft."""

# -- eyelids: lengths are in half widths of the eye ------------------------------------------------

_LID = 0.75
"""How far above the eye the skin of the upper lid is stretched."""

_LASHES = 0.3
"""How far above its edge a lid is stiff."""

_LIDS_MEET = 1.12
"""How far a closed lid comes down, in openings of the eye: its lashes lie on the lower lid."""


_Values = TypeVar("_Values", Tensor, np.ndarray)


def smoothstep(values: _Values, low: Any, high: Any) -> _Values:
    """0 up to ``low``, 1 from ``high`` on, and Hermite's cubic in between.

    Args:
        values: of any shape.
        low, high: numbers, or arrays that broadcast with ``values``.
    """
    t: _Values = ((values - low) / (high - low)).clip(0, 1)
    smooth: _Values = t * t * (3 - 2 * t)
    return smooth


class FeatureFrame:
    """Coordinates around a mouth or an eye, in half widths of it.

    ``u`` goes from the middle to the right corner, ``v`` at right angles to that, downwards on an
    upright face.

    Args:
        left: (2,), the image-left corner in pixels of the picture.
        right: (2,), the other corner.

    Attributes:
        middle: (2,), between the corners.
        half: half their distance in pixels, at least 1.
    """

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self.middle = (left + right) / 2
        self.half = max(1.0, float(np.linalg.norm(right - left)) / 2)
        along = (right - left) / (2 * self.half)
        # Rows: the axes u and v in pixels of the picture.
        self._axes = np.array([along, [-along[1], along[0]]])

    @property
    def down(self) -> np.ndarray:
        """(2,), the unit vector along ``v``, in pixels."""
        return np.asarray(self._axes[1])

    def of_points(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels of the picture -> (N, 2) u, v."""
        return np.asarray((points - self.middle) @ self._axes.T / self.half)

    def of_pixels(self, xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels, x and y (h, w) each -> u and v, (h, w) each."""
        x, y = (xs - self.middle[0]) / self.half, (ys - self.middle[1]) / self.half
        u = x * self._axes[0, 0] + y * self._axes[0, 1]
        v = x * self._axes[1, 0] + y * self._axes[1, 1]
        return u, v

    def to_pixels(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of :meth:`of_pixels`: u and v -> x and y, (h, w) each."""
        x = self.middle[0] + self.half * (u * self._axes[0, 0] + v * self._axes[1, 0])
        y = self.middle[1] + self.half * (u * self._axes[0, 1] + v * self._axes[1, 1])
        return x, y

    def shift_down(
        self, xs: np.ndarray, ys: np.ndarray, down: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (h, w) moved along v by ``down`` (h, w), in half widths; float32."""
        moved = self.half * down
        return (
            (xs + moved * self._axes[1, 0]).astype(np.float32),
            (ys + moved * self._axes[1, 1]).astype(np.float32),
        )

    def box(self, u: float, above: float, below: float) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels around the area from -u to u, and from above to below."""
        corners = np.array([[x, y] for x in (-u, u) for y in (above, below)])
        pixels = self.middle + self.half * corners @ self._axes
        (x0, y0), (x1, y1) = pixels.min(0), pixels.max(0)
        return float(x0), float(y0), float(x1), float(y1)


class Mouth:
    """The lips and the chin of a face in a picture.

    Lengths are in half widths of the mouth (between the inner corners).

    Args:
        face: the face.
        to_picture: (2, 3), pixels of the photograph that ``face`` was found in -> pixels of
            ``picture``.
        picture: (H, W, 3) uint8 RGB.

    Attributes:
        unit: the distance between the eyes, in half widths of the mouth. Openings of
            :class:`~facecycle_cli.faces.Face` are in distances between the eyes.
        opening: of the mouth in the photograph.
    """

    def __init__(self, face: Face, to_picture: np.ndarray, picture: RGBImage) -> None:
        topology = face.topology
        points = face.landmarks[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        left, right = points[[topology.upper_lip[0], topology.upper_lip[-1]]]
        self._frame = FeatureFrame(left, right)
        corners = face.landmarks[list(topology.mouth)]
        eyes = float(np.linalg.norm(corners[1] - corners[0])) / max(1e-6, face.mouth_width)
        self.unit = eyes * float(np.sqrt(abs(np.linalg.det(to_picture[:, :2])))) / self._frame.half
        coordinates = self._frame.of_points(points)
        self.opening = face.mouth_opening * self.unit
        self._upper = _contour(coordinates[list(topology.upper_lip)])
        self._lower = _contour(coordinates[list(topology.lower_lip)])
        self._chin = max(0.8, float(coordinates[topology.chin, 1] - self._lower[1].max()))
        lips = list(topology.outer_lips)
        self._lips_and_nose = points[[*lips, topology.upper[-1], topology.lower[0]]]
        lip_middle = (points[topology.inner_lips[1]] + points[topology.outer_lips[1]]) / 2
        self._inside = _color(picture, lip_middle, self._frame.half / 6) * _INSIDE

    @property
    def inside(self) -> np.ndarray:
        """(3,) float32, RGB 0..255: the color of the inside of the mouth."""
        return self._inside

    def missing(self, wanted: float, displacement: np.ndarray, to_cells: np.ndarray) -> float:
        """The part of an opening that the flow has not made.

        Args:
            wanted: how much wider the mouth has to be than in the photograph.
            displacement: (h, w, 2) float32: the flow, from the output to the photograph, in pixels
                of the picture.
            to_cells: (2, 3), pixels of the picture -> cells of ``displacement``.
        """
        moved = self._lips_and_nose.copy()
        for _ in range(3):  # the displacement is given at the output's points: invert it
            cells = (moved @ to_cells[:, :2].T + to_cells[:, 2]).astype(np.float32)
            shift = cv2.remap(
                displacement,
                np.ascontiguousarray(cells[:, :1]),
                np.ascontiguousarray(cells[:, 1:]),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            moved = self._lips_and_nose - shift[:, 0]
        lips, nose = (float(np.linalg.norm(moved[i] - moved[i + 1])) for i in (0, 2))
        lips_before, nose_before = (
            float(np.linalg.norm(self._lips_and_nose[i] - self._lips_and_nose[i + 1]))
            for i in (0, 2)
        )
        brought = (lips * nose_before / max(1.0, nose) - lips_before) / self._frame.half
        least, most = sorted((0.0, wanted))
        return wanted - min(max(brought, least), most)

    def reach(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the picture: nothing else moves with the mouth."""
        sideways, above = _MOUTH_REACH
        below = self._lower[1].max() + _WIDEST + self._chin + _BELOW_CHIN
        return self._frame.box(sideways, above, below)

    def open(
        self, xs: np.ndarray, ys: np.ndarray, wanted: float, missing: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points of the picture with the mouth opened -> where their color is in the photograph.

        Args:
            xs, ys: (h, w) float32, pixels of the picture.
            wanted: how much further the lips part; less than 0 closes them.
            missing: how much of that the chin has to move: the flow has moved it for the rest.

        Returns:
            ``xs`` and ``ys`` in the photograph, and (h, w) float32 in 0..1, how far the point lies
            in the inside of the mouth, which the photograph does not show.
        """
        wanted, missing = min(wanted, _WIDEST), min(missing, _WIDEST)
        u, v = self._frame.of_pixels(xs, ys)
        upper, lower = (
            np.interp(u, *line).astype(np.float32) for line in (self._upper, self._lower)
        )
        gap = np.maximum(0, lower - upper)
        outline = np.maximum(0, 1 - u * u) ** _ROUNDNESS
        parted = np.maximum(wanted * outline, -_CLOSING_OVERLAP * gap)
        chin = missing * np.exp(-((u / _CHEEKS) ** 4))
        new_upper, new_lower = upper - _UPPER_SHARE * parted, lower + _LOWER_SHARE * parted
        below, above = np.maximum(0, v - new_lower), np.maximum(0, new_upper - v)
        # The skin beyond a lip follows only as far as the flow has not moved it yet.
        beyond = parted * (missing / wanted if wanted else 0.0)
        lip = parted + (beyond - parted) * smoothstep(below, 0, _LIP)
        jaw = lip + (chin - lip) * smoothstep(below, 0, self._chin)
        down = _LOWER_SHARE * jaw * (1 - smoothstep(below, self._chin, self._chin + _BELOW_CHIN))
        lip = parted + (beyond - parted) * smoothstep(above, 0, _LIP)
        up = _UPPER_SHARE * lip * (1 - smoothstep(above, 0, _ABOVE))
        # Between the lips, teeth stay where they are below the upper one.
        shift = np.where(v >= new_lower, -down, np.where(v <= new_upper, up, _UPPER_SHARE * parted))
        soft = _LIP_EDGE / self._frame.half
        depth = v - new_upper
        dark = smoothstep(depth, gap - soft, gap + soft)
        dark = dark * smoothstep(new_lower - v, -soft / 2, soft / 2)
        dark *= smoothstep(parted, 0, 2 * soft)
        return *self._frame.shift_down(xs, ys, shift), dark.astype(np.float32)


class Eye:
    """An eye in a picture.

    Args:
        upper: (K, 2), the edge of the upper lid from the image-left corner to the other one, in
            pixels of the picture.
        lower: (K, 2), the edge of the lower lid.
    """

    def __init__(self, upper: np.ndarray, lower: np.ndarray) -> None:
        self._frame = FeatureFrame(upper[0], upper[-1])
        self._upper, self._lower = (self._frame.of_points(lid).T for lid in (upper, lower))

    def reach(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels of the picture: nothing else moves with the lid."""
        return self._frame.box(1.0, self._upper[1].min() - _LID, self._lower[1].max())

    def close(self, xs: np.ndarray, ys: np.ndarray, closed: float) -> tuple[np.ndarray, np.ndarray]:
        """Points of the picture with the lid down -> where their color is in the photograph.

        Args:
            xs, ys: (h, w) float32, pixels of the picture.
            closed: 0 (as in the photograph) to 1 (shut).
        """
        u, v = self._frame.of_pixels(xs, ys)
        upper, lower = (np.interp(u, *line) for line in (self._upper, self._lower))
        edge = upper + closed * _LIDS_MEET * np.maximum(0, lower - upper)
        top = upper - _LID
        skin = (v > top) & (v < edge) & (np.abs(u) < 1)
        # The lashes and the skin next to them move down as they are, the skin above is stretched.
        part = np.clip((v - top) / (edge - _LASHES - top), 0, 1)
        return self._frame.shift_down(xs, ys, np.where(skin, part * (upper - edge), 0.0))


def eyes_of(face: Face, to_picture: np.ndarray) -> list[Eye]:
    """Both eyes of a face, the image-left one first.

    Args:
        face: the face.
        to_picture: (2, 3), pixels of the photograph that ``face`` was found in -> pixels of the
            picture.
    """
    points = face.landmarks[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
    lids = face.topology.left_lids, face.topology.right_lids
    return [Eye(points[list(upper)], points[list(lower)]) for upper, lower in lids]


def _contour(coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) u, v along a lip -> its u, ascending, and its v."""
    order = np.argsort(coordinates[:, 0], kind="stable")
    return coordinates[order, 0], coordinates[order, 1]


def _color(picture: RGBImage, point: np.ndarray, radius: float) -> np.ndarray:
    """(3,) float32, the median color around a point."""
    height, width = picture.shape[:2]
    reach = max(1, round(radius))
    x = int(np.clip(round(float(point[0])), 0, width - 1))
    y = int(np.clip(round(float(point[1])), 0, height - 1))
    patch = picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return np.asarray(np.median(patch.reshape(-1, 3), axis=0), np.float32)
