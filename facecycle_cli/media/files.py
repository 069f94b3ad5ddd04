"""Input names to files, and files that appear complete or not at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["image", "video"]

IMAGE_SUFFIXES: Final = frozenset(
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .mpo .pgm .png .ppm .tga .tif .tiff .webp".split()
)
VIDEO_SUFFIXES: Final = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)
_SUFFIXES: Final[dict[Kind, frozenset[str]]] = {"image": IMAGE_SUFFIXES, "video": VIDEO_SUFFIXES}

STDIN: Final = "-"


@dataclass(frozen=True)
class Input:
    """One file that an argument of the command line stands for.

    ``path`` is ``"-"`` for standard input. ``relative`` is where the file lies below the folder
    that was named (for a file that was named itself: its name), so that outputs can keep the folder
    structure. ``problem`` says why there is nothing to read: the missing file, the empty folder.
    """

    path: str
    relative: str
    from_folder: bool = False
    problem: str | None = None

    @property
    def is_stdin(self) -> bool:
        """Whether this is standard input."""
        return self.path == STDIN

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


def expand_inputs(patterns: Sequence[str], kinds: Collection[Kind]) -> Iterator[Input]:
    """Files that ``patterns`` stand for, one at a time; no more than one folder's names are held.

    A pattern is a file, a folder (walked in sorted order; only suffixes of ``kinds`` count, hidden
    names do not), a glob with ``*``, ``?``, ``[]`` or ``**``, or ``-``. A pattern that leads
    nowhere gives one `Input` with its ``problem`` and does not end the iteration.
    """
    suffixes = frozenset[str]().union(*(_SUFFIXES[kind] for kind in kinds))
    what = " or ".join(f"{kind}s" for kind in sorted(kinds))
    for pattern in patterns:
        if pattern == STDIN or os.path.lexists(pattern):
            yield from _expand_one(pattern, suffixes, what)
            continue
        found = glob.iglob(pattern, recursive=True) if glob.has_magic(pattern) else ()
        # ``**`` stands for its own folder, too, and glob does not ask whether there is one.
        matches = sorted(filter(os.path.lexists, found))
        for match in matches:
            yield from _expand_one(match, suffixes, what)
        if not matches:
            yield Input(pattern, pattern, problem="no such file or folder")


def _expand_one(path: str, suffixes: frozenset[str], what: str) -> Iterator[Input]:
    if path == STDIN or not os.path.isdir(path):
        yield Input(path, os.path.basename(path) or path)
        return
    found = False
    for item in _walk(path, path, suffixes, ()):
        found = True
        yield item
    if not found:
        yield Input(path, "", problem=f"no {what} in this folder")


def _walk(
    folder: str, top: str, suffixes: frozenset[str], above: tuple[tuple[int, int], ...]
) -> Iterator[Input]:
    """Sorted walk that follows links to folders, but not into one it is already inside of."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        yield Input(folder, os.path.relpath(folder, top), True, error.strerror or str(error))
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _walk(path, top, suffixes, (*above, here))
        elif os.path.splitext(name)[1].lower() in suffixes:
            yield Input(path, os.path.relpath(path, top), True)
