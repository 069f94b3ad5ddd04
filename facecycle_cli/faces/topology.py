"""Which landmark lies where on the face, for each kind of landmark set."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MESH_468", "Topology"]

Group = tuple[int, ...]


@dataclass(frozen=True)
class Topology:
    """Index tables of one kind of landmark set. "Left" and "right" are the image's, on an upright face.

    Attributes:
        count: number of landmarks.
        left_eye, right_eye: landmarks whose mean is the eye's centre.
        nose_tip, left_mouth, right_mouth: single landmarks.
        inner_lips: middle of the upper and of the lower lip's inner edge.
        oval: landmarks around the face, as a polygon.
    """

    count: int
    left_eye: Group
    right_eye: Group
    nose_tip: int
    left_mouth: int
    right_mouth: int
    inner_lips: tuple[int, int]
    oval: Group


MESH_468 = Topology(
    count=468,
    left_eye=(33, 133),
    right_eye=(362, 263),
    nose_tip=1,
    left_mouth=61,
    right_mouth=291,
    inner_lips=(13, 14),
    # fmt: off
    oval=(
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ),
    # fmt: on
)
