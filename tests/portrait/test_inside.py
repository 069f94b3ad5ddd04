"""The inside of one mouth between the lips of another."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.portrait.inside import MouthPatch, with_inside
from facecycle_cli.portrait.slits import MOUTH, Slit

_LIP, _TOOTH, _DARK = (190.0, 110.0, 90.0), (225.0, 205.0, 165.0), (50.0, 30.0, 25.0)


def _ellipse(center, radii):
    """The upper and the lower edge of a mouth, two of (11, 2)."""
    u = np.linspace(-1, 1, 11)
    v = np.sqrt(np.maximum(0, 1 - u * u))
    return [
        np.column_stack([center[0] + radii[0] * u, center[1] + s * radii[1] * v]) for s in (-1, 1)
    ]


@pytest.fixture(scope="module")
def source() -> MouthPatch:
    """Teeth above the dark, in a mouth whose landmarks lie within its lips."""
    y, x = np.mgrid[:112, :144]
    radius = np.hypot((x - 72) / 44, (y - 56) / 26)
    pixels = np.where((y < 56)[..., None], _TOOTH, _DARK)
    pixels = np.where((radius > 1)[..., None], _LIP, pixels).astype(np.uint8)
    upper, lower = _ellipse((72, 56), (54, 35))
    return MouthPatch(pixels, upper, lower, np.array(_LIP, np.float32))


def _drawn(source, gain, lips):
    """(h, w, 3), what is seen in a mouth that opens, and how deep its pixels lie."""
    upper, lower = _ellipse((100, 80), (60, 2))
    own = np.concatenate([upper, lower, [[100.0, 20.0], [100.0, 140.0], [20, 80], [180, 80]]])
    slit = Slit(own, range(11), range(11, 22), range(22, 26), MOUTH)
    wanted = own.copy()
    wanted[:22] = np.concatenate(_ellipse((100, 80), (60, 36)))
    opening = slit.prepare(wanted, np.zeros_like, (0, 0, 200, 160))
    filled = with_inside(slit, opening, source, 1.2, gain=np.array(gain), lips=np.array(lips))
    x0, y0, x1, y1 = filled.box
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    share, color = np.zeros(xs.shape), np.zeros((*xs.shape, 3))
    ((part, share[part], color[part]),) = slit.draw(
        filled, xs, ys, np.zeros((160, 200, 3), np.uint8)
    )
    radius = np.hypot((np.mgrid[y0:y1, x0:x1][1] - 100) / 60, (np.mgrid[y0:y1, x0:x1][0] - 80) / 36)
    assert share[radius < 0.9].min() > 0.99
    return color, radius, np.mgrid[y0:y1, x0:x1][0] - 80


def test_lips_that_show_in_the_mouth_have_the_color_of_the_other_lips(source):
    """Where lip and tongue have one color, the lip's end is not found."""
    lips = (150.0, 90.0, 140.0)
    pixels = np.full_like(source.pixels, _LIP)
    tongue = MouthPatch(pixels, source.upper, source.lower, source.lips)
    color, radius, _ = _drawn(tongue, (0.9, 1.0, 1.2), lips)
    rim = color[(radius > 0.93) & (radius < 0.97)]
    near = np.abs(rim - lips).max(1) < 25
    assert near.mean() > 0.5
    assert not (np.abs(rim - np.array(_LIP) * (0.9, 1.0, 1.2)).max(1) < 15).any()


def test_lips_of_another_color_are_not_shown_within_the_mouth(source):
    """The landmarks of the source lie in its lips: its teeth begin at the edge instead."""
    color, radius, height = _drawn(source, (1.0, 1.0, 1.0), (150.0, 60.0, 110.0))
    near = (radius > 0.82) & (radius < 0.9)
    assert np.abs(color[near & (height < -12)] - _TOOTH).max(1).mean() < 30
    assert np.abs(color[near & (height > 12)] - _DARK).max(1).mean() < 30


def test_teeth_are_neither_green_nor_yellow(source):
    """Between an orange skin and a pale one all colors move towards green."""
    color, radius, height = _drawn(source, (0.75, 1.1, 1.15), _LIP)
    red, green, blue = color[(radius < 0.6) & (height < -6)].mean(0)
    assert green < 0.61 * red + 0.4 * blue
    assert blue > 0.8 * red
    assert green > 150, "teeth stay bright"


def test_in_one_skin_colors_are_those_of_the_source(source):
    color, radius, height = _drawn(source, (1.0, 1.0, 1.0), _LIP)
    inner = color[(radius < 0.6) & (height < -6)].mean(0)
    np.testing.assert_allclose(inner, _TOOTH, atol=3)
    np.testing.assert_allclose(color[(radius < 0.6) & (height > 6)].mean(0), _DARK, atol=3)


def test_edges_are_smooth_curves_through_their_landmarks():
    upper, lower = _ellipse((100, 80), (60, 30))
    own = np.concatenate([upper, lower, [[100.0, 20.0], [100.0, 140.0], [20, 80], [180, 80]]])
    slit = Slit(own, range(11), range(11, 22), range(22, 26), MOUTH)
    opening = slit.prepare(own, np.zeros_like, (0, 0, 200, 160))
    u, v = opening.edges.upper
    at_landmarks = np.interp((upper[:, 0] - 100) / 60, u, v)
    np.testing.assert_allclose(at_landmarks, (upper[:, 1] - 80) / 60, atol=1e-6)
    between = np.abs(u) < 0.8
    np.testing.assert_allclose(v[between], -0.5 * np.sqrt(1 - u[between] ** 2), atol=0.01)


def test_dull_teeth_do_not_take_the_color_of_lips(source):
    """In a small or soft picture, teeth have nearly the hue of pale lips, but are brighter."""
    pale = (150.0, 115.0, 110.0)
    pixels = source.pixels.copy()
    pixels[:56][(pixels[:56] == np.uint8(_TOOTH)).all(-1)] = (205, 172, 165)
    soft = MouthPatch(pixels, source.upper, source.lower, np.array(pale, np.float32))
    color, radius, height = _drawn(soft, (1.0, 1.0, 1.0), (150.0, 60.0, 110.0))
    rim = color[(radius > 0.6) & (radius < 0.75) & (height < -6)]
    np.testing.assert_allclose(rim.mean(0), (205, 172, 165), atol=8)


def test_the_dark_of_another_mouth_is_no_hole(source):
    pixels = source.pixels.copy()
    pixels[(pixels == np.uint8(_DARK)).all(-1)] = 0
    black = MouthPatch(pixels, source.upper, source.lower, source.lips)
    color, radius, height = _drawn(black, (1.3, 1.3, 1.3), _LIP)
    red, green, blue = color[(radius < 0.6) & (height > 6)].mean(0)
    assert 20 < red < 45
    assert red > 1.3 * max(green, blue)


def test_in_a_picture_without_colors_the_mouth_has_none(source):
    color, radius, _ = _drawn(source, (0.8, 1.0, 1.1), (120.0, 120.0, 120.0))
    assert np.ptp(color[radius < 0.7], axis=-1).max() < 1


def test_teeth_with_some_of_the_color_of_lips_are_teeth(source):
    pixels = source.pixels.copy()
    pixels[(pixels == np.uint8(_TOOTH)).all(-1)] = (164, 131, 123)
    small = MouthPatch(pixels, source.upper, source.lower, np.array((131.0, 100.0, 93.0)))
    color, radius, height = _drawn(small, (1.2, 1.25, 1.25), (158.0, 104.0, 112.0))
    red, green, _ = color[(radius < 0.6) & (height < -6)].mean(0)
    assert green > 0.88 * red


def test_what_is_lit_in_a_mouth_is_not_much_redder_than_its_lips(source):
    pixels = source.pixels.copy()
    pixels[(pixels == np.uint8(_TOOTH)).all(-1)] = (150, 45, 42)
    red_light = MouthPatch(pixels, source.upper, source.lower, np.array((170.0, 50.0, 48.0)))
    lips = np.array((160.0, 105.0, 110.0))
    color, radius, height = _drawn(red_light, (1.2, 1.4, 1.4), lips)
    seen = color[(radius < 0.5) & (height < -6)].mean(0)
    assert seen[0] / seen[1:].mean() < 1.25 * lips[0] / lips[1:].mean()
