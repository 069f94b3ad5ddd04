"""The sources in a tree, in sorted order: videos, folders of frames, and photographs.

The folder of a crop says who is in it, as ``train`` needs to know: all crops in one folder show one
person.

================================================  ==========================================
source                                            its crops
================================================  ==========================================
VoxCeleb ``.../id00012/21Uxsk56VDQ/00001.mp4``    ``id00012/21Uxsk56VDQ/00001/000012.jpg``
its whole videos ``.../id10270/5r0dWxy17C8.mp4``  ``id10270/5r0dWxy17C8/0001/000012.jpg``
frames ``.../NAME/1.6/VIDEO/0000125.jpg``, ...    ``NAME/VIDEO/1.6/0000125.jpg``, ...
other videos ``alice/trip/day1.mp4``              ``alice/trip/day1/0001/000012.jpg``
a video at the top, ``talk.mp4``                  ``talk/talk/0001/000012.jpg``
photographs ``alice/2019/a.jpg``                  ``alice/2019/0001/a.jpg``
... ``alice/b.jpg``                               ``alice/images/0001/b.jpg``
a photograph at the top, ``c.jpg``                ``c/images/0001/c.jpg``
an animation, ``alice/d.webp``                    ``alice/images/0001/d/0001/000012.jpg``
================================================  ==========================================

A video outside VoxCeleb may show several people. So each of its *tracks* (one face without
interruption between two cuts) gets a folder: ``0001``, ``0002``, ... With ``--faces all`` every
source has such folders. If two files of one folder, or a file and a folder, differ in their suffix
alone, the suffix stays in the name: ``day1_mp4``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Literal, TypeAlias

from facecycle_cli.errors import MediaError
from facecycle_cli.media import is_animation, probe
from facecycle_cli.media.files import (
    IMAGE_SUFFIXES,
    UNREADABLE_SUFFIXES,
    VIDEO_SUFFIXES,
    LeftOut,
    file_kind,
    suffix_of,
)
from facecycle_cli.media.provenance import is_result
from facecycle_cli.media.streams import NOT_REGULAR
from facecycle_cli.preprocess.index import INDEX_FILE
from facecycle_cli.preprocess.settings import SETTINGS_FILE, PreprocessSettings

__all__ = [
    "Problem",
    "Source",
    "SourceKind",
    "as_it_is",
    "find_sources",
    "in_shard",
    "made_by_us",
]

SourceKind: TypeAlias = Literal["video", "frames", "photo"]
"""A video file, a folder with frames of one video, or a photograph."""

_IDENTITY = re.compile(r"id\d{4,}")
_ENLARGEMENT = re.compile(r"\d\.\d+")  # of the face's box, in VGG's frame folders: 1.3, 1.6
_GROUPS = ("images", "0001")  # our own folder names, which no video's folder may have
_SPLITS = {"dev", "test", "mp4", "wav", "aac"}


@dataclass(frozen=True, slots=True)
class Source:
    """One video, folder of frames or photograph.

    Attributes:
        id: its name, the same on every machine: the input folder's own name and the path below it.
        path: of the file or folder.
        kind: what it is.
        target: path of its crops below the output folder: a folder, or for the one face of a
            photograph the picture without its suffix.
        numbered: whether its tracks have numbered folders below ``target``.
    """

    id: str
    path: str
    kind: SourceKind
    target: str
    numbered: bool

    @property
    def is_file_target(self) -> bool:
        """Whether its crops are one picture at most."""
        return self.kind == "photo" and not self.numbered


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of an input that cannot be read, or an input without any source."""

    name: str
    reason: str


def in_shard(source_id: str, number: int, count: int) -> bool:
    """Whether a source belongs to share ``number`` (from 1) of ``count``.

    That depends on its name alone: files that are added later move no source to another share.
    """
    digest = hashlib.blake2b(os.fsencode(source_id), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count == number - 1


def as_it_is(source: Source, settings: PreprocessSettings) -> Source:
    """The source after a look into its file: a picture of several frames is a video, and so is a
    video with the suffix of a picture.

    Suffixes do not tell (AVIF, PNG, WebP), and to look into every file takes too long for a walk.
    With the layout ``images`` all pictures are photographs.

    Raises:
        OSError: it cannot be opened.
    """
    if source.kind != "photo" or settings.layout == "images":
        return source
    try:
        is_video = is_animation(source.path)
    except MediaError:
        is_video = _holds_video(source.path)
    return replace(source, kind="video", numbered=True) if is_video else source


def _holds_video(path: str) -> bool:
    with suppress(MediaError):
        probe(path)
        return True
    return False


def made_by_us(source: Source) -> bool:
    """Whether facecycle made the file, or all pictures of the folder. It reads their headers."""
    if source.kind != "frames":
        return is_result(source.path)
    try:
        with os.scandir(source.path) as entries:
            pictures = [e.path for e in entries if suffix_of(e.name) in IMAGE_SUFFIXES]
    except OSError:
        return False  # whoever reads the folder says what is wrong
    return bool(pictures) and all(map(is_result, pictures))


def find_sources(
    root: str,
    settings: PreprocessSettings,
    *,
    skip: str | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Source | Problem]:
    """The sources below ``root``, sorted, and between them what cannot be read.

    Folders made by preprocess are left out, and so are names that begin with a dot. A link to a
    folder is followed, unless it leads to a folder that the walk is in already. Other results of
    facecycle are among the sources: to find them all takes a look into every file
    (:func:`made_by_us`).

    Args:
        root: a folder or a file, as the user named it.
        settings: of which ``layout`` and ``faces`` count.
        skip: a folder to leave out (the output folder).
        left_out: counts what is left out.
    """
    top = os.path.abspath(root)
    name = os.path.basename(top) or "root"
    if not os.path.lexists(top):
        yield Problem(root, "no such file or folder")
        return
    left_out = left_out or LeftOut()
    finder = _Finder(settings, os.path.realpath(skip) if skip else None, left_out)
    if os.path.exists(top) and not os.path.isdir(top) and not os.path.isfile(top):
        yield Problem(root, NOT_REGULAR)
        return
    if not os.path.isdir(top):
        source = finder.classify(os.path.dirname(top), "", name, Counter())
        if source is None:
            yield Problem(root, f"{finder.expectation}, judging by its suffix")
        else:
            yield source
        return
    found, results = False, left_out.results
    for item in finder.walk(top, name, "", ()):
        found = True
        yield item
    if not found and results == left_out.results:
        yield Problem(root, f"{finder.expectation} in this folder")


class _Finder:
    def __init__(self, settings: PreprocessSettings, skip: str | None, left_out: LeftOut) -> None:
        self._layout = settings.layout
        self._everyone = settings.faces == "all"
        self._skip = skip
        self._left_out = left_out
        wanted = {
            "auto": (VIDEO_SUFFIXES, IMAGE_SUFFIXES - VIDEO_SUFFIXES),
            "voxceleb": (VIDEO_SUFFIXES, IMAGE_SUFFIXES - VIDEO_SUFFIXES),
            "videos": (VIDEO_SUFFIXES, frozenset[str]()),
            "images": (frozenset[str](), IMAGE_SUFFIXES),
        }
        self._videos, self._images = wanted[settings.layout]
        self.expectation = {
            "auto": "no video or picture",
            "voxceleb": "no VoxCeleb clip",
            "videos": "no video",
            "images": "no picture",
        }[settings.layout]

    def walk(
        self, folder: str, name: str, below: str, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Source | Problem]:
        """The sources in and below one folder.

        Args:
            folder: its path.
            name: of the input.
            below: path of ``folder`` below the input, with a slash at its end unless empty.
            above: device and inode of the folders that the walk is in.
        """
        shown = f"{name}/{below}".rstrip("/")
        try:
            status = os.stat(folder)
            with os.scandir(folder) as entries:
                listed = [(e.name, file_kind(e)) for e in entries if not e.name.startswith(".")]
        except OSError as error:
            yield Problem(shown, error.strerror or str(error))
            return
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        listed.sort()
        folders = [entry for entry, kind in listed if kind == "folder"]
        # Whoever opens a device or a named pipe refuses it: so the index says that it is finished.
        files = [entry for entry, kind in listed if kind != "folder"]
        is_output = self._skip is not None and os.path.realpath(folder) == self._skip
        if is_output or (SETTINGS_FILE in files and INDEX_FILE in files):
            # Crops of an earlier run are no photographs.
            self._left_out.results += self._count(folder) if above else 0
            return
        self._left_out.unreadable.update(
            suffix_of(file) for file in files if suffix_of(file) in UNREADABLE_SUFFIXES
        )
        if self._is_frame_folder(folder) and any(self._is_image(file) for file in files):
            yield self._frames(folder, shown)
            files = [file for file in files if not self._is_image(file)]
        files, stems = self._labeled(folder, folders, files)
        for entry in folders:
            path = os.path.join(folder, entry)
            yield from self.walk(path, name, f"{below}{entry}/", (*above, here))
        for file in files:
            source = self.classify(folder, f"{name}/{below}", file, stems)
            if source is not None:
                yield source

    def _labeled(
        self, folder: str, folders: list[str], files: list[str]
    ) -> tuple[list[str], Counter[str]]:
        """Those of the files that are sources, and how often each name without suffix is there.

        A result of ours must not change the name of the file that it was made of.
        """
        files = [file for file in files if self._is_source(file)]
        stems = Counter(map(_stem, files))
        ours = {f for f in files if stems[_stem(f)] > 1 and is_result(os.path.join(folder, f))}
        self._left_out.results += len(ours)
        files = [file for file in files if file not in ours]
        stems = Counter(map(_stem, files))
        stems.update(folders)
        if any(self._is_image(file) for file in files):
            stems.update(_GROUPS)
        return files, stems

    def _count(self, folder: str) -> int:
        return sum(self._is_source(file) for _, _, files in os.walk(folder) for file in files)

    def classify(self, folder: str, shown: str, file: str, stems: Counter[str]) -> Source | None:
        """The source that a file is, or None.

        Args:
            folder: its folder.
            shown: the folder as it is in ``Source.id``.
            file: its name.
            stems: how often each name without suffix is in the folder.
        """
        path = os.path.join(folder, file)
        below = [part for part in shown.split("/")[1:] if part]
        label = _stem(file) if stems[_stem(file)] < 2 else file.replace(".", "_")
        if self._is_video(file):
            if self._layout != "videos":
                source = self._voxceleb(folder, shown + file, path, label)
                if source is not None:
                    return source
            if self._layout == "voxceleb":
                return None
            target = "/".join(_without_splits(below) or [label]) + f"/{label}"
            return Source(shown + file, path, "video", target, True)
        if self._layout == "voxceleb" or not self._is_image(file):
            return None
        identity, *rest = _without_splits(below) or [label]
        group = "/".join([identity, *(rest or ["images"])])
        target = f"{group}/{label}" if self._everyone else f"{group}/0001/{label}"
        return Source(shown + file, path, "photo", target, self._everyone)

    def _voxceleb(self, folder: str, name: str, path: str, label: str) -> Source | None:
        """A clip in the folder of a video, or a whole video in the folder of a person."""
        person, video = ("", "", *PurePath(folder).parts[1:])[-2:]
        if _IDENTITY.fullmatch(video) and not _IDENTITY.fullmatch(person):
            return Source(name, path, "video", f"{video}/{label}", True)
        if _IDENTITY.fullmatch(person) or (self._layout == "voxceleb" and person):
            target = f"{person}/{video}/{label}"
            return Source(name, path, "video", target, self._everyone)
        return None

    def _is_frame_folder(self, folder: str) -> bool:
        parts = PurePath(folder).parts
        return (
            self._layout in ("auto", "voxceleb")
            and len(parts) >= 4
            and any(_ENLARGEMENT.fullmatch(part) for part in parts[-3:-1])
        )

    def _frames(self, folder: str, shown: str) -> Source:
        parts = PurePath(folder).parts
        at = next(i for i in (-2, -3) if _ENLARGEMENT.fullmatch(parts[i]))
        identity, enlargement, video, *rest = parts[at - 1 :]
        target = "/".join((identity, video, "-".join((enlargement, *rest))))
        return Source(shown, folder, "frames", target, self._everyone)

    def _is_video(self, file: str) -> bool:
        return suffix_of(file) in self._videos

    def _is_image(self, file: str) -> bool:
        return suffix_of(file) in self._images

    def _is_source(self, file: str) -> bool:
        return self._is_video(file) or self._is_image(file)


def _stem(file: str) -> str:
    """Without suffix and dots: webdataset takes everything after the first dot as the suffix."""
    return os.path.splitext(file)[0].replace(".", "_")


def _without_splits(below: list[str]) -> list[str]:
    """Leave out the folders of data set splits: they are no names of persons."""
    while below and below[0] in _SPLITS:
        below = below[1:]
    return below
