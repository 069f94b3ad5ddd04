"""Contact sheets: the pictures behind the numbers, with a line of text under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Cell", "contact_sheet"]

_MARGIN = 8
_LINE = 16
_FONT_SIZE = 12


@dataclass(frozen=True)
class Cell:
    """One entry of a sheet.

    Attributes:
        pictures: shown side by side, each uint8 (H, H, 3), of one size.
        caption: lines of text below.
    """

    pictures: Sequence[np.ndarray]
    caption: Sequence[str]


def contact_sheet(cells: Sequence[Cell], *, columns: int = 4) -> np.ndarray:
    """Cells in rows, left to right: uint8 (H, W, 3).

    Raises:
        ValueError: no cells.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one picture")
    side = cells[0].pictures[0].shape[0]
    width = max(len(cell.pictures) for cell in cells) * side
    height = side + _LINE * max(len(cell.caption) for cell in cells)
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    size = (columns * (width + _MARGIN) + _MARGIN, rows * (height + _MARGIN) + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for i, cell in enumerate(cells):
        x = _MARGIN + (i % columns) * (width + _MARGIN)
        y = _MARGIN + (i // columns) * (height + _MARGIN)
        for k, picture in enumerate(cell.pictures):
            sheet.paste(Image.fromarray(picture), (x + k * side, y))
        for k, line in enumerate(cell.caption):
            text = _fitting(line, width, font)
            draw.text((x, y + side + k * _LINE + 1), text, fill="black", font=font)
    return np.asarray(sheet)


def _fitting(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """``text``, shortened in front (the end of a path tells more) until it fits."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
