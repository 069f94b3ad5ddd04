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

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facecycle_cli.errors import DataError
from facecycle_cli.media.stored import StoredPicture, stored_pictures

__all__ = ["NEUTRAL", "PosedPicture", "find_posed", "parse_name"]

NEUTRAL = "neutral"
"""The expression of a neutral face."""

_KDEF = re.compile(r"(?:[a-z]_)?[ab]([fm]\d\d)(af|an|di|ha|ne|sa|su)s", re.IGNORECASE)
_PERSON_FIRST = re.compile(r"(.*[^_-])[_-]([^\W\d_]+)")
_WORD = re.compile(r"([^\W\d_]+)[_-]?\d*")


@dataclass(frozen=True)
class PosedPicture(StoredPicture):
    """One picture.

    Attributes:
        person: who is shown.
        expression: ``neutral``, or another one.
    """

    person: str
    expression: str

    @property
    def is_neutral(self) -> bool:
        """Whether the face is neutral."""
        return self.expression == NEUTRAL


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
    found = [
        PosedPicture(picture.name, picture.path, picture.span, *known)
        for key, picture in stored_pictures(path)
        if (known := parse_name(key))
    ]
    found.sort(key=lambda picture: picture.name)
    neutral = {picture.person for picture in found if picture.is_neutral}
    posing = neutral & {picture.person for picture in found if not picture.is_neutral}
    if not posing:
        raise DataError(
            f"{path}: nobody with a neutral picture and another one; the names of the pictures "
            f"say who shows what: 001_neutral.jpg, 001_smiling.jpg, or as KDEF has it"
        )
    return [picture for picture in found if picture.person in posing]
