"""The gallery of ``--report``: every face that frontalize or neutralize moves, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from facecycle_cli.cli.console import Console, reason
from facecycle_cli.cli.run import read_input
from facecycle_cli.cli.tables import report_folder, say_written

if TYPE_CHECKING:
    from facecycle_cli.media import Input
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.pages.gallery import Gallery
    from facecycle_cli.portrait.portraits import Portrait
    from facecycle_cli.types import RGBImage

_TITLES = {"frontalize": "Faces turned to the front", "neutralize": "Neutral faces"}


class PortraitGallery(AbstractContextManager["PortraitGallery"]):
    """Shows what a run makes, while it runs. Without a folder it does nothing.

    Args:
        folder: ``--report``; None: no gallery is wanted.
        operation: the name of the command.
        options: of the run, for ``report.json``.
        model: makes the pictures.
        overwrite: replace a report that is there.
        console: where to print.
    """

    def __init__(
        self,
        folder: Path | None,
        operation: str,
        options: Mapping[str, Any],
        model: FaceCycle,
        *,
        overwrite: bool,
        console: Console,
    ) -> None:
        self._console = console
        self._name = ""
        self._gallery: Gallery | None = None
        folder = report_folder(folder, overwrite, console, plots=False)
        if folder is None:
            return
        from facecycle_cli.media import Provenance
        from facecycle_cli.pages.gallery import Gallery
        from facecycle_cli.verify.report import describe_model

        described = describe_model(model)
        numbers = {"task": operation, **options, "checkpoint": described}
        provenance = Provenance(operation, described["sha256"])
        self._gallery = Gallery(folder, _TITLES[operation], numbers, provenance)

    def read(self, item: Input) -> RGBImage:
        """The picture of an input, which is shown next."""
        self._name = str(item)
        with self.errors():
            return read_input(item)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let what goes wrong with the picture that was read be told in the gallery."""
        try:
            yield
        except Exception as error:
            if self._gallery is not None:
                self._gallery.fail(self._name, reason(error, self._name))
            raise

    def add(self, made: Sequence[Portrait]) -> None:
        """Show the faces of the picture that was read."""
        if self._gallery is None:
            return
        for number, portrait in enumerate(made, 1):
            name = self._name if len(made) == 1 else f"{self._name}, face {number}"
            yaw = f"yaw {portrait.face.pose.yaw:.0f} degrees"
            self._gallery.add(name, portrait.crop, portrait.result, [yaw])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._gallery is not None:
            self._gallery.__exit__(kind, error, trace)
            say_written(self._gallery.written, self._console)
