"""Landmarks that correct the networks' flow of ``neutralize`` and ``frontalize``.

It is known where the landmarks of the result belong: on the face's shape seen from the front, with
its expression or without. The networks' flow says where the head goes. What their flow leaves of
the way of each landmark is added to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.faces import Alignment, Face, HeadPose
from facecycle_cli.faces.canonical import visibility
from facecycle_cli.faces.similarity import apply_affine, fit_similarity
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.model.flow import upsample
from facecycle_cli.portrait.correction import Correction, near_mouth, sampled
from facecycle_cli.portrait.dials import WHOLE, Dials, part_of_way, rolled, turn_in_plane
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.folds import unfolded
from facecycle_cli.portrait.head import RIGID, Head
from facecycle_cli.portrait.neutral import posed_neutral_shape
from facecycle_cli.portrait.slits import EYE, MOUTH, Opening, Slit

__all__ = ["FaceLandmarks", "ShapeKind", "correct_flows", "landmarks_of"]

ShapeKind: TypeAlias = Literal["neutral", "own"]
"""What the landmarks of a result are those of: the face without its expression, or as it is."""

_CELLS = 64
"""Cells along a side of the crop at which a flow is corrected, at least."""

_PROFILE = 3.0
"""Degrees of pitch that a neutral face keeps: as much as the pitch that is measured differs between
people who look straight ahead, because their profiles differ."""

_TURNED = 12.0, 30.0
"""Degrees of yaw up to which landmarks say how a face looks from the front, and from which on the
networks alone do: the depth of landmarks is a guess, and noses are seen from the side."""

_HAIR = 1.3
"""Distance of points that only the networks move from the middle of the face, in distances of its
outline."""

_CENTER, _RADII = (0.0, 0.05), (0.68, 0.85)
"""The ellipse of a head in its crop, in grid units."""

_FULL, _NONE = 1.05, 1.5
"""In radii of that ellipse: up to the first the correction is complete, beyond the second there is
none: hair and background are the networks' own."""

_LIPS_CLOSED, _LIPS_OPEN = 0.04, 0.18
"""Gap between the lips, in half widths of the mouth, up to which a neutral mouth stays as its
landmarks say, and from which its lips meet."""

_LIPS = replace(MOUTH, overlaps=(0.14, 0.14))
"""Lips that close for good: nothing of the teeth may stay."""

_OCCLUDED = 0.05
"""Weight of a landmark behind the edge of the head where a shape is placed, beside 1 in view."""

_ROUNDS = 10
"""Fixed-point iterations that find where a flow brings a point."""

_EDGE_PAIRS = (MESH_468.left_lids, MESH_468.right_lids, (MESH_468.upper_lip, MESH_468.lower_lip))
_EDGES = frozenset(i for pair in _EDGE_PAIRS for edge in pair for i in edge)
_AROUND = [i for i in range(MESH_468.count) if i not in _EDGES]


class _Corrected(NamedTuple):
    """A flow, and where the landmarks are after it.

    Attributes:
        flow: (n, n, 2) float32, from the result to the crop, in grid units.
        wanted: (468, 2), in grid units of the result.
    """

    flow: np.ndarray
    wanted: np.ndarray


class FaceLandmarks:
    """The landmarks of a face that is moved.

    Args:
        face: with the 468 points of the mesh.
        alignment: from its picture to the crop.
        shape: what the landmarks of the result are those of.
        mouth: whether the mouth follows the landmarks; False: it is left to the networks' flow.
        dials: how far the motion goes.
    """

    def __init__(
        self,
        face: Face,
        alignment: Alignment,
        shape: ShapeKind,
        *,
        mouth: bool,
        dials: Dials = WHOLE,
    ) -> None:
        self._head = Head.in_crop(face, alignment)
        self._shape = shape
        self._mouth = mouth
        self._dials = dials
        space = self._head.in_space
        self._own = space[:, :2]
        self._in_view = visibility(space, MESH_468)
        outline = self._own[list(MESH_468.oval)]
        middle = outline.mean(0)
        self._hair = middle + _HAIR * (outline - middle)
        eyes = [self._own[list(eye)].mean(0) for eye in (MESH_468.left_eye, MESH_468.right_eye)]
        self._unit = float(np.linalg.norm(eyes[1] - eyes[0]))

    def corrected(self, flow: np.ndarray) -> _Corrected:
        """The flow with what it leaves of the landmarks' way.

        Args:
            flow: (n, n, 2) float32, of the networks, in grid units.
        """
        n = len(flow)
        if not self._dials.are_neutral:
            flow = flow * np.float32(self._dials.flow_share(float(self._head.angles[0])))
        to_cells = np.array([[1.0, 0, 1], [0, 1, 1]]) * (n - 1) / 2
        points = np.concatenate([self._own, self._hair])
        moved = _moved(points, flow, to_cells)
        wanted = moved.copy()
        wanted[: len(self._own)] = self._wanted(moved[: len(self._own)])
        if self._share <= 0:
            return self._rolled(flow, wanted[: len(self._own)])
        skip = near_mouth(points, MESH_468) if not self._mouth else np.zeros(len(points), bool)
        chosen = [i for i in range(len(points)) if i not in _EDGES and not skip[i]]
        line = np.linspace(-1, 1, n)
        grid = np.stack(np.meshgrid(line, line), axis=-1)
        in_view = np.concatenate([self._in_view, np.ones(len(self._hair))])
        correction = Correction(points, chosen, grid, to_cells, self._unit)
        missing = correction(flow, wanted, in_view, np.zeros(len(points)))[..., :2]
        radius = np.hypot(*((grid[..., i] - _CENTER[i]) / _RADII[i] for i in range(2)))
        missing = missing * (1 - smoothstep(radius, _FULL, _NONE))[..., None]
        both = unfolded((flow + missing).astype(np.float32), 2 / (n - 1))
        return self._rolled(both, wanted[: len(self._own)])

    def _rolled(self, flow: np.ndarray, wanted: np.ndarray) -> _Corrected:
        """Turned in the plane of the picture, around the middle of the crop."""
        roll = self.pose.roll
        return _Corrected(rolled(flow, roll), wanted @ turn_in_plane(roll).T)

    def openings(self, corrected: _Corrected, side: int, margin: int) -> list[tuple[Slit, Opening]]:
        """Lips and lids, which part and meet beyond what the flow does.

        Args:
            corrected: what :meth:`corrected` made.
            side: of the result in pixels.
            margin: pixels of the photograph around it.
        """
        half, n = (side - 1) / 2, len(corrected.flow)
        own, wanted = ((points + 1) * half + margin for points in (self._own, corrected.wanted))
        to_cells = np.array([[1.0, 0, -margin], [0, 1, -margin]]) * (n - 1) / (side - 1)
        displacement = corrected.flow * np.float32(half)
        limits = margin, margin, margin + side, margin + side
        found = []
        for pair, kind in zip(_EDGE_PAIRS, (EYE, EYE, _LIPS), strict=True):
            if kind is _LIPS and not self._mouth:
                continue
            slit = Slit(own, *pair, _AROUND, kind)
            opening = slit.prepare(wanted, lambda p: sampled(displacement, p, to_cells), limits)
            if opening is not None:
                found.append((slit, opening))
        return found

    @property
    def _share(self) -> float:
        """How far landmarks count, 0..1."""
        return 1 - float(smoothstep(np.array(abs(self._head.angles[0])), *_TURNED))

    @property
    def pose(self) -> HeadPose:
        """Of the result's head."""
        yaw, pitch, roll = map(float, self._head.angles)
        neutral = self._shape == "neutral"
        wanted = float(np.clip(pitch, -_PROFILE, _PROFILE)) if neutral else pitch
        return self._dials.pose(HeadPose(yaw, pitch, roll), wanted, overshoot=not neutral)

    def _wanted(self, moved: np.ndarray) -> np.ndarray:
        """Where the landmarks belong, (468, 2), if the flow brings them to ``moved``."""
        head, pose = self._head, self.pose
        front = head.shape[:, :2]
        if self._shape == "neutral":
            front = part_of_way(front, posed_neutral_shape(head), self._dials.strength)
        upright = HeadPose(pose.yaw, pose.pitch, 0).rotation
        space = np.column_stack([front, head.shape[:, 2]]) @ upright.T
        weights = self._in_view[RIGID] + _OCCLUDED
        placed = fit_similarity(space[RIGID, :2], moved[RIGID], weights)
        wanted: np.ndarray = moved + self._share * (apply_affine(placed, space[:, :2]) - moved)
        if self._shape == "neutral":
            self._close_lips(wanted)
        return wanted

    def _close_lips(self, wanted: np.ndarray) -> None:
        """Let lips that were parted meet: change (468, 2) in place."""
        upper, lower = (list(lip)[1:-1] for lip in (MESH_468.upper_lip, MESH_468.lower_lip))
        ends = self._own[[MESH_468.upper_lip[0], MESH_468.upper_lip[-1]]]
        gap = np.linalg.norm(np.subtract(*self._own[list(MESH_468.inner_lips)]))
        opening = 2 * gap / max(1e-6, float(np.linalg.norm(ends[1] - ends[0])))
        share = self._dials.change * smoothstep(np.array(opening), _LIPS_CLOSED, _LIPS_OPEN)
        apart = share * (wanted[lower] - wanted[upper]) / 2
        wanted[upper] += apart
        wanted[lower] -= apart


def landmarks_of(
    faces: Sequence[Face],
    alignments: Sequence[Alignment],
    shape: ShapeKind,
    *,
    mouth: bool,
    dials: Dials = WHOLE,
) -> list[FaceLandmarks]:
    """The landmarks of N faces; none where they are not those of the mesh."""
    if any(face.topology != MESH_468 for face in faces):
        return []
    pairs = zip(faces, alignments, strict=True)
    return [
        FaceLandmarks(face, alignment, shape, mouth=mouth, dials=dials) for face, alignment in pairs
    ]


def correct_flows(
    flow: Tensor, landmarks: Sequence[FaceLandmarks], side: int, margin: int
) -> tuple[Tensor, list[list[tuple[Slit, Opening]]]]:
    """Correct the flows of N faces.

    Args:
        flow: (N, 2, h, w), of the networks, finite, in grid units.
        landmarks: of the N faces.
        side: of the results in pixels.
        margin: pixels of the photographs around them.

    Returns:
        (N, 2, h', w'), at 64 cells at least, and lips and lids of each face.
    """
    cells = max(_CELLS, flow.shape[-1])
    fine = upsample(flow, (cells, cells), mode="bicubic").permute(0, 2, 3, 1).cpu().numpy()
    all_corrected = [
        face.corrected(np.ascontiguousarray(each, np.float32))
        for face, each in zip(landmarks, fine, strict=True)
    ]
    openings = [
        face.openings(corrected, side, margin)
        for face, corrected in zip(landmarks, all_corrected, strict=True)
    ]
    new = torch.from_numpy(np.stack([corrected.flow for corrected in all_corrected]))
    return new.permute(0, 3, 1, 2).contiguous().to(flow), openings


def _moved(points: np.ndarray, flow: np.ndarray, to_cells: np.ndarray) -> np.ndarray:
    """Where a flow (n, n, 2), which leads from the result to the crop, brings points (k, 2)."""
    moved = points.copy()
    for _ in range(_ROUNDS):
        moved = points - sampled(flow, moved, to_cells)
    return moved
