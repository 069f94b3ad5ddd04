"""What decides the crops, kept beside them so that one folder never holds two kinds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from facecycle_cli.errors import SettingsError
from facecycle_cli.system import atomic_path

__all__ = ["CONFIG", "PreprocessSettings", "check_folder", "claim_folder"]

CONFIG = "config.json"
_VERSION = 1  # of the folder's format

Layout = Literal["auto", "voxceleb", "videos", "images"]


@dataclass(frozen=True)
class PreprocessSettings:
    """How crops are made.

    Attributes:
        layout: which files are sources, and how their place in the tree is read (`sources`).
        fps: frames kept per second of video; a slower video keeps all of its frames.
        max_frames: most frames looked at per source, from its beginning; None: all.
        size: side of the crops in pixels.
        aligner: name of the face backend.
        min_face: height in pixels of the smallest face that counts.
        faces: the largest face of each moment, or everyone.
        format: a tree of pictures, or webdataset's tar shards.
        shard_megabytes: size at which a tar shard is full.
    """

    layout: Layout = "auto"
    fps: float = 5.0
    max_frames: int | None = None
    size: int = 128
    aligner: str = "mesh"
    min_face: int = 32
    faces: Literal["largest", "all"] = "largest"
    format: Literal["folder", "webdataset"] = "folder"
    shard_megabytes: int = 256


def check_folder(folder: Path, settings: PreprocessSettings) -> bool:
    """Whether ``folder`` holds crops made with these settings; False if it is new or empty.

    Raises:
        SettingsError: it holds crops made otherwise, or files that are not ours.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Hidden: a temporary name of a run that is just starting, or was killed then.
        names = os.listdir(folder) if folder.exists() else []
        if not path.exists() and any(not name.startswith(".") for name in names):
            raise SettingsError(
                f"{folder}: not empty, and not made by preprocess (there is no {CONFIG} in it)"
            ) from None
        return False
    except ValueError as error:
        raise SettingsError(f"{path}: damaged") from error
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        raise SettingsError(f"{folder}: made by another version of preprocess")
    for field in fields(settings):
        theirs, ours = found.get(field.name), getattr(settings, field.name)
        if theirs != ours:
            option = field.name.replace("_", "-")
            raise SettingsError(
                f"{folder}: made with {option} {theirs}, not {ours}; use the same settings or "
                "another folder"
            )
    return True


def claim_folder(folder: Path, settings: PreprocessSettings) -> None:
    """Make ``folder`` the output of runs with these settings, or check that it is.

    Raises:
        SettingsError: as `check_folder`.
        OSError: it cannot be made or written.
    """
    if check_folder(folder, settings):
        return
    # Several machines may do this at once; they write the same.
    with atomic_path(folder / CONFIG) as temporary:
        text = json.dumps({"version": _VERSION, **asdict(settings)}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
