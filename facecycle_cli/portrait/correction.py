"""The correction of the networks' flow by landmarks: a smooth displacement over the whole head.

The flow moves the face. Where it does not bring the target's landmarks to where they belong, the
rest of the way is interpolated between them. Lips and lids part and meet, which nothing smooth
does: they are left to :mod:`.slits`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facecycle_cli.faces.similarity import apply_affine
from facecycle_cli.faces.topology import Topology
from facecycle_cli.portrait.dense import interpolate

__all__ = ["Correction", "near_mouth", "sampled", "spread_out"]

_CENTERS = 220
"""Landmarks that are interpolated between; the rest lie close to them."""

_SLACK, _SLACK_OCCLUDED = 0.002, 0.5
"""How far a landmark in view gives way to its neighbors, and how much further one that the head
occludes, in sizes of the head."""

_COARSE = 2
"""Cells of the grid along a side of one at which the correction is computed."""


class Correction:
    """Interpolates what is missing of the target's landmarks' motion.

    Args:
        own: (n, 2), where the points are in the photograph, in pixels of the picture.
        chosen: numbers of those that may be used.
        pixels: (h, w, 2), the grid, in pixels of the picture.
        to_cells: (2, 3), pixels of the picture -> cells of that grid.
        unit: size of the head in pixels.
        exact: numbers of those among them that are interpolated between in any case.
    """

    def __init__(
        self,
        own: np.ndarray,
        chosen: Sequence[int],
        pixels: np.ndarray,
        to_cells: np.ndarray,
        unit: float,
        exact: Sequence[int] = (),
    ) -> None:
        self._own = own
        spread = np.array(chosen)[spread_out(own[list(chosen)], _CENTERS)]
        self._centers = np.union1d(spread, np.intersect1d(chosen, exact)).astype(int)
        self._to_cells = to_cells
        self._unit = unit
        height, width = pixels.shape[:2]
        self._size = width, height
        coarse = max(2, width // _COARSE), max(2, height // _COARSE)
        self._coarse = cv2.resize(pixels, coarse, interpolation=cv2.INTER_LINEAR)

    def __call__(
        self,
        displacement: np.ndarray,
        wanted: np.ndarray,
        in_view: np.ndarray,
        other: np.ndarray,
    ) -> np.ndarray:
        """What is missing.

        Args:
            displacement: (h, w, 2) float32, of the networks: from each point of the grid to where
                its color is taken from, in pixels of the picture.
            wanted: (n, 2), where the points belong, in pixels of the picture.
            in_view: (n,), 0..1.
            other: (n,), another value of the points to be interpolated with it.

        Returns:
            (h, w, 3) float32: what is to be added to the displacement, and the other value.
        """
        centers = self._centers
        at = wanted[centers]
        missing = self._own[centers] - at - sampled(displacement, at, self._to_cells)
        slack = self._unit * (_SLACK + _SLACK_OCCLUDED * (1 - in_view[centers]) ** 2)
        values = np.column_stack([missing, other[centers]])
        coarse = interpolate(at, values, self._coarse, slack)
        return np.asarray(cv2.resize(coarse, self._size, interpolation=cv2.INTER_CUBIC))


def sampled(field: np.ndarray, points: np.ndarray, to_cells: np.ndarray) -> np.ndarray:
    """The values (n, c) of a field (h, w, c) at points (n, 2) of the picture.

    Args:
        field: float32, on a coarse grid.
        points: in pixels of the picture.
        to_cells: (2, 3), pixels of the picture -> cells of the grid.
    """
    cells = apply_affine(to_cells, points).astype(np.float32)[:, None]
    found = cv2.remap(
        field, cells[..., 0], cells[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found[:, 0])


def near_mouth(points: np.ndarray, topology: Topology) -> np.ndarray:
    """(n,) bool: which of the points (n, 2) a mouth moves; the first are the landmarks."""
    left, right = points[list(topology.mouth)]
    down = points[topology.chin] - points[topology.lower[0]]
    v = (points - points[topology.lower[0]]) @ down / max(1e-6, float(down @ down))
    near = np.linalg.norm(points - (left + right) / 2, axis=1) < np.linalg.norm(right - left)
    return np.asarray((v > 0.1) & (near | (v > 0.5)))


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """Numbers of ``count`` of the points (n, 2) that lie far apart: each the farthest from all
    before it.
    """
    chosen = [int(np.argmin(points[:, 1]))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
