"""The settings that decide what the crops are like, kept beside them.

One output folder never holds crops of two kinds: a run with other settings is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from facecycle_cli.errors import SettingsError
from facecycle_cli.system import atomic_path, parse_json
from facecycle_cli.types import AlignerName, CropFormat, KeptFaces, Layout

__all__ = ["SETTINGS_FILE", "PreprocessSettings", "check_folder", "claim_folder"]

SETTINGS_FILE = "config.json"
_VERSION = 1  # of the output folder's format
_BEFORE = {"landmarks": False}
"""What settings were before there was a choice."""


@dataclass(frozen=True)
class PreprocessSettings:
    """How crops are made.

    Attributes:
        layout: which files are sources, and how the folders above them are read (see
            :mod:`~facecycle_cli.preprocess.sources`).
        fps: frames kept per second of video; a slower video keeps all of its frames.
        max_frames: the most frames of one source, from its beginning; None: all.
        size: side of the crops in pixels.
        aligner: name of the face backend.
        min_face: height in pixels of the smallest face that counts.
        faces: the largest face of each moment, or all faces.
        format: a tree of pictures, or tar shards in the convention of webdataset.
        shard_megabytes: size at which a tar shard is full.
        landmarks: write the mesh's landmarks beside every crop; face-alignment has none of these.
    """

    layout: Layout = "auto"
    fps: float = 5.0
    max_frames: int | None = None
    size: int = 128
    aligner: AlignerName = "mesh"
    min_face: int = 32
    faces: KeptFaces = "largest"
    format: CropFormat = "folder"
    shard_megabytes: int = 256
    landmarks: bool = True


def check_folder(folder: Path, settings: PreprocessSettings) -> bool:
    """Whether ``folder`` holds crops made with these settings; False if it is new or empty.

    Raises:
        SettingsError: it holds crops made with other settings, or files of something else.
    """
    path = folder / SETTINGS_FILE
    try:
        found = parse_json(path.read_bytes())
    except FileNotFoundError:
        # A name with a dot is the temporary file of a run that starts just now, or was killed then.
        names = os.listdir(folder) if folder.exists() else []
        if not path.exists() and any(not name.startswith(".") for name in names):
            raise SettingsError(
                f"{folder}: not empty, and not made by preprocess (there is no {SETTINGS_FILE} in "
                "it)"
            ) from None
        return False
    except ValueError as error:
        raise SettingsError(f"{path}: damaged") from error
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        raise SettingsError(f"{folder}: made by another version of preprocess")
    for name, ours in asdict(settings).items():
        theirs = found.get(name, _BEFORE.get(name))
        if theirs != ours:
            option = name.replace("_", "-")
            raise SettingsError(
                f"{folder}: made with {option} {theirs}, not {ours}; use the same settings or "
                "another folder"
            )
    return True


def claim_folder(folder: Path, settings: PreprocessSettings) -> None:
    """Make ``folder`` the output of runs with these settings, or check that it is.

    Raises:
        SettingsError: as :func:`check_folder`.
        OSError: it cannot be created or written.
    """
    if check_folder(folder, settings):
        return
    # Several machines may do this at once: they write the same.
    with atomic_path(folder / SETTINGS_FILE) as temporary:
        text = json.dumps({"version": _VERSION, **asdict(settings)}, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
