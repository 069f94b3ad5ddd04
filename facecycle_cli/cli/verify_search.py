"""The part of verify that searches a folder: the most similar faces as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.faces import open_face_choice
from facecycle_cli.cli.tables import counted, number, say_problems
from facecycle_cli.errors import NoFaceError, OutputError
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.faces.choice import FaceChoice
    from facecycle_cli.media.files import LeftOut
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.verify.logistic import Logistic
    from facecycle_cli.verify.search import FaceSearch, SearchResult
    from facecycle_cli.verify.vector_cache import VectorCache

_NO_QUERY = 3
"""Exit code if the query has no face, or cannot be read."""

_CACHE_FILE = "vectors.sqlite"


@dataclass(frozen=True)
class SearchJob:
    """What a call of ``verify --in`` asks for: each attribute is the option of its name.

    Attributes:
        query: the picture whose face is searched for.
        folder: where.
    """

    query: str
    folder: str
    top: int
    cache: Path | None
    aligned: bool
    aligner: AlignerName
    checkpoint: str
    device: str
    face: str

    def run(self, console: Console) -> None:
        """Search, and print a row for each face that was found.

        Raises:
            CommandError: the networks or the cache cannot be opened.
            typer.Exit: 3: no face in the query; 1: some picture cannot be read, or none has a face.
        """
        from facecycle_cli.media.files import LeftOut
        from facecycle_cli.verify.search import FaceSearch
        from facecycle_cli.verify.threshold import stored_logistic, stored_threshold

        model = open_model(self.checkpoint, self.device)
        backend = open_backend(self.aligner, threads=1)
        with prefix_errors(f"--checkpoint {self.checkpoint}"):
            curve, threshold = stored_logistic(model), stored_threshold(model)
        face = open_face_choice(self.face, model, backend)
        left_out = LeftOut()
        with self._open_cache(model, backend, console) as cache:
            search = FaceSearch(model, backend, cache, aligned=self.aligned)
            found = self._search(search, face, left_out, console)
        for line in left_out.lines():
            console.note(line)
        failed = say_problems(found.problems, console)
        if found.matches:
            self._print(found, curve, threshold.measured_on if threshold else None, console)
        elif not failed:
            console.failure(self.folder, NoFaceError("no face found in any picture"))
        if failed or not found.matches:
            raise typer.Exit(1)

    def _open_cache(self, model: FaceCycle, backend: FaceBackend, console: Console) -> VectorCache:
        from facecycle_cli.system import cache_folder
        from facecycle_cli.verify.search import open_cache

        if self.cache is not None:
            with prefix_errors("--cache"):
                return open_cache(self.cache, model, backend, aligned=self.aligned)
        try:
            path = cache_folder() / _CACHE_FILE
            return open_cache(path, model, backend, aligned=self.aligned)
        except (OutputError, RuntimeError) as error:
            console.note(f"vectors are not kept for the next search: {error}")
            return open_cache(None, model, backend, aligned=self.aligned)

    def _search(
        self, search: FaceSearch, face: FaceChoice, left_out: LeftOut, console: Console
    ) -> SearchResult:
        try:
            query = search.vector(self.query, face)
        except (OSError, ValueError) as error:
            console.failure(self.query, error)
            raise typer.Exit(_NO_QUERY) from None
        with console.progress("pictures") as progress, prefix_errors(self.folder):
            return search.search(
                query,
                [self.folder],
                top=self.top,
                left_out=left_out,
                on_done=lambda name: progress.advance(text=name),
            )

    def _print(
        self,
        found: SearchResult,
        curve: Logistic | None,
        measured_on: str | None,
        console: Console,
    ) -> None:
        from facecycle_cli.verify.verify import RESEARCH_ONLY

        console.note(
            f"{counted(found.faces, 'face')} in {counted(found.pictures, 'picture')} "
            f"({found.known} known from before, {found.without_face} without a face)"
        )
        if not console.json:
            console.result("rank  cosine  probability  face  file", {})
        for rank, match in enumerate(found.matches, 1):
            probability = None if curve is None else curve(match.cosine)
            fields = {
                "query": self.query,
                "rank": rank,
                "file": match.file,
                "face": match.face,
                "cosine": match.cosine,
                "probability": probability,
                "note": RESEARCH_ONLY,
            }
            text = f"{rank:>4} {match.cosine:>7.4f} {number(probability, 3):>12} {match.face:>5}"
            console.result(f"{text}  {console.name(match.file)}", fields)
        if curve is not None:
            where = f", as {measured_on} has them" if measured_on else ""
            console.note(
                f"the probability is that of pairs half of which show one person{where}: among "
                "many strangers it is far lower"
            )
        console.note(RESEARCH_ONLY)
