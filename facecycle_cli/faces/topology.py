"""Which landmark lies where on the face, for each kind of landmark set."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IBUG_68", "MESH_468", "Topology"]

Group = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Topology:
    """Index tables of one kind of landmark set; left and right are the image's, on an upright face.

    Attributes:
        count: number of landmarks.
        left_eye, right_eye: landmarks whose mean is the centre of the eye.
        nose_tip: one landmark.
        mouth: its left and right corner.
        inner_lips: middle of the inner edge of the upper and of the lower lip.
        outer_lips: middle of their outer edges.
        upper_lip, lower_lip: the inner edge of each, from the left corner to the right one.
        chin: lowest landmark of the face.
        oval: landmarks around the face, in order, as a polygon.
        pairs: (left, right) landmarks that mirror each other and lie on the rigid part of the face.
        upper, lower: landmarks of the symmetry plane above and below the nose, which no expression
            moves much; the line between them tells the pitch.
        rest_pitch: degrees of pitch of that line on a head that looks straight ahead.
    """

    count: int
    left_eye: Group
    right_eye: Group
    nose_tip: int
    mouth: Pair
    inner_lips: Pair
    outer_lips: Pair
    upper_lip: Group
    lower_lip: Group
    chin: int
    oval: Group
    pairs: tuple[Pair, ...]
    upper: Group
    lower: Group
    rest_pitch: float


# fmt: off
MESH_468 = Topology(
    count=468,
    left_eye=(33, 133),
    right_eye=(362, 263),
    nose_tip=1,
    mouth=(61, 291),
    inner_lips=(13, 14),
    outer_lips=(0, 17),
    upper_lip=(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    lower_lip=(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    chin=152,
    oval=(
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ),
    pairs=(
        (33, 263), (133, 362),  # corners of the eyes
        (127, 356), (234, 454), (116, 345), (50, 280),  # temples and cheekbones
        (54, 284), (103, 332),  # forehead
        (129, 358), (98, 327),  # wings of the nose
    ),
    upper=(10, 151, 9),
    lower=(2, 94),
    rest_pitch=2.7,  # median of 340 nearly frontal official portraits
)
"""The points of MediaPipe's face mesh (without those of the irises)."""

IBUG_68 = Topology(
    count=68,
    left_eye=(36, 37, 38, 39, 40, 41),
    right_eye=(42, 43, 44, 45, 46, 47),
    nose_tip=30,
    mouth=(48, 54),
    inner_lips=(62, 66),
    outer_lips=(51, 57),
    upper_lip=(60, 61, 62, 63, 64),
    lower_lip=(60, 67, 66, 65, 64),
    chin=8,
    oval=(*range(17), *range(26, 16, -1)),
    pairs=((36, 45), (39, 42), (0, 16), (1, 15), (17, 26), (31, 35)),
    upper=(27,),
    lower=(33,),
    rest_pitch=2.4,  # of the mesh points in the same places, on the same portraits
)
"""The 68 points of the 300-W challenge (Sagonas et al., 2013); their oval ends at the eyebrows."""
# fmt: on
