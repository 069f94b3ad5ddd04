"""Lips, lids and brows, measured closely with MediaPipe's attention mesh (Grishchenko, Ablavatski,
Kartynnik, Raveendran, Grundmann, "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time",
2020).

The mesh of the whole face draws lips and lids near where they are on most faces. This network looks
at them once more, each in a part of its own: parted lips, wide eyes and shut ones lie where they
are seen. In the parts of the eyes it finds the irises as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from facecycle_cli.faces.face import Face
from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze, seen_gaze
from facecycle_cli.faces.mesh import INPUT_SIDE, Region
from facecycle_cli.faces.sessions import Network, to_planes
from facecycle_cli.faces.similarity import apply_affine, invert_affine, warp_antialiased
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.types import RGBImage

__all__ = [
    "ABOVE_BROWS",
    "BROWS",
    "LIPS",
    "UPPER_BROWS",
    "CloseLook",
    "look_closely",
    "look_closely_at",
]

_NETWORK = Network("attention_mesh.onnx", 1)

_BATCH: Final = 4
"""Faces that go through the network together: a fifth faster than one by one."""

_FEATURES: Final = 48
"""Side of the features of the whole face from which the parts are cut."""

_PART: Final = 16
"""Side of a part."""

_AVERAGED_BELOW: Final = 0.5
"""The scale of the face from which down its pixels are averaged: the network was trained on pixels
that were not."""

_UNITS: Final = 4.0
"""Landmarks are in units of so many along one point of a part."""

_MARGIN: Final = 1.5
"""Sides of a part over those of the box around its landmarks."""


@dataclass(frozen=True)
class _Part:
    """A part of the face that is looked at once more.

    Attributes:
        output: of the network.
        landmarks: numbers of the mesh's points, in the order of the output.
        ends: two of them, which are level in the part.
    """

    output: str
    landmarks: tuple[int, ...]
    ends: tuple[int, int]


# fmt: off
_PARTS: Final = (
    _Part("lips", (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
        76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
        62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
    ), (61, 291)),
    _Part("left", (
        33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110,
        24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232,
        233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118,
        119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
    ), (33, 133)),
    _Part("right", (
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255,
        339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449,
        450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295,
        372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
    ), (362, 263)),
)
# fmt: on

LIPS: Final = list(_PARTS[0].landmarks)
"""Numbers of the landmarks of the lips, from their outer to their inner edges."""

UPPER_BROWS: Final = [*MESH_468.left_brow, *MESH_468.right_brow]
ABOVE_BROWS: Final = [71, 68, 104, 69, 108, 337, 299, 333, 298, 301]
"""Numbers of the landmarks of the brows' upper edges, and of the lowest row of the forehead's, one
above each of them: those are not looked at closely."""

BROWS: Final = [*UPPER_BROWS, 46, 53, 52, 65, 55, 285, 295, 282, 283, 276]
"""Numbers of the landmarks of the brows: their upper and lower edges."""

_OUTPUTS: Final = [part.output for part in _PARTS]

_EYES: Final = "left", "right"
"""The parts in which irises are."""

_CENTERS: Final = np.stack(np.meshgrid(*2 * [np.arange(_PART) + 0.5]), axis=-1).reshape(-1, 2)
"""(256, 2): the points of a part, counted from its corner."""


class CloseLook(NamedTuple):
    """What a close look at a face finds.

    Attributes:
        face: with lips, lids, brows and the skin around the eyes where they are seen closely.
        irises: (2, 5, 2) float64, pixels of the picture: of the image-left and of the other eye the
            middle of the iris and four points of its rim; None: the face is none of the mesh's.
    """

    face: Face
    irises: np.ndarray | None

    @property
    def gaze(self) -> Gaze:
        """Where the face looks."""
        return UNKNOWN_GAZE if self.irises is None else seen_gaze(self.face, self.irises[:, 0])


def look_closely(image: RGBImage, face: Face) -> CloseLook:
    """:func:`look_closely_at` one face."""
    return look_closely_at([image], [face])[0]


def look_closely_at(images: Sequence[RGBImage], faces: Sequence[Face]) -> list[CloseLook]:
    """Look at faces once more.

    Args:
        images: the pictures, (H, W, 3) uint8; ``images[i]`` belongs to ``faces[i]``.
        faces: with the landmarks of the mesh; others stay as they are.

    Returns:
        What was found; of the landmarks only x and y change.

    Raises:
        FaceError: the network's file is missing or damaged.
    """
    chosen = [i for i, face in enumerate(faces) if face.topology is MESH_468]
    found = [CloseLook(face, None) for face in faces]
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        looks = [_Look(images[i], faces[i]) for i in part]
        grids = {
            f"{name}_grid": np.stack([look.grids[name] for look in looks]) for name in _OUTPUTS
        }
        seen = _NETWORK(image=to_planes([look.crop for look in looks]), **grids)
        for k, (i, look) in enumerate(zip(part, looks, strict=True)):
            landmarks, irises = look.found({name: points[k] for name, points in seen.items()})
            if np.isfinite(landmarks).all() and np.isfinite(irises).all():
                found[i] = CloseLook(replace(faces[i], landmarks=landmarks), irises)
    return found


class _Look:
    """A face that is looked at once more.

    Args:
        image: the picture.
        face: in it.

    Attributes:
        crop: (192, 192, 3) uint8, what the network is shown.
        grids: of each output (16, 16, 2) float32, where its part is cut from the features.
    """

    def __init__(self, image: RGBImage, face: Face) -> None:
        region = Region.from_landmarks(face.landmarks)
        self._face = face
        self._back = invert_affine(region.matrix)
        size = INPUT_SIDE, INPUT_SIDE
        self.crop = warp_antialiased(image, region.matrix, size, averaged_below=_AVERAGED_BELOW)
        # The network's pixels are counted from the corner, ours from the first center.
        points = apply_affine(region.matrix, face.landmarks[:, :2].astype(np.float64)) + 0.5
        self._places = {part.output: _place(points, part) for part in _PARTS}
        self.grids = {name: _grid(place) for name, place in self._places.items()}

    def found(self, seen: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(468, 3) float32, the landmarks, and the irises, as :class:`CloseLook` has them.

        Args:
            seen: the points that the network found in each part, in units of its own.
        """
        landmarks = self._face.landmarks.copy()
        for part in _PARTS:
            landmarks[list(part.landmarks), :2] = self._in_picture(part.output, seen[part.output])
        irises = np.stack([self._in_picture(eye, seen[f"{eye}_iris"]) for eye in _EYES])
        return landmarks, irises

    def _in_picture(self, part: str, points: np.ndarray) -> np.ndarray:
        """Points (n, 2) of a part -> pixels of the picture."""
        seen = apply_affine(self._places[part], points.astype(np.float64) / _UNITS)
        return apply_affine(self._back, seen * (INPUT_SIDE / _FEATURES) - 0.5)


def _place(points: np.ndarray, part: _Part) -> np.ndarray:
    """(2, 3): points of a part -> features of the face, both counted from the corner.

    Args:
        points: (468, 2), in pixels of the network's input, counted from the corner.
        part: which.
    """
    points = points * (_FEATURES / INPUT_SIDE)
    along = points[part.ends[1]] - points[part.ends[0]]
    along = along / max(1e-6, float(np.linalg.norm(along)))
    axes = np.array([[along[0], -along[1]], [along[1], along[0]]])
    level = points[list(part.landmarks)] @ axes
    low, high = level.min(0), level.max(0)
    linear = axes * (_MARGIN * (high - low) / _PART)
    return np.column_stack([linear, axes @ ((low + high) / 2) - linear.sum(1) * (_PART / 2)])


def _grid(place: np.ndarray) -> np.ndarray:
    """(16, 16, 2) float32: where a part's points lie among the features, from -1 to 1."""
    at = (apply_affine(place, _CENTERS) - 0.5) * (2 / (_FEATURES - 1)) - 1
    return at.reshape(_PART, _PART, 2).astype(np.float32)
