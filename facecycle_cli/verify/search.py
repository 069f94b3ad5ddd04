"""The faces of a folder that look most like a given one."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.encode.columns import choose_columns, vector_size
from facecycle_cli.encode.crop_lists import NamedInput
from facecycle_cli.encode.encode import Encoder
from facecycle_cli.encode.inputs import EncodeSettings, FaceSource, open_sources
from facecycle_cli.encode.records import Measurer
from facecycle_cli.encode.run import Recorder
from facecycle_cli.errors import CheckpointError, EvaluationError, MediaError, NoFaceError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.faces.choice import FaceChoice
from facecycle_cli.media import expand_inputs
from facecycle_cli.media.files import LeftOut
from facecycle_cli.model import FaceCycle
from facecycle_cli.verify.vector_cache import FileState, VectorCache

__all__ = ["FaceSearch", "Match", "SearchResult", "open_cache"]

_VECTOR = "verification_vector"


@dataclass(frozen=True, order=True)
class Match:
    """A face that was found.

    Attributes:
        cosine: of its vector and that of the query, -1..1.
        file: the picture that it is in.
        face: its number in the picture; 1 is the largest.
    """

    cosine: float
    file: str
    face: int


@dataclass
class SearchResult:
    """What a search found.

    Attributes:
        matches: the best ones, best first.
        pictures: how many were searched.
        faces: how many they hold.
        known: of how many pictures the vectors were in the cache.
        without_face: how many hold no face.
        problems: (name, reason) of each picture that cannot be read.
    """

    matches: list[Match] = field(default_factory=list)
    pictures: int = 0
    faces: int = 0
    known: int = 0
    without_face: int = 0
    problems: list[tuple[str, Exception]] = field(default_factory=list)


def open_cache(
    path: Path | None, model: FaceCycle, backend: FaceBackend, *, aligned: bool = False
) -> VectorCache:
    """The vectors that these networks made of faces that this backend found.

    Args:
        path: the file; None keeps them in memory.
        model: the networks, from a checkpoint.
        backend: finds the faces.
        aligned: the pictures are face crops already.

    Raises:
        CheckpointError: the model is of no checkpoint: nothing says which weights it has.
        OutputError: the file is no cache, or cannot be opened or written.
    """
    if model.checkpoint is None:
        raise CheckpointError("this needs the weights of a checkpoint")
    kind = f"{model.checkpoint.sha256} {backend.name}{' aligned' if aligned else ''}"
    return VectorCache(path, kind, vector_size(model))


class FaceSearch:
    """Searches folders for faces.

    Args:
        model: the networks.
        backend: finds the faces; one call should use one thread.
        cache: takes the vectors, and has those of earlier searches.
        aligned: the pictures are face crops already.
    """

    def __init__(
        self, model: FaceCycle, backend: FaceBackend, cache: VectorCache, *, aligned: bool = False
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._aligned = aligned
        self._encoder = Encoder(model, choose_columns(model, [_VECTOR]))
        self._measurer = Measurer(model, landmarks=False)

    def vector(self, picture: str, face: FaceChoice = "largest") -> NDArray[np.float32]:
        """The vector of a face of the picture, (D,).

        Args:
            picture: a file, or ``-`` for standard input.
            face: which one.

        Raises:
            NoFaceError: it has none, or no such face.
            MediaError, OSError: it cannot be read.
        """
        (source,) = self._sources([NamedInput(picture, picture)], face)
        if source.problem is not None:
            raise source.problem
        vector: NDArray[np.float32] = self._encoder(source.faces)[_VECTOR][0]
        return vector

    def search(
        self,
        query: NDArray[np.float32],
        folders: Sequence[str],
        *,
        top: int,
        left_out: LeftOut | None = None,
        on_done: Callable[[str], None] = lambda name: None,
    ) -> SearchResult:
        """The faces that are most like the query. The memory does not grow with their number.

        Args:
            query: (D,), of :meth:`vector`.
            folders: folders, files and globs.
            top: how many faces to return.
            left_out: counts what is left out of folders.
            on_done: called with the name of every picture.

        Raises:
            CommandError: the networks make numbers that are not finite.
            OutputError: the cache cannot be read or written.
            EvaluationError: the query is not finite.
        """
        if not np.isfinite(query).all():
            raise EvaluationError("the vector of the query is not finite")
        result = SearchResult()
        best: list[Match] = []
        states: dict[str, FileState] = {}

        def take(name: str, vectors: NDArray[np.float32]) -> None:
            result.pictures += 1
            result.faces += len(vectors)
            result.without_face += not len(vectors)
            for face, cosine in enumerate((vectors @ query).tolist(), 1):
                # The same order for equal cosines: that of the names.
                heapq.heappush(best, Match(round(cosine, 6), name, face))
                if len(best) > top:
                    heapq.heappop(best)
            on_done(name)

        def keep(name: str, vectors: NDArray[np.float32]) -> None:
            state = states.pop(name, None)
            if state is not None:  # a glob may name a file twice
                self._cache.put(state, vectors)
            take(name, vectors)

        def unknown() -> Iterator[NamedInput]:
            for item in expand_inputs(folders, {"image"}, left_out=left_out):
                try:
                    if item.problem is not None:
                        raise MediaError(item.problem)
                    state = FileState.of(item.path)
                except (MediaError, OSError) as error:
                    result.problems.append((item.path, error))
                    continue
                vectors = self._cache.get(state)
                if vectors is None:
                    states[item.path] = state
                    yield NamedInput(item.path, item.path)
                else:
                    result.known += 1
                    take(item.path, vectors)

        recorder = Recorder(self._encoder, _VectorSink(keep, self._cache.save), "vectors")
        with closing(self._sources(unknown(), "all")) as sources:
            for source in sources:
                try:
                    recorder.add(source)
                except NoFaceError:
                    keep(source.name, np.empty((0, len(query)), np.float32))
                except (MediaError, OSError) as error:
                    states.pop(source.name, None)
                    result.problems.append((source.name, error))
            recorder.flush()
        result.matches = sorted(best, key=lambda match: (-match.cosine, match.file, match.face))
        return result

    def _sources(
        self, items: Iterable[NamedInput], faces: FaceChoice
    ) -> Generator[FaceSource, None, None]:
        settings = EncodeSettings(faces, aligned=self._aligned)
        return open_sources(items, settings, self._backend, self._measurer)


class _VectorSink:
    """Gives the vectors of whole pictures on, see :class:`~facecycle_cli.encode.run.RowSink`."""

    def __init__(
        self, keep: Callable[[str, NDArray[np.float32]], None], save: Callable[[], None]
    ) -> None:
        self._keep = keep
        self._save = save

    def append(self, rows: Mapping[str, NDArray[Any]], counts: Sequence[tuple[str, int]]) -> None:
        start = 0
        for name, count in counts:
            self._keep(name, rows[_VECTOR][start : start + count])
            start += count

    def commit(self, counts: Sequence[tuple[str, int]]) -> None:
        self._save()

    def rollback(self) -> None:
        """Do nothing: no rows wait."""
