"""What the landmarks of the target do to its picture: the correction of the flow, lips and lids,
the inside of the mouth, and light.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np

from facecycle_cli.faces.similarity import apply_affine, invert_affine
from facecycle_cli.faces.topology import Topology
from facecycle_cli.portrait.chin import chin_below_lips
from facecycle_cli.portrait.correction import Correction, near_mouth, sampled
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.gaze import Look
from facecycle_cli.portrait.inside import MouthPatch, with_inside
from facecycle_cli.portrait.slits import EYE, MOUTH, Opening, Slit
from facecycle_cli.translate.placement import UNMOVED, PlaneMotion
from facecycle_cli.translate.points import WantedPoints

__all__ = ["Grid", "LandmarkChange", "LandmarkLayer", "LandmarkRequest", "blend"]

_MOVES = 0.005, 0.05
"""Root mean square motion of the landmarks, in distances between the eyes, up to which nothing
moves, whatever the networks see in two crops of one face, and from which their flow counts."""

_TREMBLES = 0.003, 0.01
"""The same motion up to which it is the trembling of landmarks, and from which none is."""

_LIDS_MEET = 0.85
"""Where lids meet, from the upper one (0) to the lower one (1): the upper one comes down."""

_LIGHT_REACH = 0.18
"""Standard deviation of the smoothing of light over the face, in sizes of the head."""

_MAX_LIGHT = 0.5
"""The largest change of light, as a logarithm."""

_LIGHT_FADES = -0.1, 0.1
"""Distances inwards from the outline of the face, in sizes of the head, up to which no light
changes, and from which all of it does: what lies beside a face keeps its light."""

_FEATURE_REACH = 0.12
"""Distance from lips and lids, in sizes of the head, within which brightness is not light: mouths
open and eyes close."""

_EYE = replace(EYE, overlaps=(0.1, 0.16), rims=(0.25, 0.3), lashes=True)
"""Lids that shut cover more from above: their landmarks lie within the eye. The lower lid keeps its
lashes."""

_MOUTH = replace(MOUTH, overlaps=(0.09, 0.14))
"""Lips that close over teeth hide their rims."""

_CELLS = 22
"""Cells along the width of the surroundings of lips and lids. With 40 a frame takes longer and is
the same to 0.005 gray levels in the mean."""


class Grid(NamedTuple):
    """The coarse grid of a stage.

    Attributes:
        pixels: (h, w, 2), its points in pixels of the picture.
        to_cells: (2, 3), pixels of the picture -> cells.
        to_crop: (2, 3), pixels of the picture -> grid units of the target's crop.
        limits: x0, y0, x1, y1 of the part of the picture that it covers.
    """

    pixels: np.ndarray
    to_cells: np.ndarray
    to_crop: np.ndarray
    limits: tuple[int, int, int, int]


@dataclass(frozen=True)
class LandmarkRequest:
    """What the landmarks are to do in one frame.

    Attributes:
        wanted: where they belong.
        eyes_closed: how far the eyelids are down, 0..1.
        mouth: that of the source; None: the inside of the mouth is the target's own.
        mouth_opening: its opening, in distances between the eyes.
        gain: (3,), colors of the target's skin over the source's.
        lips: (3,), the color of the target's lips, RGB 0..255.
        light: (n,), logarithm of how much lighter the face is at each landmark.
        gaze: (2,), how far the irises move, in half widths of an eye: to the right, and down.
        lag: (2, 3), as :class:`.TargetMotion` has it.
        head: as :class:`.TargetMotion` has it.
    """

    wanted: WantedPoints
    eyes_closed: float
    mouth: MouthPatch | None
    mouth_opening: float
    gain: np.ndarray
    lips: np.ndarray
    light: np.ndarray
    gaze: np.ndarray = field(default_factory=lambda: np.zeros(2))
    lag: np.ndarray = field(default_factory=lambda: np.zeros((2, 3)))
    head: PlaneMotion = UNMOVED


class LandmarkChange(NamedTuple):
    """What they do to the picture.

    Attributes:
        displacement: (h, w, 2) float32, pixels: that of the networks, corrected.
        light: (h, w) float32, logarithm of the change of brightness.
        lag: (h, w, 2) float32, pixels: what is added to the displacement around the head.
    """

    displacement: np.ndarray
    light: np.ndarray
    lag: np.ndarray


class LandmarkLayer:
    """The landmarks of a target in its picture.

    Args:
        own: (n, 2), where the points are in the photograph, in grid units of the crop.
        topology: of the first of them, the landmarks.
        grid: of the stage.
        features: whether lips and lids follow the landmarks.
        irises: (2, 5, 2), of both eyes, as :class:`.TargetGaze` has them; None: they stay.
        rims: of the lips, as :func:`.lip_rims` has them; None: not known.
    """

    def __init__(
        self,
        own: np.ndarray,
        topology: Topology,
        grid: Grid,
        *,
        features: bool,
        irises: np.ndarray | None = None,
        rims: np.ndarray | None = None,
    ) -> None:
        self._grid = grid
        self._to_picture = invert_affine(grid.to_crop)
        self._in_crop = apply_affine(grid.to_crop, grid.pixels).reshape(-1, 2).astype(np.float32)
        self._topology = topology
        self._own = own = chin_below_lips(apply_affine(self._to_picture, own), topology)
        left, right = (own[list(eye)].mean(0) for eye in (topology.left_eye, topology.right_eye))
        self._unit = float(np.linalg.norm(right - left))
        lids = (topology.left_lids, topology.right_lids)
        lips = (topology.upper_lip, topology.lower_lip)
        edges = {i for pair in (*lids, lips) for edge in pair for i in edge}
        chosen = [i for i in range(len(own)) if i not in edges]
        if not features:
            chosen = [i for i in chosen if not near_mouth(own, topology)[i]]
        brows = [*topology.left_brow, *topology.right_brow]
        self._correction = Correction(
            own, chosen, grid.pixels, grid.to_cells, self._unit, exact=brows
        )
        around = [i for i in range(topology.count) if i not in edges]
        self._mouth = Slit(own, *lips, around, _MOUTH, _CELLS, rims) if features else None
        self._eyes = [Slit(own, *pair, around, _EYE, _CELLS) for pair in lids] if features else []
        self._looks = [None] * len(self._eyes) if irises is None else self._looks_of(irises)
        self._smooth_light = _light_smoother(own, topology, sorted(edges), self._unit)
        self._lit = _within_face(own, topology, self._unit)

    def change(
        self, request: LandmarkRequest, displacement: np.ndarray
    ) -> tuple[LandmarkChange, np.ndarray]:
        """The smooth part of the change.

        Args:
            request: for this frame.
            displacement: (h, w, 2) float32, of the networks, pixels.

        Returns:
            The change, and (n, 2), where the points belong, in pixels of the picture.
        """
        wanted = apply_affine(self._to_picture, request.wanted.points)
        wanted = chin_below_lips(wanted, self._topology)
        moved = np.sqrt(np.square(wanted - self._own).sum(1).mean()) / self._unit
        displacement = displacement * np.float32(smoothstep(moved, *_MOVES))
        moves = smoothstep(moved, *_TREMBLES)
        wanted = self._own + moves * (wanted - self._own)
        for eye in self._eyes:
            upper, lower = wanted[eye.upper], wanted[eye.lower]
            meet = upper + _LIDS_MEET * (lower - upper)
            wanted[eye.upper] = upper + request.eyes_closed * (meet - upper)
            wanted[eye.lower] = lower + request.eyes_closed * (meet - lower)
        light = np.clip(self._smooth_light @ request.light, -_MAX_LIGHT, _MAX_LIGHT) * self._lit
        both = self._correction(displacement, wanted, request.wanted.in_view, light)
        both[..., :2] += displacement
        lag = (moves * self._to_picture[:, :2] @ request.lag).astype(np.float32)
        around = apply_affine(lag, self._in_crop).reshape(displacement.shape)
        return LandmarkChange(both[..., :2], both[..., 2], around), wanted

    def openings(
        self, request: LandmarkRequest, wanted: np.ndarray, displacement: np.ndarray
    ) -> list[tuple[Slit, Opening]]:
        """Lips and lids.

        Args:
            request: for this frame.
            wanted: (n, 2), where the points belong, in pixels of the picture.
            displacement: (h, w, 2) float32, of the rest of the face, pixels.
        """

        def moved_by(points: np.ndarray) -> np.ndarray:
            return sampled(displacement, points, self._grid.to_cells)

        limits = self._grid.limits
        found = []
        for eye, look in zip(self._eyes, self._looks, strict=True):
            if (opening := eye.prepare(wanted, moved_by, limits)) is not None:
                if look is not None:
                    opening = replace(opening, look=replace(look, shift=request.gaze))
                found.append((eye, opening))
        if self._mouth is None or (opened := self._mouth.prepare(wanted, moved_by, limits)) is None:
            return found
        if request.mouth is None:
            return [*found, (self._mouth, opened)]
        ends = wanted[[self._mouth.upper[0], self._mouth.upper[-1]]]
        across = max(1e-6, float(np.linalg.norm(ends[1] - ends[0])) / 2)
        source_opening = request.mouth_opening * self._unit / across
        filled = with_inside(
            self._mouth,
            opened,
            request.mouth,
            source_opening,
            gain=request.gain,
            lips=request.lips,
        )
        return [*found, (self._mouth, filled)]

    def _looks_of(self, irises: np.ndarray) -> list[Look | None]:
        looks: list[Look | None] = []
        for eye, points in zip(self._eyes, irises, strict=False):
            center, *rim = eye.frame.of_points(apply_affine(self._to_picture, points))
            radius = float(np.linalg.norm(np.array(rim) - center, axis=1).mean())
            looks.append(Look(center, radius, np.zeros(2)))
        return looks


def blend(
    picture: np.ndarray, part: tuple[slice, slice], share: np.ndarray, color: np.ndarray
) -> None:
    """Blend colors (h, w, 3) into a part of a picture (H, W, 3) uint8, by shares (h, w)."""
    below = picture[part].astype(np.float32)
    picture[part] = np.clip(np.rint(below + share[..., None] * (color - below)), 0, 255)


def _within_face(own: np.ndarray, topology: Topology, unit: float) -> np.ndarray:
    """(len(own),): how far each point lies within the outline of the face, from 0 to 1."""
    outline = own[list(topology.oval)].astype(np.float32)
    inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in own]
    return np.asarray(smoothstep(np.array(inside) / unit, *_LIGHT_FADES))


def _light_smoother(
    own: np.ndarray, topology: Topology, edges: list[int], unit: float
) -> np.ndarray:
    """(len(own), topology.count): from light at the landmarks to smooth light at all points."""
    points = own[: topology.count]
    to_edges = np.linalg.norm(points[:, None] - points[edges], axis=-1).min(1)
    valid = to_edges > _FEATURE_REACH * unit
    distance = np.linalg.norm(own[:, None] - points, axis=-1)
    # The nearest ones count even where none is near.
    nearest = np.where(valid, distance, np.inf).min(1, keepdims=True)
    weights = np.exp(-0.5 * (np.square(distance) - nearest**2) / (_LIGHT_REACH * unit) ** 2)
    weights = np.where(valid, weights, 0)
    return np.asarray(weights / weights.sum(1, keepdims=True))
