"""What a frame shows of a face, apart from where its landmarks are."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.translate.appearance import light_gain, skin_color

WHITE_LIGHT = np.array([165.0, 128.0, 112.0])


def hue(color):
    """Logarithms of red and blue over green."""
    return np.log(color[[0, 2]] / color[1])


@pytest.mark.parametrize("light", [(1.15, 0.95, 0.5), (0.85, 1.0, 1.4), (0.8, 1.2, 0.8)])
def test_most_of_a_strongly_colored_light_is_taken_away(light):
    seen = light_gain(WHITE_LIGHT, WHITE_LIGHT * light) * light
    assert np.linalg.norm(hue(seen)) < 0.4 * np.linalg.norm(hue(np.array(light)))


def test_the_color_of_a_skin_is_not_that_of_its_light():
    pale, brown = np.array([205.0, 172.0, 158.0]), np.array([130.0, 92.0, 75.0])
    gain = light_gain(brown, pale)
    assert np.linalg.norm(hue(gain)) < 0.3 * np.linalg.norm(hue(brown) - hue(pale))
    np.testing.assert_allclose(light_gain(pale, pale), 1)


def test_of_a_face_without_colors_the_hue_is_that_of_the_target():
    gain = light_gain(WHITE_LIGHT, np.array([60.0, 60.0, 60.0]))
    assert gain[0] > 1.1 * gain[1] > 1.1 * gain[2]


def test_glasses_and_beards_are_no_skin():
    side, skin = 64, (190, 150, 130)
    points = np.zeros((468, 2))
    for eye, x in ((MESH_468.left_eye, 22), (MESH_468.right_eye, 42)):
        points[list(eye)] = x, 26
    points[list(MESH_468.mouth)] = (24, 46), (40, 46)
    crop = np.full((side, side, 3), 20, np.uint8)
    crop[33:43] = skin
    color = skin_color(crop, points, MESH_468)
    np.testing.assert_allclose(color / color[1], np.array(skin) / skin[1], rtol=0.03)
