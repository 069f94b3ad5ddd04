"""A picture with the boxes and numbers of its faces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facecycle_cli.faces.face import Face
from facecycle_cli.types import RGBImage

__all__ = ["numbered_faces"]

_COLOR, _INK = (255, 214, 0), (0, 0, 0)
_LINE = 300
"""A line is one pixel thick for so many pixels of the picture's longer side."""

_TEXT_HEIGHT = 0.2
"""Of a number, over the height of its face's box."""

_SMALLEST, _LARGEST = 10, 60
"""Height of a number, in pixels."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def numbered_faces(image: RGBImage, faces: Sequence[Face]) -> RGBImage:
    """A copy of a picture with a box around every face, and its number.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: found in it, largest first. The first one is number 1.
    """
    marked = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / _LINE))
    # The smallest first: the number of a large face must not vanish behind the box of a small one.
    for number, face in reversed(list(enumerate(faces, 1))):
        x0, y0, x1, y1 = (round(float(value)) for value in face.box)
        cv2.rectangle(marked, (x0, y0), (x1, y1), _COLOR, thickness)
        _write(marked, str(number), (x0, y0), round(_TEXT_HEIGHT * (y1 - y0)))
    return marked


def _write(image: RGBImage, text: str, corner: tuple[int, int], height: int) -> None:
    """Write ``text`` on a plate above a corner of a box; where there is no room, in the box."""
    height = min(max(height, _SMALLEST), _LARGEST)
    stroke = max(1, round(height / 8))
    scale = cv2.getFontScaleFromHeight(_FONT, height, stroke)
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    pad = 2 + height // 4
    size = np.array([width + 2 * pad, height + 2 * pad])
    limits = np.maximum(np.array([image.shape[1], image.shape[0]]) - size, 0)
    left, top = (int(v) for v in np.clip(np.array(corner) - (0, size[1]), 0, limits))
    cv2.rectangle(image, (left, top), (left + int(size[0]), top + int(size[1])), _COLOR, cv2.FILLED)
    place = left + pad, top + pad + height
    cv2.putText(image, text, place, _FONT, scale, _INK, stroke, cv2.LINE_AA)
