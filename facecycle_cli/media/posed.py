"""Pictures of people with posed expressions: who shows what, as the names of the files say.

===========================  ==============================  =================================
name of the picture          person                          expression
===========================  ==============================  =================================
``AF01NES`` (KDEF, front)    ``F01``, in both sessions       ``neutral`` for ``NE``, else its code
``001_smiling``              the folder and ``001``          what follows the last ``_`` or ``-``
``smiling``, ``smiling_2``   the folder                      the word
===========================  ==============================  =================================

``neutral`` is the neutral face. A prefix of one letter and ``_`` before a name of KDEF does not
count. Other names say nothing, and their pictures are left out, as are people without a neutral
picture, or with nothing else.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.media.images import read_image
from facecycle_cli.media.shards import Quality, samples
from facecycle_cli.types import RGBImage

__all__ = ["NEUTRAL", "PosedPicture", "find_posed", "parse_name"]

NEUTRAL = "neutral"
"""The expression of a neutral face."""

_KDEF = re.compile(r"(?:[a-z]_)?[ab]([fm]\d\d)(af|an|di|ha|ne|sa|su)s", re.IGNORECASE)
_PERSON_FIRST = re.compile(r"(.*[^_-])[_-]([^\W\d_]+)")
_WORD = re.compile(r"([^\W\d_]+)[_-]?\d*")


@dataclass(frozen=True)
class PosedPicture:
    """One picture.

    Attributes:
        name: the file, or the file's name in its shard.
        person: who is shown.
        expression: ``neutral``, or another one.
        path: the file, or the shard.
        span: offset and length of the picture in its shard; None for a file of its own.
    """

    name: str
    person: str
    expression: str
    path: Path
    span: tuple[int, int] | None = None

    @property
    def is_neutral(self) -> bool:
        """Whether the face is neutral."""
        return self.expression == NEUTRAL

    def read(self) -> RGBImage:
        """The pixels (H, W, 3) uint8.

        Raises:
            MediaError: it is no picture.
            OSError: the file cannot be read.
        """
        if self.span is None:
            return read_image(self.path)
        offset, length = self.span
        with open(self.path, "rb") as file:
            file.seek(offset)
            return read_image(io.BytesIO(file.read(length)))


def parse_name(name: str) -> tuple[str, str] | None:
    """Person and expression of a picture; None if the name does not say them.

    Args:
        name: without suffix, with the folders above it, separated by ``/``.
    """
    path = PurePosixPath(name)
    if kdef := _KDEF.fullmatch(path.name):
        person, code = kdef[1].upper(), kdef[2].upper()
        return person, NEUTRAL if code == "NE" else code
    if found := _PERSON_FIRST.fullmatch(path.name):
        return str(path.with_name(found[1])), found[2].lower()
    if found := _WORD.fullmatch(path.name):
        return str(path.parent), found[1].lower()
    return None


def find_posed(data: str | os.PathLike[str]) -> list[PosedPicture]:
    """All pictures of the people in a folder, a folder of ``.tar`` shards, or one shard.

    Returns:
        Pictures in the order of their names. Each person has a neutral one and another one.

    Raises:
        DataError: there is no such person, or a shard is damaged.
        OSError: it cannot be read.
    """
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path}: no such folder")
    if path.is_file() and path.suffix != ".tar":
        raise DataError(f"{path}: neither a folder nor a .tar shard")
    shards = [path] if path.is_file() else sorted(path.glob("*.tar"))
    found = sorted(_in_shards(shards) if shards else _in_folder(path), key=lambda p: p.name)
    neutral = {picture.person for picture in found if picture.is_neutral}
    posing = neutral & {picture.person for picture in found if not picture.is_neutral}
    if not posing:
        raise DataError(
            f"{path}: nobody with a neutral picture and another one; the names of the pictures "
            f"say who shows what: 001_neutral.jpg, 001_smiling.jpg, or as KDEF has it"
        )
    return [picture for picture in found if picture.person in posing]


def _in_shards(shards: list[Path]) -> Iterator[PosedPicture]:
    for shard in shards:
        try:
            for key, offset, length in samples(shard, Quality()):
                if known := parse_name(key):
                    yield PosedPicture(key, *known, shard, (offset, length))
        except DataError as error:
            raise DataError(f"{shard}: {error}") from None


def _in_folder(path: Path) -> Iterator[PosedPicture]:
    left_out = LeftOut()
    for where, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name[0] != "."]
        pictures = [n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES and n[0] != "."]
        for name in left_out.without_results(where, sorted(pictures)):
            file = Path(where, name)
            if known := parse_name(file.relative_to(path).with_suffix("").as_posix()):
                yield PosedPicture(str(file), *known, file)
