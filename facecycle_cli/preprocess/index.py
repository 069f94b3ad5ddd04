"""``index.jsonl``: what every crop is, and what came of every source.

One JSON object a line, in ASCII. While a run goes on, the lines of a source are appended together,
after its crops are in place. When all sources of an input are finished, the file is sorted by
source.

A **crop**:

==============  ===================================================================
``path``        of the picture below the folder, or (webdataset) in its shard
``source``      the source's name: the input folder's name and the path below it
``identity``    first folder of ``path``: who it is, as far as the tree says
``video``       the folders between; pictures that share it are of one recording
``clip``        last folder; all pictures in it show one person
``frame``       number of the frame among those kept (from 0); of a photograph 0
``time``        of the frame in the video, seconds; null for pictures
``alignment``   2 x 3: pixel (x, y, 1) of the upright source -> pixel of the crop
``points``      5 x [x, y] in the source: eyes (image-left first), nose tip, mouth corners
``yaw``         degrees, > 0: the head is turned towards the image's right
``pitch``       degrees, > 0: looking up
``roll``        degrees, > 0: tilted clockwise
``sharpness``   variance of the Laplacian of the crop's luma (0..255); a blurred face has less
``score``       of the detector, 0..1 (in frames between two detections: between their scores)
==============  ===================================================================

A **source** (the only lines that have ``status``; it follows its crops):

==============  ===================================================================
``source``      its name
``status``      ``done``; ``no-face``; ``unreadable``: the file is damaged or no video or picture;
                ``failed``: it failed this time, and the next run tries it again
``reason``      why not, or what was damaged in a source that is done; null: nothing
``target``      where its crops are, below the folder
``crops``       how many
``frames``      how many were looked at
``tracks``      how many tracks: one person without interruption
==============  ===================================================================

A **shard** (with ``--format webdataset``): ``shard``, its file name, ``crops``, ``bytes`` and
``sources``, the names of the sources whose crops are in it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from facecycle_cli.errors import OutputError, PreprocessError
from facecycle_cli.system import open_locked, parse_json

__all__ = [
    "FINISHED",
    "INDEX_FILE",
    "Journal",
    "Records",
    "merge_journals",
    "read_crops",
    "read_index",
    "to_line",
]

INDEX_FILE = "index.jsonl"
FINISHED = frozenset({"done", "no-face", "unreadable"})
"""Statuses that are final: another run would come to the same."""

_CROP, _SOURCE, _SHARD = b'{"path"', b'{"source"', b'{"shard"'


def read_index(folder: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """All lines of the folder's index, crops before their source.

    Raises:
        ValueError: a line is not JSON.
        OSError: there is no index, or it cannot be read.
    """
    with open(Path(folder, INDEX_FILE), "rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # a killed run may have left a part of a line
                yield parse_json(line)


def read_crops(folder: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The lines of the folder's index that are crops.

    Raises:
        OSError: there is no index, or it cannot be read.
    """
    return (line for line in read_index(folder) if "path" in line)


def to_line(record: dict[str, Any]) -> str:
    """``record`` as a line of the index."""
    return json.dumps(record, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True)
class _Block:
    """Where the lines of one source are (its own line last), and what that line says."""

    file: str
    start: int
    end: int
    status: str
    target: str
    crops: int


@dataclass
class Records:
    """What the journals of a folder say.

    Attributes:
        sources: name -> its lines; of several blocks the final one.
        shards: file name -> line of a tar shard.
        packed: names of the sources that are in a shard.
        ends: journal -> byte at which its last complete block ends.
    """

    sources: dict[str, _Block] = field(default_factory=dict)
    shards: dict[str, bytes] = field(default_factory=dict)
    packed: set[str] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Records:
        """Read every journal of ``folder``, except blocks that a killed run left incomplete.

        Raises:
            PreprocessError: a journal is damaged.
        """
        records = cls()
        for path in journal_paths(folder):
            with contextlib.suppress(FileNotFoundError):  # merged meanwhile by another machine
                records._read(path)
        return records

    def _read(self, path: Path) -> None:
        start = end = 0
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                if line.startswith(_CROP):
                    continue
                try:
                    self._take(path.name, line, start, end)
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise PreprocessError(f"{path.name} is damaged at byte {start}") from None
                start = end
        self.ends[path.name] = start

    def _take(self, file: str, line: bytes, start: int, end: int) -> None:
        record = parse_json(line)
        if line.startswith(_SHARD):
            self.shards[record["shard"]] = line
            self.packed.update(record["sources"])
            return
        known = self.sources.get(record["source"])
        if known is None or known.status not in FINISHED:
            self.sources[record["source"]] = _Block(
                file, start, end, record["status"], record["target"], record["crops"]
            )

    @property
    def are_merged(self) -> bool:
        """Whether the index is what :func:`merge_journals` would make of it."""
        blocks = [self.sources[source] for source in sorted(self.sources)]
        ends = [0, *(block.end for block in blocks)]
        gapless = all(block.start == end for block, end in zip(blocks, ends, strict=False))
        shards = sum(len(line) for line in self.shards.values())
        return gapless and self.ends == {INDEX_FILE: ends[-1] + shards}

    def is_finished(self, source: str) -> bool:
        """Whether nothing is left to do for this source."""
        block = self.sources.get(source)
        return block is not None and block.status in FINISHED


def journal_paths(folder: Path) -> list[Path]:
    """The files that runs in ``folder`` append to, the sorted index first."""
    paths = folder.glob("index*.jsonl")
    return sorted(paths, key=lambda path: (path.name != INDEX_FILE, path.name))


class Journal:
    """Appends to one journal, which no other process writes.

    Every block is written by one system call. If the disk is full, the file is cut back.

    Args:
        folder: the output folder.
        share: (number from 1, count) on several machines, each with its own journal.

    Raises:
        PreprocessError: another process on this machine writes it.
        OutputError: it cannot be opened.
    """

    def __init__(self, folder: Path, share: tuple[int, int] = (1, 1)) -> None:
        name = INDEX_FILE if share[1] == 1 else f"index.{share[0]}-of-{share[1]}.jsonl"
        self.path = folder / name
        try:
            file = open_locked(self.path)
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}") from error
        if file is None:
            raise PreprocessError(f"another run is writing {name}")
        self._file: BinaryIO = file

    def recover(self, records: Records) -> None:
        """Cut off the incomplete block of a killed run: our first block would join it."""
        end = records.ends[self.path.name]
        if os.fstat(self._file.fileno()).st_size != end:
            self._file.truncate(end)

    def append(self, lines: Iterable[str]) -> None:
        """Append the lines of one or more whole blocks.

        Raises:
            OutputError: they cannot be written; the file is as it was.
        """
        block = "".join(lines).encode("ascii")
        size = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(block):
                written += self._file.write(block[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise OutputError(f"{self.path.name}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file, which another process may now write."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def merge_journals(folder: Path, records: Records, staging: Path) -> None:
    """Make one sorted index of all journals, and remove the other journals.

    Several machines that finish together may do this at the same time: they write the same bytes.

    Args:
        folder: the output folder.
        records: what its journals say.
        staging: where the index is written before it gets its name.

    Raises:
        FileNotFoundError: another machine was faster: load the records again.
    """
    paths = journal_paths(folder)
    with contextlib.ExitStack() as stack:
        files = {path.name: stack.enter_context(open(path, "rb")) for path in paths}
        with open(staging / INDEX_FILE, "wb") as target:
            for source in sorted(records.sources):
                block = records.sources[source]
                if block.file not in files:
                    raise FileNotFoundError(block.file)
                file = files[block.file]
                file.seek(block.start)
                target.write(file.read(block.end - block.start))
            for name in sorted(records.shards):
                target.write(records.shards[name])
    os.replace(staging / INDEX_FILE, folder / INDEX_FILE)
    for path in paths:
        if path.name != INDEX_FILE:
            path.unlink(missing_ok=True)
