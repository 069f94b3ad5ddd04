"""The faces of many files to the rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from facecycle_cli.encode.columns import Column
from facecycle_cli.encode.encode import Encoder
from facecycle_cli.encode.formats import json_lines
from facecycle_cli.encode.inputs import FaceSource
from facecycle_cli.encode.records import FaceRecord
from facecycle_cli.errors import CommandError, OutputError

__all__ = ["LineSink", "Recorder", "RowSink", "writing"]

_BATCH = 64
"""Faces of pictures that are encoded together. A batch ends with an input: a call that goes on
where another one stopped makes the same batches, and so the same bytes."""


Counts: TypeAlias = Sequence[tuple[str, int]]
"""Names of inputs, and how many rows each has, in the order of the rows."""


class RowSink(Protocol):
    """Takes the rows of a table."""

    def append(self, rows: Mapping[str, NDArray[Any]], counts: Counts) -> None:
        """Take rows: the columns by name, and the inputs that they are of."""
        ...

    def commit(self, counts: Counts) -> None:
        """Count the rows since the last call as all rows of these inputs."""
        ...

    def rollback(self) -> None:
        """Forget the rows since the last :meth:`commit`."""
        ...


class LineSink:
    """Writes rows as JSON lines, as they come.

    Args:
        columns: of numbers, in order.
        write: takes text, whole lines.
    """

    def __init__(self, columns: Sequence[Column], write: Callable[[str], None]) -> None:
        self._columns = columns
        self._write = write

    def append(self, rows: Mapping[str, NDArray[Any]], counts: Counts) -> None:
        """Write rows."""
        names = [name for name, count in counts for _ in range(count)]
        self._write("".join(f"{line}\n" for line in json_lines(self._columns, names, rows)))

    def commit(self, counts: Counts) -> None:
        """Do nothing: the rows are written."""

    def rollback(self) -> None:
        """Do nothing: the rows of a video's readable part are written."""


class Recorder:
    """Encodes the faces of inputs and gives the rows to a table.

    Args:
        encoder: makes the rows.
        sink: takes them.
        name: of the file that is written, for messages.
    """

    def __init__(self, encoder: Encoder, sink: RowSink, name: str) -> None:
        self._encoder = encoder
        self._sink = sink
        self._name = name
        self._waiting: list[FaceRecord] = []
        self._counts: list[tuple[str, int]] = []

    def add(self, source: FaceSource) -> int:
        """Take the faces of one input; returns how many there are.

        Raises:
            Exception: why the input cannot be used; nothing of it is taken.
            CommandError: the rows cannot be written.
        """
        if source.problem is not None:
            raise source.problem
        if source.video is not None:
            return self._add_video(source.name, source.video)
        self._waiting += source.faces
        self._counts.append((source.name, len(source.faces)))
        if len(self._waiting) >= _BATCH:
            self.flush()
        return len(source.faces)

    def flush(self) -> None:
        """Encode what waits.

        Raises:
            CommandError: the rows cannot be written, or the codes are not finite.
        """
        if self._counts:
            rows = self._encoder(self._waiting)
            with writing(self._name):
                self._sink.append(rows, self._counts)
                self._sink.commit(self._counts)
        self._waiting, self._counts = [], []

    def _add_video(self, name: str, video: Callable[[], Any]) -> int:
        self.flush()
        count = 0
        try:
            with closing(video()) as batches:
                for batch in batches:
                    rows = self._encoder(batch)
                    with writing(self._name):
                        self._sink.append(rows, [(name, len(batch))])
                    count += len(batch)
        except BaseException:
            with writing(self._name):
                self._sink.rollback()
            raise
        with writing(self._name):
            self._sink.commit([(name, count)])
        return count


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Let an output that cannot be written end the command.

    Raises:
        CommandError: with the name of the file.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OutputError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error
