"""Lids that come together: the skin of both up to a soft line, and lashes where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facecycle_cli.portrait.features import FeatureFrame, smoothstep
from facecycle_cli.portrait.gaze import Look

__all__ = [
    "PhotographedSlit",
    "SlitPixels",
    "colors_at",
    "draw_lids",
    "part_of_lids",
    "smooth_stretched",
]

_THICK, _THICK_PIXELS = 0.05, 0.7
"""Standard deviation of the line of lashes across it: in half widths of the eye, and the least in
widths of a soft edge."""

_BESIDE = 3.0
"""Standard deviations of that line beyond the edges of the lids at which nothing changes."""

_DARK = 0.8
"""How much of the color of the lashes a shut eye has in the middle of the line."""

_CLOSING = 0.5
"""The opening over that in the photograph from which no line is added."""

_TAPERS = 0.7, 1.0
"""Half widths from the middle of the eye between which the line ends towards its corners."""

_SEARCHED = np.linspace(-0.14, 0.02, 7)[:, None]
"""Half widths below the upper edge at which the photograph shows its lashes."""

_ABOVE = np.linspace(-0.75, -0.55, 3)[:, None]
"""The same at which it shows skin between the fold of the lid and the brow."""

_LIKE_SKIN = 0.6
"""How much of the difference in color to that skin a lid loses where it is stretched: most of the
strip that it is made of lies in the shadow of its fold."""

_ALONG = np.linspace(-0.8, 0.8, 17)
"""The same along it, from the middle of the eye."""

_MIDDLE = np.linspace(-0.5, 0.5, 7)
"""Those of them that are as far from both corners as from the middle, at most."""


_STRETCHED = 0.35, 0.7
"""How high the skin of a lid was in the photograph over how high it is drawn, up to which it is
shown without lashes, and from which with them."""

_FINE = 0.16
"""Standard deviation of the blur along the lid that takes lashes away, in half widths of the eye.
"""


class SlitPixels(NamedTuple):
    """Pixels around a slit, each (h, w), in half widths of it.

    Attributes:
        u, v: of the pixel.
        upper, lower: the v of both edges at its u.
    """

    u: np.ndarray
    v: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """The opening between the edges."""
        return np.asarray(np.maximum(self.lower - self.upper, 0))


class PhotographedSlit(NamedTuple):
    """A slit as it is in the photograph.

    Attributes:
        frame: of it.
        upper, lower: its edges in that frame: u, ascending, and v.
        look: where an eye looks; None: as in the photograph.
    """

    frame: FeatureFrame
    upper: tuple[np.ndarray, np.ndarray]
    lower: tuple[np.ndarray, np.ndarray]
    look: Look | None = None

    def edges_at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The v of both edges, of the shape of ``u``."""
        return np.interp(u, *self.upper), np.interp(u, *self.lower)

    def inside(self, place: SlitPixels, picture: np.ndarray) -> np.ndarray:
        """The colors between its edges, (h, w, 3) float32, at pixels of the drawn slit.

        An eyeball stays where it is between the corners, unless it looks elsewhere. Only lids that
        are opened further than in the photograph stretch it.

        Args:
            place: of the pixels.
            picture: the photograph, (H, W, 3).
        """
        u, v, upper, lower = place
        own_upper, own_lower = self.edges_at(u)
        part = np.clip((v - upper) / np.maximum(lower - upper, 1e-3), 0, 1)
        stretch = np.maximum(own_upper - upper, 0) * (1 - part)
        stretch += np.minimum(own_lower - lower, 0) * part
        v = v + stretch
        if self.look is not None:
            u, v = self.look.source(u, v, self.upper, self.lower)
        return colors_at(picture, *self.frame.to_pixels(u, v))

    def skin_above(self, picture: np.ndarray) -> np.ndarray:
        """(3,): the color of the skin above the lid."""
        v = np.interp(_MIDDLE, *self.upper) + _ABOVE
        found = colors_at(picture, *self.frame.to_pixels(np.broadcast_to(_MIDDLE, v.shape), v))
        return np.asarray(np.median(found.reshape(-1, 3), axis=0))

    def lashes(self, u: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """The colors of an eye's lashes, (h, w, 3) at u (h, w): the darkest ones around the edge of
        its upper lid.
        """
        v = np.interp(_ALONG, *self.upper) + _SEARCHED
        found = colors_at(picture, *self.frame.to_pixels(np.broadcast_to(_ALONG, v.shape), v))
        darkest = found[found.sum(-1).argmin(0), np.arange(len(_ALONG))]
        smooth = cv2.GaussianBlur(darkest[None], (0, 0), 2, borderType=cv2.BORDER_REPLICATE)[0]
        return np.stack([np.interp(u, _ALONG, channel) for channel in smooth.T], axis=-1)


def part_of_lids(
    frame: FeatureFrame,
    edges: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    box: tuple[int, int, int, int],
) -> tuple[slice, slice]:
    """Rows and columns of a box that :func:`draw_lids` has to draw.

    Args:
        frame: of the eye where it is drawn.
        edges: of its upper and its lower lid in that frame: u and v.
        box: x0, y0, x1, y1, pixels of the picture.
    """
    x, y = frame.to_pixels(*np.concatenate(edges, axis=1))
    # An edge is soft over a pixel, and so thin that the line of lashes is wider.
    margin = _BESIDE * max(_THICK * frame.half, _THICK_PIXELS)
    left, top = (max(0, int(at.min() - margin) - start) for at, start in ((x, box[0]), (y, box[1])))
    right, bottom = (int(at.max() + margin) + 2 - start for at, start in ((x, box[0]), (y, box[1])))
    return slice(top, max(top, bottom)), slice(left, max(left, right))


def draw_lids(
    place: SlitPixels,
    part: tuple[slice, slice],
    soft: float,
    skins: Sequence[tuple[np.ndarray, np.ndarray]],
    picture: np.ndarray,
    own: PhotographedSlit,
    openness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """What lies between two lids, and their edges.

    A pixel on an edge has a share of the colors on both sides of it. A place between those where
    these are taken from would show another part of the eye.

    Args:
        place: of the pixels, (h, w).
        part: rows and columns that are drawn.
        soft: half widths of the eye over which an edge is soft.
        skins: where the skin of the upper and of the lower lid is taken from in the part that is
            drawn, x and y each, in pixels of the photograph.
        picture: the photograph, (H, W, 3).
        own: the eye in it.
        openness: the opening over that in the photograph.

    Returns:
        (h, w) float32, 1 for the pixels that are drawn, 0 for others, and (h, w, 3) float32, their
        colors.
    """
    alpha = np.zeros(place.u.shape, np.float32)
    color = np.zeros((*place.u.shape, 3), np.float32)
    if not alpha[part].size:
        return alpha, color
    place = SlitPixels(*(each[part] for each in place))
    gap = place.gap
    reach = (gap + soft) / 2
    above, below = (colors_at(picture, *skin) for skin in skins)
    low = smoothstep(place.v - (place.upper + place.lower) / 2, -reach, reach)
    drawn = above + low[..., None] * (below - above)
    within = np.minimum(place.v - place.upper, place.lower - place.v)
    share = smoothstep(within, -soft / 2, soft / 2) * smoothstep(gap, 0, 2 * soft)
    if share.any():
        drawn += share[..., None] * (own.inside(place, picture) - drawn)
    if openness < _CLOSING:
        shut = _DARK * float(1 - smoothstep(np.array(openness), 0, _CLOSING))
        line = np.square((place.v - place.upper) / max(_THICK, _THICK_PIXELS * soft))
        line = shut * (1 - smoothstep(np.abs(place.u), *_TAPERS)) * np.exp(-0.5 * line)
        drawn += line[..., None] * np.minimum(own.lashes(place.u, picture) - drawn, 0)
    alpha[part] = np.abs(place.u) < 1 + soft
    color[part] = drawn
    return alpha, color


def smooth_stretched(
    shift: np.ndarray,
    place: SlitPixels,
    skin: tuple[np.ndarray, np.ndarray],
    picture: np.ndarray,
    own: PhotographedSlit,
) -> tuple[np.ndarray, np.ndarray]:
    """The upper lid where it comes down so far that its skin is stretched.

    Lashes on a strip of skin become bars on a whole lid, and its fold a dark patch. Across the
    lashes it is blurred, and it takes on the color of the skin above it.

    Args:
        shift: (h', w', 2), pixels: what is added to where the skin's colors are taken from, on a
            coarse grid over the pixels.
        place: of the pixels, (h, w).
        skin: where they take their colors from, x and y, in pixels of the photograph.
        picture: the photograph, (H, W, 3).
        own: the eye in the photograph.

    Returns:
        (h, w) float32, how much of each pixel is blurred, and (h, w, 3) float32, its color then.
    """
    height, width = place.u.shape
    rows = height / len(shift)
    higher = 1 + np.gradient(shift @ own.frame.down, rows, axis=0).astype(np.float32)
    share = 1 - smoothstep(higher, *_STRETCHED)
    color = np.zeros((height, width, 3), np.float32)
    if not share.any():
        return np.zeros((height, width), np.float32), color
    share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    share = share * (place.v < place.upper) * (1 - smoothstep(np.abs(place.u), 0.8, 1.2))
    seen = np.flatnonzero(share.max(1))
    if not len(seen):
        return share, color
    band = slice(int(seen[0]), int(seen[-1]) + 1)
    lid = colors_at(picture, *(each[band] for each in skin))
    fine = _FINE * own.frame.half
    lid = cv2.GaussianBlur(lid, (2 * int(np.ceil(2 * fine)) + 1, 1), fine)
    mean = np.average(lid.reshape(-1, 3), axis=0, weights=share[band].ravel())
    darker = np.maximum(0, own.skin_above(picture) - mean)
    color[band] = lid + _LIKE_SKIN * share[band][..., None] * darker
    return share, color


def colors_at(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32: the colors of a picture at pixels x and y, (h, w) each."""
    at = x.astype(np.float32), y.astype(np.float32)
    found = cv2.remap(picture, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32)
