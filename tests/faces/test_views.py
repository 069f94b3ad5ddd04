"""What the detector looks at: every face is whole and large enough in some view."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from facecycle_cli.faces.views import Look, Tile, tiles

SMALL_ENOUGH = 640  # view pixels; larger faces are beyond the network


@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    min_face=st.sampled_from([12, 24, 32, 64, 200]),
    data=st.data(),
)
def test_every_face_has_a_view(height, width, min_face, data):
    assume(min(height, width) > min_face)
    face = data.draw(st.floats(min_face, min(height, width)), "face")
    x = data.draw(st.floats(0, width - face), "x")
    y = data.draw(st.floats(0, height - face), "y")
    scale = min(1.0, 20 / min_face)

    def suits(view: Tile) -> bool:
        zoom = view.width / (view.right - view.left)
        whole = (
            view.left <= x + 1
            and x + face <= view.right + 1
            and view.top <= y + 1
            and y + face <= view.bottom + 1
        )
        # 5 %: the overview stands in for a finest scale that is hardly finer.
        return whole and scale * min_face / 1.06 <= zoom * face <= SMALL_ENOUGH + 1

    assert any(suits(view) for view in tiles(0, height, width, min_face))


@given(height=st.integers(1, 20000), width=st.integers(1, 20000), min_face=st.integers(8, 300))
def test_views_are_bounded(height, width, min_face):
    views = list(tiles(3, height, width, min_face))
    assert all(view.index == 3 for view in views)
    assert all(h <= 1056 and w <= 1056 for h, w in (view.shape for view in views))
    assert all(h % 32 == 0 and w % 32 == 0 for h, w in (view.shape for view in views))
    seen = sum(view.width * view.height for view in views)
    # At most the picture itself, seen with overlap, and a little for the coarser levels.
    assert seen < 3 * max(height * width, 640 * 640) + 1056 * 1056


def test_common_pictures_take_one_view():
    assert len(list(tiles(0, 480, 640, 24))) == 1
    assert len(list(tiles(0, 128, 128, 24))) == 1
    assert len(list(tiles(0, 1080, 1920, 64))) == 1


@given(
    left=st.integers(0, 500),
    top=st.integers(0, 500),
    w=st.integers(1, 900),
    h=st.integers(1, 900),
    zoom=st.floats(0.1, 2),
)
def test_tile_corners_map_to_its_rectangle(left, top, w, h, zoom):
    size = max(1, round(w * zoom)), max(1, round(h * zoom))
    tile = Tile(0, left, top, left + w, top + h, *size)
    corners = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
    expected = [[left - 0.5, top - 0.5], [left + w - 0.5, top + h - 0.5]]
    assert np.allclose(tile.to_picture(corners), expected)


def test_rendered_pixels_lie_where_they_are_said_to():
    y, x = np.mgrid[0:300, 0:400]
    picture = np.stack([x // 2, y // 2, 0 * x], -1).astype(np.uint8)
    for view in [
        Tile(0, 100, 50, 300, 250, 100, 100),
        Tile(0, 100, 50, 200, 150, 200, 200),
        Look(0, (200.0, 150.0), 120.0, math.radians(45), 96, 96),
    ]:
        seen = view.render(picture)
        for u, v in [(20, 30), (60, 40), (48, 48)]:
            x0, y0 = view.to_picture(np.array([u, v], float))
            assert np.abs(seen[v, u, :2] - np.array([x0, y0]) / 2).max() < 1.5


def test_look_is_turned_clockwise():
    """A look at +90 degrees shows what lies below its center on its right side."""
    look = Look(0, (50.0, 50.0), 40.0, math.pi / 2, 40, 40)
    assert np.allclose(look.to_picture(np.array([39.5, 19.5])), [50, 70])
