"""The output folder: the crops of a source appear there all at once, or not at all.

A worker writes the crops of a source into a folder of the run whose name begins with a dot. When
they are complete, the parent process moves them to their target and then appends their lines to the
journal: only what has lines in the journal is done. A kill between these steps leaves crops without
lines, which the next run replaces by the same bytes, and the run's folder, which it removes.
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
from facecycle_cli.faces.crop_landmarks import LANDMARKS_SUFFIX, landmarks_beside
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source

__all__ = ["FolderSink", "Store", "TarSink", "open_sink", "output_errors"]

_PARTIAL = ".partial"
_UNPACKED = ".unpacked"  # crops of sources, until there are enough for a tar shard


@contextmanager
def output_errors() -> Iterator[None]:
    """Turn system errors about the output into :class:`OutputError`, which ends the run."""
    try:
        yield
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        raise OutputError(f"{name}{error.strerror or error}") from error


class Store:
    """Where one run, or one share of it, writes.

    Args:
        folder: the output folder, claimed already.
        settings: of which ``format`` counts.
        share: (number from 1, count); runs on several machines have different numbers.

    Attributes:
        staging: the folder for the workers.
        unpacked: the folder for crops that wait for their tar shard.
    """

    def __init__(
        self, folder: Path, settings: PreprocessSettings, share: tuple[int, int] = (1, 1)
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.name = f"{share[0]}-of-{share[1]}"
        self._shares = folder / _PARTIAL / self.name
        self.staging = self._shares / secrets.token_hex(6)
        self.unpacked = folder / _UNPACKED / self.name

    def __enter__(self) -> Store:
        shutil.rmtree(self._shares, ignore_errors=True)  # of a killed run
        with output_errors():
            self.staging.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        # Once the index is sorted, the next run may have begun already: its folder is its own.
        shutil.rmtree(self.staging, ignore_errors=True)
        for parent in (self._shares, self._shares.parent, self.unpacked, self.unpacked.parent):
            with suppress(OSError):  # other runs are still writing there
                parent.rmdir()

    def commit(self, source: Source, staged: Path) -> None:
        """Move the crops of a source to their target.

        Raises:
            OutputError: they cannot be moved.
        """
        with output_errors():
            if self.settings.format == "webdataset":
                target = self.unpacked_path(source.id)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staged, target)
                return
            target = self.folder / (source.target + (".jpg" if source.is_file_target else ""))
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_file_target:
                with suppress(FileNotFoundError):
                    os.replace(_landmarks_of(staged), _landmarks_of(target))
                os.replace(staged, target)
            elif not target.exists():
                os.replace(staged, target)
            else:
                _replace_content(staged, target, numbered=source.numbered)

    def unpacked_path(self, source_id: str) -> Path:
        """Where the crops of a source wait for their shard."""
        digest = hashlib.blake2b(os.fsencode(source_id), digest_size=12).hexdigest()
        return self.unpacked / f"{digest}.tar"


def _replace_content(staged: Path, target: Path, *, numbered: bool) -> None:
    """Move ``staged`` where an earlier run left the same crops but not their lines.

    Other sources may have folders in the same folder: only what this source can have written is
    removed.
    """
    for old in target.iterdir():
        if numbered and re.fullmatch(r"\d{4,}", old.name) and old.is_dir():
            shutil.rmtree(old)
        elif not numbered and old.name.endswith((".jpg", LANDMARKS_SUFFIX)):
            old.unlink()
    for new in staged.iterdir():
        os.replace(new, target / new.name)
    staged.rmdir()


def _landmarks_of(crop: Path) -> Path:
    """The file with the landmarks of a crop."""
    return Path(landmarks_beside(str(crop)))


class FolderSink:
    """Writes crops as files below ``path``, or as the one file ``path``, and landmarks beside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, data: bytes, line: str, landmarks: bytes | None) -> None:
        """Take one crop, see :class:`~facecycle_cli.preprocess.crops.Sink`."""
        with output_errors():
            path = self.path / name if name else self.path
            try:
                path.write_bytes(data)
            except FileNotFoundError:
                # If the staging folder is gone, the run is over: do not make it again.
                self.path.parent.stat()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if landmarks is not None:
                _landmarks_of(path).write_bytes(landmarks)

    def clear(self) -> None:
        """Remove everything added."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)
            _landmarks_of(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: no file is open."""


class TarSink:
    """Writes crops as samples of a tar file: picture, line of the index, and landmarks."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._tar: tarfile.TarFile | None = None

    def add(self, name: str, data: bytes, line: str, landmarks: bytes | None) -> None:
        """Take one crop, see :class:`~facecycle_cli.preprocess.crops.Sink`."""
        with output_errors():
            if self._tar is None:
                self._tar = tarfile.open(self.path, "w")  # noqa: SIM115 (closed by close)
            key = f"{self._target}/{name}".removesuffix("/").removesuffix(".jpg")
            fields = {".jpg": data, ".json": line.encode("ascii")}
            if landmarks is not None:
                fields[LANDMARKS_SUFFIX] = landmarks
            for suffix, content in fields.items():
                member = tarfile.TarInfo(key + suffix)
                member.size = len(content)
                self._tar.addfile(member, io.BytesIO(content))

    def clear(self) -> None:
        """Remove everything added."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Complete the file."""
        with output_errors():
            if self._tar is not None:
                self._tar.close()
            self._tar = None


def open_sink(source: Source, settings: PreprocessSettings, path: Path) -> FolderSink | TarSink:
    """Open the sink for the crops of ``source`` at ``path``."""
    if settings.format == "webdataset":
        return TarSink(path, source.target)
    return FolderSink(path)
