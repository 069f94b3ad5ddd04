"""Lips begin where colors say so, and a mouth that closes hides what lies on them."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.portrait.rims import lip_rims
from facecycle_cli.portrait.slits import MOUTH, Slit
from tests.portrait.test_lips import AROUND, drawn, ellipse, opened

LIP, SHINE, TOOTH, SKIN = (190, 100, 100), (225, 130, 128), (240, 235, 225), (215, 170, 150)


@pytest.fixture
def smile() -> np.ndarray:
    """Teeth in a mouth; one of them lies on the lower lip, beside a highlight."""
    y, x = np.mgrid[:160, :200]
    radius = np.hypot((x - 100) / 50, (y - 80) / 12)
    picture = np.where((np.hypot((x - 100) / 62, (y - 80) / 28) < 1)[..., None], LIP, SKIN)
    picture[(abs(x - 71) < 7) & (y > 86) & (y < 97)] = SHINE
    picture[radius < 1] = TOOTH
    picture[(abs(x - 110) < 4) & (y > 80) & (y < 97)] = TOOTH
    return picture.astype(np.uint8)


def test_a_tooth_is_no_lip_and_a_highlight_is(smile):
    upper, lower = ellipse((50, 12))
    rims = lip_rims(smile, (upper, lower), np.array(LIP))
    beside = np.abs(lower[:, 0] - 110) < 10
    assert rims[1, beside].max() == pytest.approx(0.1, abs=0.03)
    assert rims[1, np.abs(lower[:, 0] - 71) < 6].max() < 0.03
    assert rims[0].max() < 0.04


def test_nothing_is_known_where_there_is_no_lip():
    picture = np.full((160, 200, 3), TOOTH, np.uint8)
    assert np.isnan(lip_rims(picture, tuple(ellipse((50, 12))), np.array(LIP))).all()


def test_a_tooth_on_a_lip_is_hidden_when_the_mouth_moves_and_else_stays(smile):
    edges = ellipse((50, 12))
    own = np.concatenate([*edges, AROUND])
    rims = lip_rims(smile, tuple(edges), np.array(LIP))
    slit = Slit(own, range(11), range(11, 22), range(22, 28), MOUTH, rims=rims)
    closed = drawn(slit, opened(slit, own, (50, 0.0)), smile)
    assert closed[60:110, 60:140, 2].max() < 160
    np.testing.assert_allclose(drawn(slit, opened(slit, own, (50, 12)), smile), smile, atol=2)
