"""What a page is made of: paragraphs, tables, figures, pictures, sliders and clips.

The records hold no pixels: pictures and clips are data URIs already, as
:mod:`~facecycle_cli.pages.embed` makes them. This module imports nothing heavy, so that commands
may print the tables that a page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "Block",
    "EmbeddedClip",
    "EmbeddedPicture",
    "Figure",
    "Page",
    "Paragraph",
    "Section",
    "Shades",
    "Sheet",
    "SheetTile",
    "Slider",
    "Sliders",
    "Table",
]


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture inside the page.

    Attributes:
        uri: a data URI.
        alt: what it shows, in words.
        width, height: in pixels, so that the page does not jump while it is decoded.
    """

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    text: str
    kind = "paragraph"


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first row is the heading, and the first cell of a row names it.

    Attributes:
        rows: text. A first cell that begins with spaces belongs to the row above it.
        caption: what it shows; empty: nothing.
    """

    rows: Sequence[Sequence[str]]
    caption: str = ""
    kind = "table"


@dataclass(frozen=True)
class Shades:
    """A confusion matrix: a table whose cells are shaded by their share of the row.

    Attributes:
        names: of the rows and the columns.
        counts: a row for each name.
        caption: what it shows.
    """

    names: Sequence[str]
    counts: Sequence[Sequence[int]]
    caption: str
    kind = "shades"

    @property
    def shares(self) -> list[list[float]]:
        """The counts of every row, divided by their sum."""
        return [[count / max(1, sum(row)) for count in row] for row in self.counts]


@dataclass(frozen=True)
class Figure:
    """A plot.

    Attributes:
        picture: the plot.
        caption: what to see in it.
    """

    picture: EmbeddedPicture
    caption: str
    kind = "figure"


@dataclass(frozen=True)
class SheetTile:
    """One entry of a sheet: pictures side by side, and lines of text below them."""

    pictures: Sequence[EmbeddedPicture]
    lines: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """Tiles in rows.

    Attributes:
        tiles: from left to right.
        columns: tiles in a row, which a narrow screen scrolls; None: as many as there is room for.
    """

    tiles: Sequence[SheetTile]
    columns: int | None = None
    kind = "sheet"


@dataclass(frozen=True)
class Slider:
    """Two pictures of one size over each other, and a slider between them.

    Attributes:
        before, after: the pictures.
        caption: lines below them; the first one names the pair.
    """

    before: EmbeddedPicture
    after: EmbeddedPicture
    caption: Sequence[str]


@dataclass(frozen=True)
class Sliders:
    """Pairs of pictures.

    Attributes:
        pairs: in order.
        labels: what the left and the right picture are.
    """

    pairs: Sequence[Slider]
    labels: tuple[str, str] = ("before", "after")
    kind = "sliders"


@dataclass(frozen=True)
class EmbeddedClip:
    """A video that plays in the page.

    Attributes:
        uri: a data URI.
        label: what it shows, in words.
        caption: below it.
        poster: its first frame, which is shown until it plays; as large as the clip.
    """

    uri: str
    label: str
    caption: str
    poster: EmbeddedPicture
    kind = "clip"


Block: TypeAlias = Paragraph | Table | Shades | Figure | Sheet | Sliders | EmbeddedClip


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: in a few words.
        summary: the numbers: paragraphs and tables.
        sections: figures and pictures.
        terms: name -> definition of the numbers that only this report has.
        traces: how it was measured: name -> value.
    """

    title: str
    summary: Sequence[Block]
    sections: Sequence[Section] = ()
    terms: Mapping[str, str] = field(default_factory=dict)
    traces: Mapping[str, str] = field(default_factory=dict)
