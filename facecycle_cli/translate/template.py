"""A motion as a file: what was measured of the source's face.

An ``.npz`` with one row for each frame. Any picture can perform it again, without the video that it
was taken from. The points of the face are in it (its shape, as a motion has it), and of its pixels
those between its lips.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from facecycle_cli import __version__, weights
from facecycle_cli.errors import DataError, MediaError
from facecycle_cli.faces import Face
from facecycle_cli.faces.gaze import Gaze
from facecycle_cli.faces.topology import IBUG_68, MESH_468, Topology
from facecycle_cli.media.arrays import (
    ArrayKind,
    BytesKind,
    Kind,
    Row,
    RowWriter,
    has_array,
    read_rows,
    read_small_array,
)
from facecycle_cli.media.images import encode_image, read_small_image
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.inside import MouthPatch
from facecycle_cli.system import atomic_path, parse_json
from facecycle_cli.text import json_text
from facecycle_cli.translate.appearance import Appearance
from facecycle_cli.translate.lids import upper_lids
from facecycle_cli.translate.measurement import Measurement
from facecycle_cli.translate.placement import HeadPlacement
from facecycle_cli.translate.template_checks import require_face, require_mouth, require_numbers
from facecycle_cli.types import RGBImage

__all__ = ["MotionRecorder", "MotionTemplate"]

_FORMAT, _VERSION = "facecycle motion", 1

_ABOUT_BYTES = 1 << 16
"""Most bytes of what the file says about itself."""

_NO_FACE = -1
"""The track of a frame without a face."""

_TOPOLOGIES = {topology.count: topology for topology in (MESH_468, IBUG_68)}

_MOST_FPS = 1000

_MOUTH_QUALITY = 95
"""Of the WebP pictures of the mouth."""

_MOUTH_BYTES = 1 << 16
"""The most of one of them. An open mouth has about 2,500."""

_MOUTH_SIDE = 256
"""Its longest side in pixels."""

_BESIDE_LIPS = 8
"""Pixels around the inner edges of the lips that are kept: edges are soft."""

_LIPS_SHADE, _LIPS_SHADE_ENDS = 0.35, 0.3
"""How much darker a typical mouth is at the edge of the upper lip, and the part of its opening
below that at which this ends."""

_CHEEKS_SHADE, _CHEEKS_SHADE_REACH = 0.5, (0.2, 1.0)
"""The same at the corners, and where that begins and ends, in half widths from the middle."""


def _kinds(landmarks: int, flow_size: int, *, mouth: bool = True) -> dict[str, Kind]:
    lips = len(_TOPOLOGIES[landmarks].upper_lip)
    inside: dict[str, Kind] = {
        "skin": ArrayKind("<f4", (3,)),
        "lip_color": ArrayKind("<f4", (3,)),
        "lips": ArrayKind("<f4", (2, lips, 2)),
        "mouth": BytesKind(_MOUTH_BYTES),
    }
    return (inside if mouth else {}) | {
        "track": ArrayKind("<i4"),
        "landmarks": ArrayKind("<f4", (landmarks, 3)),
        "box": ArrayKind("<f4", (4,)),
        "score": ArrayKind("<f4"),
        "presence": ArrayKind("<f4"),
        "placement": ArrayKind("<f8", (4,)),
        "backflow": ArrayKind("<f4", (2, flow_size, flow_size)),
        "light": ArrayKind("<f4", (landmarks,)),
        "gaze": ArrayKind("<f8", (3,)),
    }


@dataclass(frozen=True)
class MotionTemplate:
    """A file with a motion.

    Files of older versions have no mouth, and anybody may delete it: ``mouth``.

    Attributes:
        path: of the file.
        fps: frames per second.
        still: whether it is the motion of a picture, which is its own reference.
        checkpoint: SHA-256 of the networks' file; None: they were of none.
        frames: how many there are.
        landmarks: number of landmarks of a face.
        flow_size: side of the networks' flow.
        has_mouth: whether the inside of the source's mouth is in it; otherwise it is a typical one.
    """

    path: str
    fps: Fraction
    still: bool
    checkpoint: str | None
    frames: int
    landmarks: int
    flow_size: int
    has_mouth: bool

    @classmethod
    def open(cls, path: str | PathLike[str]) -> MotionTemplate:
        """Read what a file says about itself.

        Raises:
            DataError: it is no such file, or damaged.
            OSError: it cannot be opened.
        """
        try:
            about = parse_json(read_small_array(path, "about", _ABOUT_BYTES).tobytes())
            has_mouth = has_array(path, "mouth")
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"no motion that --save-motion wrote ({error})") from None
        if not isinstance(about, dict) or about.get("format") != _FORMAT:
            raise DataError("no motion that --save-motion wrote")
        if about.get("version") != _VERSION:
            raise DataError("a motion of another version of facecycle")
        try:
            fps = Fraction(*map(int, about["fps"]))
            still, checkpoint = bool(about["still"]), about["checkpoint"]
            sizes = [int(about[name]) for name in ("frames", "landmarks", "flow_size")]
            known = checkpoint is None or isinstance(checkpoint, str)
            is_sane = 0 < fps <= _MOST_FPS and known and sizes[0] > 0 and 2 <= sizes[2] <= 1024
        except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
            is_sane = False
        if not is_sane or sizes[1] not in _TOPOLOGIES:
            raise DataError("damaged: it does not say what motion it is")
        frames, landmarks, flow_size = sizes
        return cls(str(path), fps, still, checkpoint, frames, landmarks, flow_size, has_mouth)

    def numbers(self) -> NDArray[np.int64]:
        """Where in the video each frame lies, (frames,), ascending; in between the last one holds.

        Raises:
            DataError: the file is damaged.
            OSError: it cannot be read.
        """
        try:
            numbers = read_small_array(self.path, "number", 8 * self.frames)
            is_sane = numbers.shape == (self.frames,) and numbers.dtype == np.int64
            if not is_sane or numbers[0] < 0 or (np.diff(numbers) <= 0).any():
                raise ValueError("its frames have no order")
        except ValueError as error:
            raise DataError(f"damaged: {error}") from None
        return numbers

    def measurements(self, first: int = 0, last: int | None = None) -> Iterator[Measurement | None]:
        """What was measured in the frames from ``first`` to before ``last``; None without a face.

        Raises:
            DataError: the file is damaged.
            OSError: it cannot be read.
        """
        topology = _TOPOLOGIES[self.landmarks]
        rows = read_rows(self.path, _kinds(self.landmarks, self.flow_size, mouth=self.has_mouth))
        try:
            with contextlib.closing(rows):
                for number, row in enumerate(rows):
                    if last is not None and number >= last:
                        return
                    if number >= first:
                        yield _measurement(row, topology)
        except ValueError as error:
            raise DataError(f"damaged: {error}") from None


class MotionRecorder:
    """Writes a motion while it is used. A context, which leaves nothing if it ends early.

    Args:
        path: of the file.
        fps: frames per second.
        still: whether it is the motion of a picture.
        checkpoint: SHA-256 of the networks' file.

    Attributes:
        numbers: where in its video each frame lies, ascending; empty: one after the other.
    """

    def __init__(
        self, path: str | PathLike[str], *, fps: Fraction, still: bool, checkpoint: str | None
    ) -> None:
        self._path = path
        self._about = {
            "format": _FORMAT,
            "version": _VERSION,
            "made_by": f"facecycle {__version__}",
            "fps": [fps.numerator, fps.denominator],
            "still": still,
            "checkpoint": checkpoint,
        }
        self._writer: RowWriter | None = None
        self.numbers: Sequence[int] = ()
        self._waiting = 0  # frames before the first face
        self._nothing: dict[str, NDArray[Any]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> MotionRecorder:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def taking(self, measured: Iterable[Measurement | None]) -> Iterator[Measurement | None]:
        """The same measurements, each of them recorded."""
        for each in measured:
            self.add(each)
            yield each

    def add(self, measured: Measurement | None) -> None:
        """Record one frame; None: it has no face.

        Raises:
            OSError: the disk is full.
        """
        if self._writer is None:
            if measured is None:
                self._waiting += 1
                return
            self._begin(measured)
        if self._writer is not None:
            self._writer.append(self._nothing if measured is None else _row(measured))

    def save(self) -> None:
        """Write the file; nothing if no frame had a face.

        Raises:
            OSError: it cannot be written.
        """
        if self._writer is None:
            return
        about = json_text({**self._about, "frames": self._writer.rows}).encode("ascii")
        with atomic_path(self._path) as temporary:
            numbers = self.numbers or range(self._writer.rows)
            places = np.array(numbers[: self._writer.rows], "<i8")
            beside = {"about": np.frombuffer(about, np.uint8), "number": places}
            self._writer.write(temporary, beside)

    def _begin(self, first: Measurement) -> None:
        landmarks, flow_size = len(first.face.landmarks), first.backflow.shape[-1]
        self._about |= {"landmarks": landmarks, "flow_size": flow_size}
        kinds = _kinds(landmarks, flow_size)
        self._nothing = {
            name: np.zeros(0, np.uint8)
            if isinstance(kind, BytesKind)
            else np.zeros(kind.shape, kind.dtype)
            for name, kind in kinds.items()
        }
        self._nothing["track"] = np.array(_NO_FACE)
        self._writer = self._stack.enter_context(RowWriter(kinds))
        for _ in range(self._waiting):
            self._writer.append(self._nothing)


def _row(measured: Measurement) -> Row:
    face, place, mouth = measured.face, measured.placement, _cut(measured.look.mouth)
    picture = encode_image(mouth.pixels, format="webp", provenance=None, quality=_MOUTH_QUALITY)
    return {
        "track": np.array(measured.track),
        "landmarks": face.landmarks,
        "box": face.box,
        "score": np.array(face.score),
        "presence": np.array(face.presence),
        "placement": np.array([place.center.real, place.center.imag, place.log_side, place.roll]),
        "backflow": measured.backflow,
        "light": measured.look.light,
        "gaze": measured.look.gaze.numbers,
        "skin": measured.look.skin,
        "lip_color": np.zeros(3) if mouth.lips is None else mouth.lips,
        "lips": np.stack([mouth.upper, mouth.lower]),
        "mouth": np.frombuffer(picture, np.uint8),
    }


def _measurement(row: Row, topology: Topology) -> Measurement | None:
    """One frame.

    Raises:
        ValueError: its numbers are not finite, or no face in any picture has them; or its mouth is
            no picture.
    """
    track = int(row["track"])
    if track == _NO_FACE:
        return None
    require_numbers(row)
    face = Face(row["box"], float(row["score"]), row["landmarks"], float(row["presence"]), topology)
    x, y, log_side, roll = map(float, row["placement"])
    head, inside = Head.of(face), _mouth(row) if "mouth" in row else _typical_mouth()
    require_face(head, complex(x, y), log_side)
    return Measurement(
        face,
        track,
        HeadPlacement(complex(x, y), log_side, roll),
        row["backflow"],
        face.mouth_opening,
        face.eye_opening,
        upper_lids(head.shape, topology),
        head,
        head,
        Appearance(inside.mouth, inside.skin, row["light"], Gaze.of(row["gaze"])),
    )


def _cut(mouth: MouthPatch) -> MouthPatch:
    """The part of it between the lips."""
    lips = np.concatenate([mouth.upper, mouth.lower])
    height, width = mouth.pixels.shape[:2]
    x0, y0 = np.maximum(np.floor(lips.min(0)).astype(int) - _BESIDE_LIPS, 0)
    x1, y1 = np.minimum(np.ceil(lips.max(0)).astype(int) + _BESIDE_LIPS + 1, (width, height))
    corner = np.array([x0, y0], np.float32)
    upper, lower = mouth.upper - corner, mouth.lower - corner
    return MouthPatch(mouth.pixels[y0:y1, x0:x1], upper, lower, mouth.lips)


def _mouth(row: Row) -> Appearance:
    """The source's own mouth, and its skin.

    Raises:
        ValueError: its mouth is no picture, or a larger one than any mouth, or without lips.
    """
    try:
        pixels = read_small_image(row["mouth"].tobytes(), _MOUTH_SIDE)
    except MediaError:
        raise ValueError("a mouth in it is no small picture") from None
    color = row["lip_color"] if row["lip_color"].any() else None
    upper, lower = row["lips"]
    mouth = MouthPatch(pixels, upper, lower, color)
    require_mouth(mouth)
    return Appearance(mouth, row["skin"], np.zeros(0, np.float32))


@cache
def _typical_mouth() -> Appearance:
    """Teeth and tongue of nobody, on a skin of that color."""
    arrays = load_file(weights.path("mouth.safetensors"))
    pixels = _shaded(arrays["pixels"], arrays["upper"], arrays["lower"])
    mouth = MouthPatch(pixels, arrays["upper"], arrays["lower"])
    return Appearance(mouth, arrays["skin"], np.zeros(0, np.float32))


def _shaded(pixels: RGBImage, upper: np.ndarray, lower: np.ndarray) -> RGBImage:
    """A mouth as it lies in the shadow of its lips and, towards the corners, of its cheeks."""
    rows, columns = np.indices(pixels.shape[:2])
    top, bottom = (np.interp(columns, *edge.T) for edge in (upper, lower))
    below = (rows - top) / np.maximum(bottom - top, 1)
    aside = np.abs(2 * (columns - upper[0, 0]) / (upper[-1, 0] - upper[0, 0]) - 1)
    lips = 1 - _LIPS_SHADE * (1 - smoothstep(below, 0, _LIPS_SHADE_ENDS))
    cheeks = 1 - _CHEEKS_SHADE * smoothstep(aside, *_CHEEKS_SHADE_REACH)
    return np.asarray(np.rint(pixels * (lips * cheeks)[..., None]), np.uint8)
