"""From the names of inputs (files, folders, globs, ``-``) to files."""

from __future__ import annotations

import glob
import importlib.util
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from facecycle_cli.media.provenance import is_result
from facecycle_cli.media.streams import NOT_REGULAR
from facecycle_cli.types import MediaKind

_HEIF: Final = frozenset(".heic .heif .hif".split())
_RAW_AND_OTHERS: Final = frozenset(
    ".3fr .arw .braw .cr2 .cr3 .dng .eps .erf .exr .hdr .heics .heifs .iiq .jxl .jxr .kdc .mrw "
    ".nef .nrw .orf .pef .psb .psd .r3d .raf .raw .rw2 .sr2 .srw .svg .svgz .x3f .xcf".split()
)
_READS_HEIF: Final = importlib.util.find_spec("pillow_heif") is not None

IMAGE_SUFFIXES: Final = (_HEIF if _READS_HEIF else frozenset[str]()) | frozenset(
    ".apng .avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .mpo .pgm .png .ppm .tga .tif .tiff "
    ".webp".split()
)
"""Of the pictures that this installation reads."""
VIDEO_SUFFIXES: Final = frozenset(
    ".3g2 .3gp .apng .asf .avi .divx .dv .f4v .flv .gif .insv .m2ts .m2v .m4v .mjpeg .mjpg .mkv "
    ".mod .mov .mp4 .mpeg .mpg .mts .mxf .ogv .qt .rm .rmvb .ts .vob .webm .wmv".split()
)
UNREADABLE_SUFFIXES: Final = _RAW_AND_OTHERS | (_HEIF - IMAGE_SUFFIXES)
"""Of pictures and videos that are not read: in a folder they are counted, not forgotten."""

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
        shares_stem: whether another input of its kind in its folder differs in its suffix alone, so
            that the suffix belongs into the name of its result.
    """

    path: str
    relative: str
    from_folder: bool = False
    problem: str | None = None
    shares_stem: bool = False

    @property
    def is_stdin(self) -> bool:
        """Whether this is standard input."""
        return self.path == STDIN

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


@dataclass
class LeftOut:
    """What walks have left out, counted.

    Attributes:
        results: pictures and videos that facecycle made, and those in its output folder.
        unreadable: suffix -> number of files that are pictures or videos, but cannot be read.
    """

    results: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    def without_results(self, folder: str, names: Iterable[str]) -> list[str]:
        """Those files of a folder that facecycle has not made; the others are counted."""
        kept = []
        for name in names:
            if is_result(os.path.join(folder, name)):
                self.results += 1
            else:
                kept.append(name)
        return kept

    def lines(self, what: str = "picture") -> list[str]:
        """What to say about it: a line for each kind, if there is anything to say.

        Args:
            what: what results are, in the singular.
        """
        lines = []
        if self.results:
            lines.append(f"{_number(self.results, what)} left out: results of facecycle")
        of_another_kind = {s: n for s, n in self.unreadable.items() if s in VIDEO_SUFFIXES}
        others = {s: n for s, n in self.unreadable.items() if s not in of_another_kind}
        for files, why in ((of_another_kind, f"no {what}s"), (others, "not readable")):
            if files:
                counts = (_number(n, f"{s} file") for s, n in sorted(files.items()))
                lines.append(f"{', '.join(counts)} left out: {why}")
        return lines


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def expand_inputs(
    patterns: Sequence[str],
    kinds: Collection[MediaKind],
    *,
    skip: str | os.PathLike[str] | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Input]:
    """The files that ``patterns`` stand for, one at a time.

    No more than one folder's names are held in memory. A pattern that matches nothing gives one
    :class:`Input` with its ``problem`` and does not end the iteration. Results of facecycle that
    lie in a folder are left out; those that are named are not.

    Args:
        patterns: files, folders (walked in sorted order, without names that begin with a dot),
            globs with ``*``, ``?``, ``[]`` or ``**``, or ``-`` for standard input.
        kinds: which suffixes count in a folder.
        skip: the output folder: below a folder that is named it is left out.
        left_out: counts what is left out.
    """
    walk = _Walk(kinds, skip, left_out or LeftOut())
    named = [p for p in patterns if p == STDIN or os.path.lexists(p)]
    sharing = _sharing_stems(named)
    for pattern in patterns:
        if pattern == STDIN or os.path.lexists(pattern):
            yield from walk.expand(pattern, sharing)
            continue
        found = glob.iglob(pattern, recursive=True) if glob.has_magic(pattern) else ()
        # ``**`` also matches its own folder, even one that does not exist.
        matches = sorted(filter(os.path.lexists, found))
        sharing_here = _sharing_stems(matches)
        for match in matches:
            yield from walk.expand(match, sharing_here)
        if not matches:
            yield Input(pattern, pattern, problem="no such file or folder")


def _sharing_stems(paths: Iterable[str]) -> set[str]:
    """Those of the files ``paths`` that differ from another one in their suffix alone."""
    files = {p: os.path.abspath(p) for p in paths if p != STDIN and not os.path.isdir(p)}
    stems = Counter(map(_stem, set(files.values())))
    return {path for path, full in files.items() if stems[_stem(full)] > 1}


class _Walk:
    """What counts in a folder, and what is left out of it."""

    def __init__(
        self,
        kinds: Collection[MediaKind],
        skip: str | os.PathLike[str] | None,
        left_out: LeftOut,
    ) -> None:
        self._suffixes = frozenset[str]().union(*(_SUFFIXES[kind] for kind in kinds))
        every = UNREADABLE_SUFFIXES.union(*_SUFFIXES.values())
        self._unreadable = every - self._suffixes
        self._what = " or ".join(f"{kind}s" for kind in sorted(kinds))
        self._skip = None if skip is None else os.path.realpath(skip)
        self._left_out = left_out

    def expand(self, path: str, sharing: Collection[str]) -> Iterator[Input]:
        """A file, or the files in a folder."""
        if path == STDIN or not os.path.isdir(path):
            name = os.path.basename(path) or path
            yield Input(path, name, shares_stem=path in sharing)
            return
        results = self._left_out.results
        found = False
        for item in self._walk(path, path, ()):
            found = True
            yield item
        if not found and results == self._left_out.results:
            yield Input(path, "", problem=f"no {self._what} in this folder")

    def _walk(self, folder: str, top: str, above: tuple[tuple[int, int], ...]) -> Iterator[Input]:
        """Sorted walk that follows links to folders, but not into one that it is inside of."""
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                listed = sorted(
                    (e.name, file_kind(e)) for e in entries if not e.name.startswith(".")
                )
        except OSError as error:
            relative = os.path.relpath(folder, top)
            yield Input(folder, relative, True, error.strerror or str(error))
            return
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        if above and self._skip is not None and os.path.realpath(folder) == self._skip:
            self._left_out.results += self._count(folder)
            return
        files = [name for name, kind in listed if kind == "file" and self._counts(name)]
        stems = Counter(map(_stem, files))
        # What is written here must not depend on what was written here before.
        twins = {n: is_result(os.path.join(folder, n)) for n in files if stems[_stem(n)] > 1}
        stems.subtract(_stem(name) for name, made in twins.items() if made)
        for name, kind in listed:
            path = os.path.join(folder, name)
            if kind == "folder":
                yield from self._walk(path, top, (*above, here))
            elif not self._counts(name):
                self._note(name)
            elif kind == "special":
                yield Input(path, os.path.relpath(path, top), True, NOT_REGULAR)
            elif twins[name] if name in twins else is_result(path):
                self._left_out.results += 1
            else:
                shares = stems[_stem(name)] > 1
                yield Input(path, os.path.relpath(path, top), True, shares_stem=shares)

    def _counts(self, name: str) -> bool:
        return suffix_of(name) in self._suffixes

    def _note(self, name: str) -> None:
        if suffix_of(name) in self._unreadable:
            self._left_out.unreadable[suffix_of(name)] += 1

    def _count(self, folder: str) -> int:
        return sum(self._counts(n) for _, _, names in os.walk(folder) for n in names)


def suffix_of(name: str) -> str:
    """Suffix of a file's name as the sets above have it."""
    return os.path.splitext(name)[1].lower()


def _stem(name: str) -> tuple[str, bool]:
    """The stem of a file's name, and whether it is a video's: its result is a video, too."""
    suffix = suffix_of(name)
    return os.path.splitext(name)[0], suffix in VIDEO_SUFFIXES and suffix not in IMAGE_SUFFIXES


def file_kind(entry: os.DirEntry[str]) -> Literal["file", "folder", "special"]:
    """What lies in a folder; devices, named pipes and sockets are special.

    A link is what it leads to. One that leads nowhere is a file: whoever opens it says so.
    """
    if entry.is_dir():
        return "folder"
    if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
        return "file"
    return "special"
