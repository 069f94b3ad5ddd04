"""Pictures with measured head poses in the layouts that people have them in: :func:`load_poses`.

Angles are in degrees and keep the signs of their data set: a regression learns either.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.portrait.crops import Picture
from facecycle_cli.system import import_extra

__all__ = ["ANGLES", "Poses", "load_poses"]

ANGLES = ("yaw", "pitch", "roll")
_LARGEST = 99.0
"""Degrees beyond which poses are left out, as is usual for AFLW2000-3D: its angles are unreliable
there (Ruiz et al., "Fine-grained head pose estimation without keypoints", 2018)."""


@dataclass(frozen=True)
class Poses:
    """Pictures and the poses of their faces.

    Attributes:
        layout: which form they were found in.
        angles: (N, 3) yaw, pitch, roll in degrees.
        sources: (N,) the person or video that a picture is from: pictures of one must not be on
            both sides of a split.
        groups: of persons, where the index names them.
        left_out: pictures that were listed, but not used (beyond 99 degrees).
        aligned: the pictures are aligned crops already.
        open: gives the pictures, in order, one at a time.
    """

    layout: str
    angles: np.ndarray
    sources: list[str]
    groups: list[str | None]
    left_out: int
    aligned: bool
    open: Callable[[], Iterator[Picture]]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class _Row:
    """One picture of a list, its path relative to the list's folder."""

    path: str
    angles: tuple[float, float, float]
    source: str
    group: str | None = None


def load_poses(path: str | os.PathLike[str]) -> Poses:
    """Find out how poses are laid out, and list them.

    Known are an ``index.jsonl`` (as ``facecycle preprocess`` writes it: lines with ``path``,
    ``yaw``, ``pitch``, ``roll``, ``source``, and ``group`` if there are groups) or the folder that
    holds one; AFLW2000-3D's and 300W-LP's pictures with a ``.mat`` beside each; and BIWI's folders
    of ``frame_00003_rgb.png`` with ``frame_00003_pose.txt``.

    Raises:
        DataError: none of these.
        OSError: it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "index.jsonl").is_file():
            return _index(path / "index.jsonl")
        if (rows := list(_biwi(path))) or (rows := list(_aflw(path))):
            return _poses("biwi" if rows[0].path.find("_rgb.") > 0 else "aflw2000", path, rows)
        raise DataError("neither an index.jsonl, nor AFLW2000's .mat or BIWI's _pose.txt files")
    if path.suffix.lower() == ".jsonl" or path.exists():
        return _index(path)
    raise FileNotFoundError(2, "No such file or directory", str(path))


def _poses(layout: str, root: Path, rows: Sequence[_Row], *, aligned: bool = False) -> Poses:
    used = [row for row in rows if max(abs(a) for a in row.angles) <= _LARGEST]
    if not used:
        raise DataError("no pictures with a pose")

    def pictures() -> Iterator[Picture]:
        for row in used:
            yield Picture.file(root / row.path)

    return Poses(
        layout,
        np.array([row.angles for row in used]),
        [row.source for row in used],
        [row.group for row in used],
        len(rows) - len(used),
        aligned,
        pictures,
    )


# -- index.jsonl ----------------------------------------------------------------------------------


def _index(path: Path) -> Poses:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError
        except ValueError:
            raise DataError(f"line {number}: not a JSON object") from None
        if "path" not in entry or "yaw" not in entry:
            continue  # the line of a source (preprocess writes one after its crops')
        try:
            yaw, pitch, roll = (float(entry[name]) for name in ANGLES)
        except (KeyError, TypeError, ValueError):
            raise DataError(f"line {number}: yaw, pitch and roll must be numbers") from None
        source = str(entry.get("source", entry["path"]))
        rows.append(_Row(str(entry["path"]), (yaw, pitch, roll), source, entry.get("group")))
    # Crops of preprocess come with the alignment that made them; other pictures are to be aligned.
    return _poses("index.jsonl", path.parent, rows, aligned=_has_alignments(path))


def _has_alignments(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return any('"alignment"' in line for line in file)


# -- AFLW2000-3D, 300W-LP -------------------------------------------------------------------------


def _aflw(root: Path) -> Iterator[_Row]:
    for folder, below, names in os.walk(root):
        below.sort()
        by_stem = {Path(n).stem: n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES}
        for name in sorted(n for n in names if n.endswith(".mat")):
            picture = by_stem.get(Path(name).stem)
            pose = _mat_pose(Path(folder, name)) if picture else None
            if picture and pose:
                path = str(Path(folder, picture).relative_to(root))
                yield _Row(path, pose, path)


def _mat_pose(path: Path) -> tuple[float, float, float] | None:
    """Yaw, pitch, roll in degrees of ``Pose_Para`` (pitch, yaw, roll, ... in radians)."""
    try:
        parameters = import_extra("scipy.io").loadmat(path, variable_names=["Pose_Para"])
        pitch, yaw, roll = (math.degrees(v) for v in np.ravel(parameters["Pose_Para"])[:3])
    except (KeyError, ValueError, TypeError):
        return None  # a .mat file of something else
    return yaw, pitch, roll


# -- BIWI -----------------------------------------------------------------------------------------


def _biwi(root: Path) -> Iterator[_Row]:
    for pose in sorted(root.rglob("frame_*_pose.txt")):
        stem = pose.name.removesuffix("_pose.txt")
        names = (f"{stem}_rgb{suffix}" for suffix in (".png", ".jpg"))
        picture = next((p for p in map(pose.with_name, names) if p.is_file()), None)
        if picture is not None:
            path = str(picture.relative_to(root))
            yield _Row(path, _biwi_angles(pose), pose.parent.name)


def _biwi_angles(path: Path) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees of the rotation matrix in a file's first three lines."""
    try:
        rotation = np.array([line.split() for line in path.read_text().splitlines()[:3]], float)
        if rotation.shape != (3, 3):
            raise ValueError
    except ValueError:
        raise DataError(f"{path.name} does not begin with a rotation matrix") from None
    # As BIWI's users read its matrix: the transpose is Rz(roll) Ry(yaw) Rx(pitch).
    r = rotation.T
    roll = -math.atan2(r[1, 0], r[0, 0])
    yaw = -math.atan2(-r[2, 0], math.hypot(r[2, 1], r[2, 2]))
    pitch = math.atan2(r[2, 1], r[2, 2])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
