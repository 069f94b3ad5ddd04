"""A gallery: before and after of every picture of a run, page by page while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from facecycle_cli.media import Provenance
from facecycle_cli.media.reports import write_report
from facecycle_cli.pages.blocks import Slider
from facecycle_cli.pages.embed import picture_of
from facecycle_cli.pages.render import INDEX, template
from facecycle_cli.pages.traces import traces_of
from facecycle_cli.system import PendingFile
from facecycle_cli.types import RGBImage

__all__ = ["MOST_SHOWN", "Gallery"]

_PER_PAGE = 100
_MOST_PAGES = 20
MOST_SHOWN = _PER_PAGE * _MOST_PAGES
"""Pairs in a gallery at most: about 30 kB each, 3 MB in a page."""

_MOST_FAILURES = 200
"""Lines about pictures that failed."""

_SIDE = 256
"""Of a picture in the gallery, in pixels, at most."""

_CUT = "facecycle-gallery-entries"
"""Stands in the template where the entries go."""


@dataclass
class _Counts:
    done: int = 0
    shown: int = 0
    failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


class Gallery(AbstractContextManager["Gallery"]):
    """Writes ``index.html``, ``page_002.html``, ... with a slider for each pair, and
    ``report.json``.

    Entries go to the disk at once, so a run of any length needs the memory of one picture. A page
    holds 100 pairs and is complete, or not there. After 2,000 pairs further ones are counted only.
    However the run ends, the pages show what was done.

    Args:
        folder: is created.
        title: of the pages.
        numbers: what ``report.json`` says of the run.
        provenance: of the generated pictures.
        labels: what the left and the right picture of a pair are.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        numbers: Mapping[str, Any],
        provenance: Provenance,
        labels: tuple[str, str] = ("before", "after"),
    ) -> None:
        self.written: list[Path] = []
        self._folder, self._title, self._numbers = folder, title, numbers
        self._provenance, self._labels = provenance, labels
        self._traces = traces_of(numbers)
        self._counts = _Counts()
        self._pending: PendingFile
        self._file: TextIO
        self._open_page()

    def add(self, name: str, before: RGBImage, after: RGBImage, lines: Sequence[str] = ()) -> None:
        """Show a pair.

        Args:
            name: of the picture.
            before: (H, W, 3) uint8.
            after: (H, W, 3) uint8, of the same size; generated.
            lines: of text below it.
        """
        self._counts.done += 1
        if self._counts.shown >= MOST_SHOWN:
            return
        if self._counts.shown and self._counts.shown % _PER_PAGE == 0:
            self._close_page(has_next=True)
            self._open_page()
        self._counts.shown += 1
        left, right = self._labels
        pair = Slider(
            picture_of(before, f"{name}, {left}", provenance=None, side=_SIDE),
            picture_of(after, f"{name}, {right}", provenance=self._provenance, side=_SIDE),
            (name, *lines),
        )
        macros: Any = template("blocks.html").module
        self._file.write(macros.slider(pair, self._labels))

    def fail(self, name: str, reason: str) -> None:
        """Count a picture that failed; the last page says why."""
        self._counts.failed += 1
        if len(self._counts.failures) < _MOST_FAILURES:
            self._counts.failures.append((name, reason))

    def close(self) -> None:
        """Finish the last page, and write ``report.json``.

        Raises:
            OSError: the folder cannot be written.
        """
        self._close_page(has_next=False)
        counts = self._counts
        numbers = {"done": counts.done, "shown": counts.shown, "failed": counts.failed}
        pages = [path.name for path in self.written]
        report = {**self._numbers, "counts": numbers, "pages": pages}
        self.written.insert(0, write_report(self._folder, report))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        finally:
            self._file.close()
            self._pending.discard()  # nothing, if it was finished

    @property
    def _page(self) -> int:
        """Number of the page that is being written, from 1."""
        return len(self.written) + 1

    def _open_page(self) -> None:
        self._pending = PendingFile(self._folder / _page_name(self._page))
        self._file = open(self._pending.path, "w", encoding="utf-8")  # noqa: SIM115
        self._file.write(self._text(has_next=False).partition(_CUT)[0])

    def _close_page(self, *, has_next: bool) -> None:
        self._file.write(self._text(has_next=has_next).partition(_CUT)[2])
        self._file.close()
        self._pending.commit()
        self.written.append(self._folder / _page_name(self._page))

    def _text(self, *, has_next: bool) -> str:
        page, counts = self._page, self._counts
        return template("gallery.html").render(
            title=self._title,
            page=page,
            previous=_page_name(page - 1) if page > 1 else None,
            following=_page_name(page + 1) if has_next else None,
            is_last=not has_next,
            not_shown=counts.done - counts.shown,
            most=MOST_SHOWN,
            counts=counts,
            traces=self._traces,
            cut=_CUT,
        )


def _page_name(number: int) -> str:
    return INDEX if number == 1 else f"page_{number:03d}.html"
