"""The output folder: crops appear there whole, source by source, or not at all.

A worker builds the result of a source in a hidden folder of the run. When it is complete the parent
renames it to its place and then adds its lines to the journal: only what the journal has is done.
What a kill leaves between these steps is a result without lines, which the next run replaces by the
same bytes, and hidden files, which it removes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facecycle_cli.errors import OutputError
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source

__all__ = ["FolderSink", "Store", "TarSink", "open_sink", "output_errors"]

_HIDDEN = ".partial"
_PACKING = ".unpacked"  # results of sources until there are enough of them for a tar shard


@contextmanager
def output_errors() -> Iterator[None]:
    """The system's complaints about the output, as what ends the run and not a source's failure."""
    try:
        yield
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise OutputError(f"{name}{error.strerror or error}") from error


class Store:
    """What one process (of one share of the sources) writes.

    Args:
        folder: the output folder, claimed already.
        settings: its ``format`` counts.
        share: (number, count); runs on several machines have different numbers.
    """

    def __init__(
        self, folder: Path, settings: PreprocessSettings, share: tuple[int, int] = (1, 1)
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.name = f"{share[0]}-of-{share[1]}"
        self._shares = folder / _HIDDEN / self.name
        self.staging = self._shares / secrets.token_hex(6)
        self.unpacked = folder / _PACKING / self.name

    def __enter__(self) -> Store:
        shutil.rmtree(self._shares, ignore_errors=True)  # of a killed run
        with output_errors():
            self.staging.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._shares, ignore_errors=True)
        for parent in (self.folder / _HIDDEN, self.unpacked, self.unpacked.parent):
            with suppress(OSError):  # others are still at work
                parent.rmdir()

    def commit(self, source: Source, staged: Path) -> None:
        """Move the result of a source to its place. Raises OutputError."""
        with output_errors():
            if self.settings.format == "webdataset":
                place = self.unpacked_path(source.id)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staged, place)
                return
            place = self.folder / (source.target + (".jpg" if source.is_file_target else ""))
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_file_target or not place.exists():
                os.replace(staged, place)
            else:
                _replace_content(staged, place, numbered=source.numbered)

    def unpacked_path(self, source_id: str) -> Path:
        """Where the crops of a source wait for their shard."""
        digest = hashlib.blake2b(os.fsencode(source_id), digest_size=12).hexdigest()
        return self.unpacked / f"{digest}.tar"


def _replace_content(staged: Path, place: Path, *, numbered: bool) -> None:
    """Put ``staged`` where an earlier run left the same crops but not their lines.

    Other sources may have their folders below: only what this source can have written goes.
    """
    for old in place.iterdir():
        if numbered and re.fullmatch(r"\d{4,}", old.name) and old.is_dir():
            shutil.rmtree(old)
        elif not numbered and old.suffix == ".jpg":
            old.unlink()
    for new in staged.iterdir():
        os.replace(new, place / new.name)
    staged.rmdir()


class FolderSink:
    """Crops as files below ``path`` (or as the one file ``path``)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, data: bytes, line: str) -> None:
        """See `crops.Sink`."""
        with output_errors():
            path = self.path / name if name else self.path
            try:
                path.write_bytes(data)
            except FileNotFoundError:
                # Not exist_ok for the staging folder above: once it is gone, so is our run.
                self.path.parent.stat()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def clear(self) -> None:
        """See `crops.Sink`."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is held open."""


class TarSink:
    """Crops as samples of a tar file: the picture and its line of the index.

    Written without webdataset, whose import costs each worker seconds: a shard is written by it.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._tar: tarfile.TarFile | None = None

    def add(self, name: str, data: bytes, line: str) -> None:
        """See `crops.Sink`."""
        with output_errors():
            if self._tar is None:
                self._tar = tarfile.open(self.path, "w")  # noqa: SIM115 (close)
            key = f"{self._target}/{name}".removesuffix("/").removesuffix(".jpg")
            for suffix, content in (("jpg", data), ("json", line.encode("ascii"))):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                self._tar.addfile(member, io.BytesIO(content))

    def clear(self) -> None:
        """See `crops.Sink`."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Complete the file."""
        with output_errors():
            if self._tar is not None:
                self._tar.close()
            self._tar = None


def open_sink(source: Source, settings: PreprocessSettings, path: Path) -> FolderSink | TarSink:
    """Where a worker puts the crops of a source."""
    if settings.format == "webdataset":
        return TarSink(path, source.target)
    return FolderSink(path)
