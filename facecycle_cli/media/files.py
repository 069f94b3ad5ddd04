"""From the names of inputs (files, folders, globs, ``-``) to files."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

MediaKind: TypeAlias = Literal["image", "video"]
"""What is looked for in a folder."""

IMAGE_SUFFIXES: Final = frozenset(
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .mpo .pgm .png .ppm .tga .tif .tiff .webp".split()
)
VIDEO_SUFFIXES: Final = frozenset(
    ".3gp .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)
_SUFFIXES: Final[dict[MediaKind, frozenset[str]]] = {
    "image": IMAGE_SUFFIXES,
    "video": VIDEO_SUFFIXES,
}

STDIN: Final = "-"


@dataclass(frozen=True)
class Input:
    """One file that an argument of the command line stands for.

    Attributes:
        path: of the file; ``-`` for standard input.
        relative: path below the folder that was named, so that outputs can keep the folder
            structure; of a file that was named itself: its name.
        from_folder: whether it was found in a folder.
        problem: why there is nothing to read (a missing file, an empty folder); None: there is.
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


def expand_inputs(patterns: Sequence[str], kinds: Collection[MediaKind]) -> Iterator[Input]:
    """The files that ``patterns`` stand for, one at a time.

    No more than one folder's names are held in memory. A pattern that matches nothing gives one
    :class:`Input` with its ``problem`` and does not end the iteration.

    Args:
        patterns: files, folders (walked in sorted order, without names that begin with a dot),
            globs with ``*``, ``?``, ``[]`` or ``**``, or ``-`` for standard input.
        kinds: which suffixes count in a folder.
    """
    suffixes = frozenset[str]().union(*(_SUFFIXES[kind] for kind in kinds))
    what = " or ".join(f"{kind}s" for kind in sorted(kinds))
    for pattern in patterns:
        if pattern == STDIN or os.path.lexists(pattern):
            yield from _expand_one(pattern, suffixes, what)
            continue
        found = glob.iglob(pattern, recursive=True) if glob.has_magic(pattern) else ()
        # ``**`` also matches its own folder, even one that does not exist.
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
    """Sorted walk that follows links to folders, but not into a folder that it is inside of."""
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
