"""What lids have that lips have not: lashes where they meet, and skin that is stretched over an eye
that shuts.
"""

from __future__ import annotations

import cv2
import numpy as np

from facecycle_cli.portrait.edges import Edges, SlitPixels
from facecycle_cli.portrait.features import FeatureFrame, smoothstep
from facecycle_cli.portrait.skins import PhotographedSlit, colors_at

__all__ = ["draw_lashes", "margin_of_lashes", "smooth_stretched"]

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

_ENDS = 0.8, 1.2
"""Half widths from the middle of the eye between which that skin ends towards its corners."""

_FINE = 0.16
"""Standard deviation of the blur along the lid that takes lashes away, in half widths of the eye.
"""


def margin_of_lashes(frame: FeatureFrame) -> float:
    """Pixels around the edges of lids beyond which :func:`draw_lashes` changes nothing.

    Args:
        frame: of the eye where it is drawn.
    """
    # An edge is soft over a pixel, and so thin that the line of lashes is wider.
    return _BESIDE * max(_THICK * frame.half, _THICK_PIXELS)


def draw_lashes(
    drawn: np.ndarray, place: SlitPixels, soft: float, own: PhotographedSlit, openness: float
) -> None:
    """Add the line of lashes where lids come together.

    Args:
        drawn: (h, w, 3) float32, the colors of the lids; changed in place.
        place: of the pixels, (h, w).
        soft: half widths of the eye over which an edge is soft.
        own: the eye in the photograph.
        openness: the opening over that in the photograph.
    """
    if openness >= _CLOSING:
        return
    shut = _DARK * float(1 - smoothstep(np.array(openness), 0, _CLOSING))
    line = np.square((place.v - place.upper) / max(_THICK, _THICK_PIXELS * soft))
    line = shut * (1 - smoothstep(np.abs(place.u), *_TAPERS)) * np.exp(-0.5 * line)
    drawn += line[..., None] * np.minimum(_lashes(own, place.u) - drawn, 0)


def smooth_stretched(
    shift: np.ndarray,
    edges: Edges,
    frame: FeatureFrame,
    box: tuple[int, int, int, int],
    skin: tuple[np.ndarray, np.ndarray],
    own: PhotographedSlit,
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """The upper lid where it comes down so far that its skin is stretched.

    Lashes on a strip of skin become bars on a whole lid, and its fold a dark patch. Across the
    lashes it is blurred, and it takes on the color of the skin above it.

    Args:
        shift: (h', w', 2), pixels: what is added to where the skin's colors are taken from, on a
            coarse grid over the box.
        edges: of the eye in this frame.
        frame: where it is drawn.
        box: x0, y0, x1, y1, the pixels of the picture around it.
        skin: where these take their colors from, x and y, (h, w) each, in pixels of the photograph.
        own: the eye in the photograph.

    Returns:
        Rows and columns of the box that change, (h'', w'') float32, how much of each of their
        pixels is blurred, and (h'', w'', 3) float32, its color then; None: no skin is stretched.
    """
    height, width = skin[0].shape
    rows = height / len(shift)
    higher = 1 + np.gradient(shift @ own.frame.down.astype(np.float32), np.float32(rows), axis=0)
    share = 1 - smoothstep(higher, *_STRETCHED)
    if not share.any():
        return None
    share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    *_, y1 = frame.box(_ENDS[1], float(edges.upper[1].min()), float(edges.upper[1].max()))
    share = share[: max(0, int(y1) + 2 - box[1])]
    place = edges.pixels(frame, box, (slice(0, len(share)), slice(0, width)))
    share *= place.v < place.upper
    share *= 1 - smoothstep(np.abs(place.u), *_ENDS)
    seen = np.flatnonzero(share.any(1))
    if not len(seen):
        return None
    band = slice(int(seen[0]), int(seen[-1]) + 1)
    share = share[band]
    lid = colors_at(own.picture, *(each[band] for each in skin))
    fine = _FINE * own.frame.half
    lid = cv2.GaussianBlur(lid, (2 * int(np.ceil(2 * fine)) + 1, 1), fine)
    mean = np.average(lid.reshape(-1, 3), axis=0, weights=share.ravel())
    darker = np.maximum(0, _skin_above(own) - mean).astype(np.float32)
    return (band, slice(0, width)), share, lid + _LIKE_SKIN * share[..., None] * darker


def _skin_above(own: PhotographedSlit) -> np.ndarray:
    """(3,): the color of the skin above the lid."""
    v = np.interp(_MIDDLE, *own.edges.upper) + _ABOVE
    found = own.colors(np.broadcast_to(_MIDDLE, v.shape), v)
    return np.asarray(np.median(found.reshape(-1, 3), axis=0))


def _lashes(own: PhotographedSlit, u: np.ndarray) -> np.ndarray:
    """The colors of an eye's lashes, (h, w, 3) float32 at u (h, w): the darkest ones around the
    edge of its upper lid.
    """
    v = np.interp(_ALONG, *own.edges.upper) + _SEARCHED
    found = own.colors(np.broadcast_to(_ALONG, v.shape), v)
    darkest = found[found.sum(-1).argmin(0), np.arange(len(_ALONG))]
    smooth = cv2.GaussianBlur(darkest[None], (0, 0), 2, borderType=cv2.BORDER_REPLICATE)
    across = (u - np.float32(_ALONG[0])) * np.float32(1 / (_ALONG[1] - _ALONG[0]))
    return np.asarray(
        cv2.remap(
            smooth, across, np.zeros_like(across), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    )
