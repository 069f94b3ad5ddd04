"""What a slit shows: the skin on both sides of it up to its edges, and between them what the
photograph has there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facecycle_cli.portrait.edges import Edges, SlitPixels
from facecycle_cli.portrait.features import FeatureFrame, smoothstep
from facecycle_cli.portrait.gaze import Look

__all__ = ["PhotographedSlit", "colors_at", "skin_colors"]


class PhotographedSlit(NamedTuple):
    """A slit as it is in the photograph.

    Attributes:
        picture: the photograph, (H, W, 3).
        frame: of the slit.
        edges: of it.
        look: where an eye looks; None: as in the photograph.
    """

    picture: np.ndarray
    frame: FeatureFrame
    edges: Edges
    look: Look | None = None

    def colors(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The colors at places in the frame, (h, w, 3) float32."""
        return colors_at(self.picture, *self.frame.to_pixels(u, v))

    def inside(self, place: SlitPixels) -> np.ndarray:
        """The colors between its edges, (h, w, 3) float32, at pixels of the drawn slit.

        What lies there stays where it is between the corners, unless an eye looks elsewhere. Only
        edges that are further apart than in the photograph stretch it.
        """
        u, v, upper, lower = place[:4]
        own_upper, own_lower = self.edges.at(u)[:2]
        part = np.clip((v - upper) / np.maximum(lower - upper, 1e-3), 0, 1)
        v = v + np.maximum(own_upper - upper, 0) * (1 - part)
        v += np.minimum(own_lower - lower, 0) * part
        if self.look is not None:
            u, v = self.look.source(u, v, self.edges.upper, self.edges.lower)
        return self.colors(u, v)


def skin_colors(
    place: SlitPixels,
    soft: float,
    skins: Sequence[tuple[np.ndarray, np.ndarray]],
    picture: np.ndarray,
) -> np.ndarray:
    """The skin above and below a slit, up to the line between its edges.

    A pixel on that line has a share of the colors on both sides of it. A place between those where
    these are taken from would show another part of the eye, or of the mouth.

    Args:
        place: of the pixels, (h, w).
        soft: half widths of the slit over which an edge is soft.
        skins: where the skin above and below is taken from, x and y each, (h, w) float32, in pixels
            of the photograph.
        picture: the photograph, (H, W, 3).

    Returns:
        (h, w, 3) float32.
    """
    reach = (place.gap + np.float32(soft)) / 2
    low = smoothstep(place.v - place.middle, -reach, reach)
    above, below = (colors_at(picture, *skin) for skin in skins)
    below -= above
    below *= low[..., None]
    below += above
    return below


def colors_at(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32: the colors of a picture at pixels x and y, (h, w) each."""
    xs, ys = np.asarray(x, np.float32), np.asarray(y, np.float32)
    found = cv2.remap(picture, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)
