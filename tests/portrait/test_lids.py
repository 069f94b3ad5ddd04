"""Lids that meet: the skin of both, and no spot of the eye between them."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.portrait.edges import Edges
from facecycle_cli.portrait.features import FeatureFrame
from facecycle_cli.portrait.lids import draw_lashes, smooth_stretched
from facecycle_cli.portrait.skins import PhotographedSlit, skin_colors

FRAME = FeatureFrame(np.array([40.0, 60.0]), np.array([120.0, 60.0]))
EDGE = np.linspace(-1, 1, 9)
OPEN = 0.4 * (1 - EDGE**2)
EDGES = Edges((EDGE, -OPEN), (EDGE, 0.5 * OPEN))
BOX, EVERYTHING = (0, 0, 160, 120), (slice(0, 120), slice(0, 160))
SOFT = 1 / 40
ABOVE, LASHES, BELOW, EYE = 200, 60, 160, 255


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Light skin with dark lashes, an eye, and darker skin below it."""
    u, v, upper, lower = EDGES.pixels(FRAME, BOX, EVERYTHING)[:4]
    gray = np.where(v < lower, np.where(v < upper, ABOVE, EYE), BELOW)
    gray[(np.abs(v - upper) < 0.06) & (np.abs(u) < 0.9)] = LASHES
    return np.repeat(gray[..., None].astype(np.uint8), 3, axis=-1)


def drawn(picture: np.ndarray, part: float) -> np.ndarray:
    """The eye with its opening made smaller, on a slanted line."""
    xs, ys = np.meshgrid(np.arange(160.0), np.arange(120.0))
    edges = Edges(*((EDGE, v * part + 0.1 * EDGE * (1 - part)) for v in (-OPEN, 0.5 * OPEN)))
    # Skin of one color each: beyond the edge that is drawn, from beyond the one in the photograph.
    skins = [(xs, np.full_like(ys, y)) for y in (20.0, 100.0)]
    place = edges.pixels(FRAME, BOX, EVERYTHING)
    own = PhotographedSlit(picture, FRAME, EDGES)
    colors = skin_colors(place, SOFT, skins, picture)
    colors += place.between(SOFT)[..., None] * (own.inside(place) - colors)
    draw_lashes(colors, place, SOFT, own, part)
    return colors[..., 0]


def test_shut_lids_show_skin_and_lashes_and_no_step(picture):
    gray = drawn(picture, 0.0)
    assert gray.max() <= ABOVE
    line = gray[:, 60:101]
    assert (line.min(0) < 110).all()
    # The line has no steps: its darkest rows lie where the slanted edge is, within half a pixel.
    weights = np.maximum(BELOW - line, 0)
    places = (weights * np.arange(120)[:, None]).sum(0) / weights.sum(0)
    assert np.abs(np.diff(places, 2)).max() < 0.5


def test_open_lids_are_as_in_the_photograph(picture):
    gray = drawn(picture, 1.0)
    inside = np.s_[52:60, 70:91]
    np.testing.assert_array_equal(gray[inside], picture[inside][..., 0])
    assert (gray[:20] == ABOVE).all()
    assert (gray[100:] == BELOW).all()


def test_lashes_come_with_the_lid(picture):
    darkest = [drawn(picture, part)[40:75, 80].min() for part in (0.6, 0.3, 0.1, 0.0)]
    assert darkest == sorted(darkest, reverse=True)
    assert darkest[0] > darkest[-1] + 60


@pytest.mark.parametrize(("height", "blurred"), [(0.2, True), (1.0, False)])
def test_lashes_do_not_become_bars_on_a_lid(height, blurred):
    """A lid that is drawn five times as high as it was, from skin with upright lashes on it."""
    bars = np.where(np.arange(160) % 6 < 2, 60, 200).astype(np.uint8)
    picture = np.broadcast_to(bars[None, :, None], (120, 160, 3)).copy()
    xs, ys = np.meshgrid(np.arange(160.0), np.arange(120.0))
    shift = np.zeros((12, 16, 2), np.float32)
    shift[..., 1] = (height - 1) * 10 * np.arange(12)[:, None]
    own = PhotographedSlit(picture, FRAME, EDGES)
    layer = smooth_stretched(shift, EDGES, FRAME, BOX, (xs, ys * height), own)
    assert (layer is not None) == blurred
    if layer is None:
        return
    share, color = np.zeros((120, 160)), np.zeros((120, 160, 3))
    part, share[part], color[part] = layer
    lid = np.s_[20:35, 70:91]
    assert (share[lid] > 0.99).all()
    assert np.ptp(color[lid]) < 15
    _, v, upper, *_ = EDGES.pixels(FRAME, BOX, EVERYTHING)
    assert not share[v > upper].any(), "the eye is no lid"
