"""Which landmark lies where on the face, for each kind of landmark set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["IBUG_68", "MESH_468", "MESH_468_MIRRORED", "Topology"]

_Group = tuple[int, ...]
_Two = tuple[int, int]
_Lids = tuple[_Group, _Group]


@dataclass(frozen=True)
class Topology:
    """Index tables of one kind of landmark set; left and right are the image's, on an upright face.

    Attributes:
        count: number of landmarks.
        left_eye, right_eye: landmarks whose mean is the center of the eye.
        left_lids, right_lids: of each eye the edge of the upper and of the lower lid, from the
            image-left corner to the other one.
        left_brow, right_brow: the upper edge of each eyebrow, from its image-left end to the other.
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
    left_eye: _Group
    right_eye: _Group
    left_lids: _Lids
    right_lids: _Lids
    left_brow: _Group
    right_brow: _Group
    nose_tip: int
    mouth: _Two
    inner_lips: _Two
    outer_lips: _Two
    upper_lip: _Group
    lower_lip: _Group
    chin: int
    oval: _Group
    pairs: tuple[_Two, ...]
    upper: _Group
    lower: _Group
    rest_pitch: float

    @cached_property
    def pair_numbers(self) -> np.ndarray:
        """(2, K): the left ones of :attr:`pairs`, and the right ones."""
        return np.array(self.pairs).T

    def five_points(self, landmarks: np.ndarray) -> np.ndarray:
        """The points that a face is aligned by.

        Args:
            landmarks: (count, D) of this kind.

        Returns:
            (5, D): eye centers (image-left, image-right), nose tip, mouth corners (image-left,
            image-right).
        """
        return np.stack(
            [
                landmarks[list(self.left_eye)].mean(0),
                landmarks[list(self.right_eye)].mean(0),
                landmarks[self.nose_tip],
                *landmarks[list(self.mouth)],
            ]
        )


# fmt: off
MESH_468 = Topology(
    count=468,
    left_eye=(33, 133),
    right_eye=(362, 263),
    left_lids=(
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
    ),
    right_lids=(
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
    left_brow=(70, 63, 105, 66, 107),
    right_brow=(336, 296, 334, 293, 300),
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
    left_lids=((36, 37, 38, 39), (36, 41, 40, 39)),
    right_lids=((42, 43, 44, 45), (42, 47, 46, 45)),
    left_brow=(17, 18, 19, 20, 21),
    right_brow=(22, 23, 24, 25, 26),
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
    rest_pitch=2.4,  # of the mesh points in the same positions, on the same portraits
)
"""The 68 points of the 300-W challenge (Sagonas et al., 2013); their oval ends at the eyebrows."""

MESH_468_MIRRORED: _Group = (
    0, 1, 2, 248, 4, 5, 6, 249, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 250, 251, 252, 253,
    254, 255, 256, 257, 258, 259, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 270, 271, 272,
    273, 274, 275, 276, 277, 278, 279, 280, 281, 282, 283, 284, 285, 286, 287, 288, 289, 290, 291,
    292, 293, 294, 295, 296, 297, 298, 299, 300, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310,
    311, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 322, 323, 94, 324, 325, 326, 327, 328,
    329, 330, 331, 332, 333, 334, 335, 336, 337, 338, 339, 340, 341, 342, 343, 344, 345, 346, 347,
    348, 349, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 360, 361, 362, 363, 364, 365, 366,
    367, 368, 369, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 151, 152, 380, 381, 382, 383,
    384, 385, 386, 387, 388, 389, 390, 164, 391, 392, 393, 168, 394, 395, 396, 397, 398, 399, 175,
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418,
    195, 419, 197, 420, 199, 200, 421, 422, 423, 424, 425, 426, 427, 428, 429, 430, 431, 432, 433,
    434, 435, 436, 437, 438, 439, 440, 441, 442, 443, 444, 445, 446, 447, 448, 449, 450, 451, 452,
    453, 454, 455, 456, 457, 458, 459, 460, 461, 462, 463, 464, 465, 466, 467, 3, 7, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45,
    46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68,
    69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91,
    92, 93, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131,
    132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150,
    153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 165, 166, 167, 169, 170, 171, 172, 173,
    174, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193,
    194, 196, 198, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216,
    217, 218, 219, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235,
    236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247,
)
"""The point of the mesh that each of its points becomes in the mirror."""
# fmt: on
