"""What a frame of the source shows, apart from where its landmarks are: the inside of the mouth,
the light on the face, and where the eyes look.

It is taken from each frame when that is at hand, because frames are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.gaze import UNKNOWN_GAZE, Gaze
from facecycle_cli.faces.similarity import apply_affine, warp_antialiased
from facecycle_cli.faces.topology import Topology
from facecycle_cli.portrait.inside import MouthPatch
from facecycle_cli.types import RGBImage

__all__ = ["Appearance", "appearance_of", "lip_color", "skin_color", "skin_light"]

_MOUTH_WIDTH = 100
"""Width in pixels at which a mouth is kept; a smaller one is not enlarged."""

_BESIDE, _MOST = 8, 255
"""Pixels around it that are kept, and the most along a side."""

_LIGHT_BLUR = 0.03
"""Standard deviation of the blur in which light is measured, in sides of the crop."""


@dataclass(frozen=True)
class Appearance:
    """What a frame shows of a face.

    Attributes:
        mouth: the part with the mouth.
        skin: (3,) float32, the color of the face, RGB 0..255.
        light: (n,) float32, logarithm of the brightness around each landmark.
        gaze: where the eyes look.
    """

    mouth: MouthPatch
    skin: np.ndarray
    light: np.ndarray
    gaze: Gaze = UNKNOWN_GAZE


def appearance_of(image: RGBImage, face: Face, alignment: Alignment, crop: RGBImage) -> Appearance:
    """What a frame shows of a face.

    Args:
        image: (H, W, 3) uint8, the frame.
        face: in it.
        alignment: from the frame to ``crop``.
        crop: the aligned crop of the face.
    """
    points = alignment.apply(face.landmarks[:, :2])
    return Appearance(
        _mouth_patch(image, face),
        skin_color(crop, points, face.topology),
        skin_light(crop, points),
    )


def skin_light(crop: RGBImage, points: np.ndarray) -> np.ndarray:
    """(n,) float32: logarithm of the brightness around points (n, 2) of an aligned crop."""
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(gray, (0, 0), _LIGHT_BLUR * len(crop))
    return np.asarray(np.log(_sampled(smooth, points) + 8))


def skin_color(crop: RGBImage, points: np.ndarray, topology: Topology) -> np.ndarray:
    """(3,) float32: the median color at the rigid landmarks, which hair and lips do not cover.

    Args:
        crop: (S, S, 3) uint8, aligned.
        points: (n, 2), the landmarks in it.
        topology: their kind.
    """
    cheeks = points[[*np.ravel(topology.pairs), *topology.lower]]
    smooth = cv2.GaussianBlur(crop, (0, 0), _LIGHT_BLUR * len(crop)).astype(np.float32)
    return np.asarray(np.median(_sampled(smooth, cheeks), axis=0))


def lip_color(picture: RGBImage, points: np.ndarray, topology: Topology) -> np.ndarray:
    """(3,) float32: the color in the middle of both lips.

    Args:
        picture: (h, w, 3) uint8.
        points: (n, 2), the landmarks in it.
        topology: their kind.
    """
    middles = _lip_middles(points, topology)
    thick = np.linalg.norm(points[list(topology.inner_lips)] - middles, axis=1).mean()
    smooth = cv2.GaussianBlur(picture, (0, 0), max(0.5, 0.3 * float(thick))).astype(np.float32)
    return np.asarray(_sampled(smooth, middles).mean(0))


def _lip_middles(points: np.ndarray, topology: Topology) -> np.ndarray:
    """(2, 2): the middle of the upper and of the lower lip."""
    both = points[list(topology.inner_lips)] + points[list(topology.outer_lips)]
    return np.asarray(both / 2)


def _sampled(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    at = points.astype(np.float32)[:, None]
    found = cv2.remap(
        picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found[:, 0]


def _mouth_patch(image: RGBImage, face: Face) -> MouthPatch:
    topology, points = face.topology, face.landmarks[:, :2].astype(np.float64)
    edges = points[list(topology.upper_lip)], points[list(topology.lower_lip)]
    left, right = edges[0][0], edges[0][-1]
    across = max(1.0, float(np.linalg.norm(right - left)))
    c, s = min(1.0, _MOUTH_WIDTH / across) * (right - left) / across
    level = points @ np.array([[c, -s], [s, c]])
    lips = [*topology.upper_lip, *topology.lower_lip]
    shown = np.concatenate([level[lips], _lip_middles(level, topology)])
    corner = np.floor(shown.min(0)) - _BESIDE
    width, height = np.minimum(np.ceil(shown.max(0)) + _BESIDE - corner, _MOST).astype(int)
    matrix = np.array([[c, s, -corner[0]], [-s, c, -corner[1]]])
    patch = warp_antialiased(image, matrix, (int(width), int(height)))
    upper, lower = (apply_affine(matrix, edge).astype(np.float32) for edge in edges)
    return MouthPatch(patch, upper, lower, lip_color(patch, level - corner, topology))
