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

__all__ = [
    "Appearance",
    "appearance_of",
    "light_gain",
    "lip_color",
    "mouth_edges",
    "skin_color",
    "skin_light",
]

_MOUTH_WIDTH = 100
"""Width in pixels at which a mouth is kept; a smaller one is not enlarged."""

_BESIDE, _MOST = 8, 255
"""Pixels around it that are kept, and the most along a side."""

_LIGHT_BLUR = 0.03
"""Standard deviation of the blur in which light is measured, in sides of the crop."""

_DOWN, _ASIDE = (0.45, 0.6, 0.75), (0.0, 0.25)
"""Points of a cheek: parts of the way from the eye to the corner of the mouth, and of the way from
the middle between the eyes to an eye, outwards from there."""

_CHEEKS = 1.32
"""How much brighter cheeks are than the skin at the rigid landmarks, the eyes' corners among them:
motions that were saved before have the color of the latter."""

_BRIGHTER, _DARKER, _HUE = 0.75, 0.3, 0.25
"""How much of the difference between two skins is taken as a difference in light (as an exponent):
where the target's is brighter, where it is darker, and in hue. The rest is that of the skins, which
teeth do not share; but dull teeth in a bright face are seen, and bright ones have a limit."""

_SKIN_HUE, _SKIN_SPREAD, _SKIN_MOST = (0.28, -0.13), (0.10, 0.06), 1.5
"""Hues of skins in white light, as logarithms of red and of blue over green: their mean, how much
they differ (a standard deviation), and how many of these from the mean a hue is still a skin's.
What lies beyond is the light's, all of it."""


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
    """(3,) float32: the median color of both cheeks, which glasses, hair and beards cover least.

    Args:
        crop: (S, S, 3) uint8, aligned.
        points: (n, 2), the landmarks in it.
        topology: their kind.
    """
    eyes = np.stack([points[list(eye)].mean(0) for eye in (topology.left_eye, topology.right_eye)])
    outwards = eyes - eyes.mean(0)
    to_mouth = points[list(topology.mouth)] - eyes
    cheeks = [eyes + down * to_mouth + aside * outwards for down in _DOWN for aside in _ASIDE]
    smooth = cv2.GaussianBlur(crop, (0, 0), _LIGHT_BLUR * len(crop)).astype(np.float32)
    return np.asarray(np.median(_sampled(smooth, np.concatenate(cheeks)), axis=0) / _CHEEKS)


def light_gain(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """(3,): how much brighter, and how much redder or bluer, the light on the target is, from the
    colors (3,) of both skins.
    """
    brighter = float(max(1.0, target.mean()) / max(1.0, source.mean()))
    share = _BRIGHTER if brighter > 1 else _DARKER
    (target_skin, target_light), (source_skin, source_light) = map(_hues, (target, source))
    hue = np.exp(target_light - source_light + _HUE * (target_skin - source_skin))
    same = (source * hue).sum() / max(1.0, float(source.sum()))
    return np.asarray(brighter**share * hue / same)


def _hues(color: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hue of a skin in white light, and that of the light on it, each (3,), logarithms over
    green, from the color (3,) that is seen.
    """
    logs = np.log(np.maximum(color, 1))
    apart = (logs - logs[1])[[0, 2]] - _SKIN_HUE
    far = float(np.linalg.norm(apart / _SKIN_SPREAD))
    light = apart * max(0.0, 1 - _SKIN_MOST / max(far, _SKIN_MOST))
    skin = _SKIN_HUE + apart - light
    return np.insert(skin, 1, 0.0), np.insert(light, 1, 0.0)


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


def mouth_edges(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """The inner edges of both lips, (k, 2) float64 each, from the left corner to the right one."""
    points, topology = face.landmarks[:, :2].astype(np.float64), face.topology
    return points[list(topology.upper_lip)], points[list(topology.lower_lip)]


def _mouth_patch(image: RGBImage, face: Face) -> MouthPatch:
    topology, points = face.topology, face.landmarks[:, :2].astype(np.float64)
    edges = mouth_edges(face)
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
