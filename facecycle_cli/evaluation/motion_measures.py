"""What a face does, in numbers that neither the size nor the position of the face changes.

Lengths are in distances between the centers of the eyes, in space. Heights are along the vertical
axis of the head, so that neither roll nor yaw nor pitch counts as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecycle_cli.faces import Face
from facecycle_cli.faces.gaze import Gaze
from facecycle_cli.translate.report import Agreement

__all__ = [
    "FACE_MEASURES",
    "GAZE",
    "IRIS_GAZE",
    "MEASURES",
    "FaceMeasure",
    "MotionAgreement",
    "MotionMeasure",
    "MotionMeasures",
    "describe_measures",
    "eye_distance",
]


@dataclass(frozen=True)
class MotionMeasure:
    """One number of a face that moves.

    Attributes:
        name: in tables and in ``report.json``.
        unit: ``degrees``, ``eye distances`` or ``ratio``.
        what: what it is, and of which landmarks (fields of :class:`~.topology.Topology`).
        moves_from: standard deviation over the frames of a source from which it counts as moving:
            about five times that of the landmarks' noise.
    """

    name: str
    unit: str
    what: str
    moves_from: float


@dataclass(frozen=True)
class FaceMeasure(MotionMeasure):
    """One that its landmarks tell.

    Attributes:
        of: the number of a face.
    """

    of: Callable[[Face], float]


def eye_distance(face: Face) -> float:
    """Between the centers of the eyes, in space (a turned head has them closer in the picture), in
    pixels; at least a millionth of one.
    """
    topology = face.topology
    left, right = (face.landmarks[list(s)].mean(0) for s in (topology.left_eye, topology.right_eye))
    return max(1e-6, float(np.linalg.norm(right - left)))


def _heights(face: Face, *groups: tuple[int, ...]) -> list[float]:
    """Mean height of each group of landmarks along the head's vertical axis, in eye distances."""
    down = face.pose.rotation[:, 1]
    heights = -(face.landmarks.astype(np.float64) @ down) / eye_distance(face)
    return [float(heights[list(group)].mean()) for group in groups]


def _corner_height(face: Face) -> float:
    corners, nose = _heights(face, face.topology.mouth, face.topology.lower)
    return corners - nose


def _brow_height(face: Face) -> float:
    topology = face.topology
    ends = tuple(lid[k] for (lid, _) in (topology.left_lids, topology.right_lids) for k in (0, -1))
    brows, eyes = _heights(face, topology.left_brow + topology.right_brow, ends)
    return brows - eyes


def _pucker(face: Face) -> float:
    points = face.landmarks
    outer, inner = (
        points[list(pair)] for pair in (face.topology.outer_lips, face.topology.inner_lips)
    )
    left, right = points[list(face.topology.mouth)]
    thickness = np.linalg.norm(outer - inner, axis=1).sum()
    return float(thickness / max(1e-6, float(np.linalg.norm(right - left))))


# fmt: off
FACE_MEASURES = (
    FaceMeasure("yaw", "degrees", "turn of the head (pairs)", 1.0, lambda f: f.pose.yaw),
    FaceMeasure("pitch", "degrees", "nod (upper, lower)", 1.0, lambda f: f.pose.pitch),
    FaceMeasure("roll", "degrees", "tilt (pairs)", 1.0, lambda f: f.pose.roll),
    FaceMeasure(
        "mouth_width", "eye distances", "between the corners of the mouth (mouth)",
        0.025, lambda f: f.mouth_width,
    ),
    FaceMeasure(
        "mouth_opening", "eye distances", "between the inner edges of the lips (inner_lips)",
        0.025, lambda f: f.mouth_opening,
    ),
    FaceMeasure(
        "corner_height", "eye distances",
        "height of the corners of the mouth (mouth) over the base of the nose (lower)",
        0.02, _corner_height,
    ),
    FaceMeasure(
        "brow_height", "eye distances",
        "height of the brows (left_brow, right_brow) over the corners of the eyes (ends of lids)",
        0.01, _brow_height,
    ),
    FaceMeasure(
        "eye_opening", "ratio",
        "between the lids (left_lids, right_lids), over the width of the eye",
        0.02, lambda f: f.eye_opening,
    ),
    FaceMeasure(
        "pucker", "ratio",
        "thickness of both lips (outer_lips, inner_lips) over the width of the mouth (mouth)",
        0.02, _pucker,
    ),
)
# fmt: on
"""The measures that landmarks tell."""

_GAZE_UNIT = "half widths of an eye"

_GAZE_WHAT = (
    "how far to the right the irises are, between the corners of the eyes; every second frame"
)

GAZE = MotionMeasure("gaze", _GAZE_UNIT, f"{_GAZE_WHAT}; seen by the Attention Mesh", 0.04)

IRIS_GAZE = MotionMeasure(
    "gaze_iris",
    _GAZE_UNIT,
    f"{_GAZE_WHAT}; seen by MediaPipe Iris, whose corners tremble more",
    0.04,
)

MEASURES: tuple[MotionMeasure, ...] = (*FACE_MEASURES, GAZE, IRIS_GAZE)
"""Every motion measure. Its slope is 1 where the output moves as far as the source."""

_GAZE_TRUST = 0.5
"""Least :attr:`.Gaze.trust` of both gazes that are compared."""


def describe_measures() -> dict[str, dict[str, str | float]]:
    """Unit, meaning and least movement of every measure, by its name: for reports."""
    return {
        measure.name: {
            "unit": measure.unit,
            "what": measure.what,
            "moves_from": measure.moves_from,
        }
        for measure in MEASURES
    }


@dataclass(frozen=True)
class MotionAgreement:
    """How well one measure of the output follows that of the source.

    Attributes:
        spread: standard deviation over the frames of the source, in the measure's unit.
        slope: of the least-squares line of the output over the source; None where the source moves
            less than ``moves_from``.
        correlation: Pearson's; None as well where the source does not move.
    """

    spread: float
    slope: float | None
    correlation: float | None


class MotionMeasures:
    """Compares all measures of the output with those of the source; only sums are kept."""

    def __init__(self) -> None:
        self._agreements = {measure.name: Agreement() for measure in MEASURES}

    def add_gaze(self, measure: MotionMeasure, source: Gaze, output: Gaze) -> None:
        """Add the gazes of one frame; where the irises of one are not seen, nothing.

        Args:
            measure: :data:`GAZE` or :data:`IRIS_GAZE`.
            source, output: of its network.
        """
        if min(source.trust, output.trust) >= _GAZE_TRUST:
            self._agreements[measure.name].add(float(source.place[0]), float(output.place[0]))

    def add(self, source: Face, output: Face) -> None:
        """Add the faces of one frame."""
        for measure in FACE_MEASURES:
            self._agreements[measure.name].add(measure.of(source), measure.of(output))

    def summary(self) -> dict[str, MotionAgreement]:
        """Of each measure, in the order of :data:`MEASURES`."""
        summary = {}
        for measure in MEASURES:
            agreement = self._agreements[measure.name]
            moves = agreement.spread >= measure.moves_from
            summary[measure.name] = MotionAgreement(
                agreement.spread,
                agreement.slope if moves else None,
                agreement.correlation if moves else None,
            )
        return summary
