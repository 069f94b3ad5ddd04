"""The columns of a table of faces: names, types and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from facecycle_cli.errors import SettingsError
from facecycle_cli.faces.topology import IBUG_68, MESH_468
from facecycle_cli.model import FaceCycle

__all__ = ["KEYS", "NETWORK_COLUMNS", "SOURCE", "Column", "choose_columns", "vector_size"]

SOURCE = "source"
"""The first column, the only one of text: the name of the file that the face is in."""

KEYS = (SOURCE, "frame", "time", "face")
"""Columns that say which face a row is of. Every table has them."""

NETWORK_COLUMNS = ("identity_code", "expression_code", "verification_vector")
"""Columns that the networks make; all others are measured in the picture."""

_POINTS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
_LANDMARKS = {"mesh": MESH_468.count, "face-alignment": IBUG_68.count}


@dataclass(frozen=True)
class Column:
    """One column of numbers.

    Attributes:
        name: of the column.
        shape: of the value in one row; () for a single number.
        labels: a name for each of its ``size`` numbers, where a table has single numbers only.
        dtype: of the numbers, as numpy names it.
    """

    name: str
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    dtype: str = "<f4"

    @property
    def size(self) -> int:
        """How many numbers a row has."""
        return prod(self.shape)

    @property
    def headings(self) -> tuple[str, ...]:
        """The names of its numbers."""
        return self.labels or (self.name,)


def choose_columns(
    model: FaceCycle, only: Sequence[str] | None = None, landmarks: str | None = None
) -> tuple[Column, ...]:
    """The columns of numbers, in the order of the table.

    Args:
        model: the networks, which say how long their vectors are.
        only: names of the wanted columns besides :data:`KEYS`; None: all.
        landmarks: the face backend whose landmarks are wanted; None: none.

    Raises:
        SettingsError: there is no such column.
    """
    columns = _all_columns(model, landmarks)
    if only is None:
        return columns
    unknown = [name for name in only if name not in KEYS and name not in {c.name for c in columns}]
    if unknown:
        known = ", ".join(column.name for column in columns if column.name not in KEYS)
        hint = " (it needs --landmarks)" if unknown[0] == "landmarks" else ""
        raise SettingsError(f"no column is named {unknown[0]!r}{hint}; there are: {known}")
    return tuple(c for c in columns if c.name in KEYS or c.name in only)


def vector_size(model: FaceCycle) -> int:
    """Length of the verification vector."""
    return model.verifier.size or model.config.verifier_inputs


def _all_columns(model: FaceCycle, landmarks: str | None) -> tuple[Column, ...]:
    code, vector = model.config.code_size, vector_size(model)
    xy = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")
    columns = [
        Column("frame", dtype="<i8"),
        Column("time", dtype="<f8"),
        Column("face", dtype="<i8"),
        _vector("identity_code", code),
        _vector("expression_code", code),
        _vector("verification_vector", vector),
        *map(Column, ("yaw", "pitch", "roll")),
        Column("five_points", (5, 2), xy),
        Column("box", (4,), ("box_x0", "box_y0", "box_x1", "box_y1")),
        *map(Column, ("mouth_opening", "eye_opening_left", "eye_opening_right")),
        *map(Column, ("sharpness", "detector_score")),
    ]
    if landmarks is not None:
        count = _LANDMARKS[landmarks]
        labels = tuple(f"landmark_{i}_{axis}" for i in range(count) for axis in "xyz")
        columns.append(Column("landmarks", (count, 3), labels))
    return tuple(columns)


def _vector(name: str, size: int) -> Column:
    return Column(name, (size,), tuple(f"{name}_{i}" for i in range(size)))
