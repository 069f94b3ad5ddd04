"""Pictures with measured head poses in the layouts that people have them in: :func:`load_poses`.

Angles are in degrees and keep the signs of their data set: a regression learns either.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.left_out import Problems, with_problems
from facecycle_cli.evaluation.mat_files import read_mat_variable
from facecycle_cli.media.files import IMAGE_SUFFIXES
from facecycle_cli.media.listing import (
    check_file,
    finite,
    name_below,
    numbered_lines,
    parse_entry,
)
from facecycle_cli.portrait.crops import Picture

__all__ = ["ANGLES", "Poses", "load_poses"]

ANGLES = ("yaw", "pitch", "roll")
_LARGEST = 99.0
"""Degrees beyond which poses are left out, as is usual for AFLW2000-3D: its angles are unreliable
there (Ruiz et al., "Fine-grained head pose estimation without keypoints", 2018)."""

_BIWI_CHARACTERS = 1000
"""Of a pose's file that are read: its matrix takes less than 200."""


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
        problems: (name, reason) of each picture whose pose cannot be read.
    """

    layout: str
    angles: np.ndarray
    sources: list[str]
    groups: list[str | None]
    left_out: int
    aligned: bool
    open: Callable[[], Iterator[Picture]]
    problems: Problems = field(default_factory=list)

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
        for layout, read in (("biwi", _biwi), ("aflw2000", _aflw)):
            problems: Problems = []
            rows = list(read(path, problems))
            if rows or problems:
                return _poses(layout, path, rows, problems=problems)
        raise DataError("neither an index.jsonl, nor AFLW2000's .mat or BIWI's _pose.txt files")
    if path.suffix.lower() == ".jsonl" or path.exists():
        return _index(path)
    raise FileNotFoundError(2, "No such file or directory", str(path))


def _poses(
    layout: str,
    root: Path,
    rows: Sequence[_Row],
    *,
    aligned: bool = False,
    problems: Sequence[tuple[str, Exception]] = (),
) -> Poses:
    used = [row for row in rows if max(abs(a) for a in row.angles) <= _LARGEST]
    if not used:
        raise with_problems(DataError("no pictures with a pose"), problems)

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
        list(problems),
    )


# -- index.jsonl ----------------------------------------------------------------------------------


def _index(path: Path) -> Poses:
    rows, aligned = [], False
    for number, line in numbered_lines(path):
        # Crops of preprocess come with the alignment that made them; others are to be aligned.
        aligned = aligned or b'"alignment"' in line
        if not line.strip():
            continue
        try:
            if line.startswith(b'{"shard"'):
                continue  # as long as it has sources
            entry = parse_entry(line)
            if "path" not in entry:
                continue  # the line of a source (preprocess writes one after its crops')
            name = name_below(entry["path"])
            check_file(path.parent, name)
            if "yaw" not in entry:
                continue
        except ValueError as error:
            raise DataError(f"line {number}: {error}") from None
        try:
            yaw, pitch, roll = (_angle(entry, angle) for angle in ANGLES)
        except ValueError:
            raise DataError(f"line {number}: yaw, pitch and roll must be numbers") from None
        source = str(entry.get("source", name))
        group = entry.get("group")
        rows.append(_Row(name, (yaw, pitch, roll), source, None if group is None else str(group)))
    return _poses("index.jsonl", path.parent, rows, aligned=aligned)


def _angle(entry: dict[str, Any], name: str) -> float:
    value = finite(entry, name)
    if value is None:
        raise ValueError
    return value


# -- AFLW2000-3D, 300W-LP -------------------------------------------------------------------------


def _aflw(root: Path, problems: Problems) -> Iterator[_Row]:
    for folder, below, names in os.walk(root):
        below.sort()
        by_stem = {Path(n).stem: n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES}
        for name in sorted(n for n in names if n.endswith(".mat")):
            picture = by_stem.get(Path(name).stem)
            if not picture:
                continue
            try:
                pose = _mat_pose(Path(folder, name))
            except (DataError, OSError) as error:
                problems.append((str(Path(folder, name)), error))
                continue
            if pose:
                path = str(Path(folder, picture).relative_to(root))
                yield _Row(path, pose, path)


def _mat_pose(path: Path) -> tuple[float, float, float] | None:
    """Yaw, pitch, roll in degrees of ``Pose_Para`` (pitch, yaw, roll, ... in radians).

    None for a .mat file of something else.

    Raises:
        DataError: it is damaged, or its ``Pose_Para`` is no pose.
        OSError: it cannot be read.
    """
    parameters = read_mat_variable(path, "Pose_Para")
    if parameters is None:
        return None
    if len(parameters) < len(ANGLES) or not np.isfinite(parameters[: len(ANGLES)]).all():
        raise DataError("Pose_Para does not begin with three finite numbers")
    pitch, yaw, roll = (math.degrees(v) for v in parameters[: len(ANGLES)])
    return yaw, pitch, roll


# -- BIWI -----------------------------------------------------------------------------------------


def _biwi(root: Path, problems: Problems) -> Iterator[_Row]:
    for pose in sorted(root.rglob("frame_*_pose.txt")):
        stem = pose.name.removesuffix("_pose.txt")
        names = (f"{stem}_rgb{suffix}" for suffix in (".png", ".jpg"))
        picture = next((p for p in map(pose.with_name, names) if p.is_file()), None)
        if picture is None:
            continue
        try:
            angles = _biwi_angles(pose)
        except (DataError, OSError) as error:
            problems.append((str(pose), error))
            continue
        yield _Row(str(picture.relative_to(root)), angles, pose.parent.name)


def _biwi_angles(path: Path) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees of the rotation matrix in a file's first three lines."""
    if not path.is_file():
        raise DataError("not a regular file")  # and opening it might wait forever
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(_BIWI_CHARACTERS).splitlines()[:3]
    try:
        rotation = np.array([line.split() for line in lines], float)
        if rotation.shape != (3, 3) or not np.isfinite(rotation).all():
            raise ValueError
    except ValueError:
        raise DataError("it does not begin with a rotation matrix") from None
    # As BIWI's users read its matrix: the transpose is Rz(roll) Ry(yaw) Rx(pitch).
    r = rotation.T
    roll = -math.atan2(r[1, 0], r[0, 0])
    yaw = -math.atan2(-r[2, 0], math.hypot(r[2, 1], r[2, 2]))
    pitch = math.atan2(r[2, 1], r[2, 2])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
