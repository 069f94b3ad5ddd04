"""What report folders are made of: ``report.json``, figures by matplotlib, and contact sheets."""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facecycle_cli import __version__
from facecycle_cli.system import atomic_path, import_extra
from facecycle_cli.text import json_text
from facecycle_cli.types import RGBImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SheetCell",
    "contact_sheet",
    "figure_svg",
    "library_versions",
    "new_figure",
    "save_figure",
    "write_report",
]

_LIBRARIES = (
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "scikit-image",
    "scikit-learn",
    "torch",
)

FIGURE_INCHES = (6.0, 4.5)
_DOTS_PER_INCH = 150
_UNDATED = {"Creator": None, "Date": None, "Format": None, "Type": None}

_MARGIN_PIXELS = 8
_LINE_PIXELS = 16
_FONT_PIXELS = 12


# -- report.json ----------------------------------------------------------------------------------


def library_versions() -> dict[str, str]:
    """Versions of this package, of Python, and of the installed libraries that numbers depend on,
    by distribution name.
    """
    versions = {"facecycle": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_report(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write ``report.json``: ``report`` and :func:`library_versions`.

    Args:
        folder: is created.
        report: what JSON can hold.

    Returns:
        The file's path.
    """
    path = folder / "report.json"
    text = json_text({**report, "versions": library_versions()}, indent=2, ensure_ascii=False)
    with atomic_path(path) as temporary:
        # Names of files may hold bytes that are no text: such an escape is also that of JSON.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return path


# -- figures --------------------------------------------------------------------------------------


def new_figure(
    size: tuple[float, float] = FIGURE_INCHES, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure that belongs to no window system and no global state.

    Args:
        size: width and height in inches.
        columns: how many panels it has, side by side.

    Returns:
        The figure and its ``columns`` panels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure: Figure = import_extra("matplotlib.figure").Figure(figsize=size, layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, columns, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG; the same numbers give the same bytes."""
    with atomic_path(path) as temporary:
        # matplotlib's default metadata holds its version.
        figure.savefig(temporary, dpi=_DOTS_PER_INCH, metadata={"Software": None})


def figure_svg(figure: Figure) -> str:
    """The figure as SVG without a background, for a page, which may be dark; the same numbers give
    the same text.
    """
    rc_context = import_extra("matplotlib").rc_context
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "facecycle"}):  # else its names are random
        figure.savefig(text, format="svg", transparent=True, dpi=_DOTS_PER_INCH, metadata=_UNDATED)
    return text.getvalue()


# -- contact sheets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SheetCell:
    """One entry of a contact sheet.

    Attributes:
        pictures: shown side by side, each uint8 (H, H, 3), all of one size.
        caption: lines of text below them.
    """

    pictures: Sequence[RGBImage]
    caption: Sequence[str]


def contact_sheet(cells: Sequence[SheetCell], *, columns: int = 4) -> RGBImage:
    """Cells in rows, from left to right: uint8 (H, W, 3).

    Args:
        cells: at least one; their pictures are all of one size.
        columns: cells in a row.

    Raises:
        ValueError: there are no cells.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one picture")
    side = cells[0].pictures[0].shape[0]
    width = max(len(cell.pictures) for cell in cells) * side
    height = side + _LINE_PIXELS * max(len(cell.caption) for cell in cells)
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    step_x, step_y = width + _MARGIN_PIXELS, height + _MARGIN_PIXELS
    size = (columns * step_x + _MARGIN_PIXELS, rows * step_y + _MARGIN_PIXELS)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_PIXELS)
    for i, cell in enumerate(cells):
        x = _MARGIN_PIXELS + (i % columns) * step_x
        y = _MARGIN_PIXELS + (i // columns) * step_y
        for k, picture in enumerate(cell.pictures):
            sheet.paste(Image.fromarray(picture), (x + k * side, y))
        for k, line in enumerate(cell.caption):
            text = _shortened(line, width, font)
            draw.text((x, y + side + k * _LINE_PIXELS + 1), text, fill="black", font=font)
    return np.asarray(sheet)


def _shortened(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """``text``, shortened in front until it fits: the end of a path says more."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
