"""One face, measured: what its landmarks say, and the crops that the networks take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.media.listing import finite
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops, whole_crop
from facecycle_cli.preprocess.crops import sharpness
from facecycle_cli.types import RGBImage

__all__ = ["CROP_SIDE", "FaceRecord", "Measurer"]

CROP_SIDE = 128
"""Side in pixels of the crop whose sharpness is measured, as ``facecycle preprocess`` writes it."""


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """A face before the networks have seen it.

    Attributes:
        frame: number of the frame; 0 for a picture.
        time: of the frame in its video, seconds; NaN for a picture.
        face: number of the face in its picture or video, from 1.
        code_crop: (S, S, 3) uint8, for the codes.
        vector_crop: (E, E, 3) uint8, for the verification vector.
        measures: column -> number or array; what is not known is missing.
    """

    frame: int
    time: float
    face: int
    code_crop: RGBImage
    vector_crop: RGBImage
    measures: Mapping[str, Any] = field(default_factory=dict)


class Measurer:
    """Measures faces.

    Args:
        model: the networks, which say how large their crops are.
        landmarks: whether all landmarks are wanted.
    """

    def __init__(self, model: FaceCycle, *, landmarks: bool) -> None:
        self._sides = model.config.image_size, model.verifier.side
        self._landmarks = landmarks
        self._read = LandmarkReader()

    def found(
        self,
        image: RGBImage,
        face: Face,
        number: int,
        *,
        frame: int = 0,
        time: float = np.nan,
        enlarge: np.ndarray | None = None,
    ) -> FaceRecord:
        """A face that was found in a picture or frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            face: found in it.
            number: of the face, from 1.
            frame, time: of the frame.
            enlarge: (x, y), size of the video's own frames over that of ``image``; None: the same.

        Raises:
            FaceError: its points coincide.
        """
        alignment = Alignment.from_face(face, CROP_SIDE)
        crops = [alignment.scaled(side).crop(image) for side in self._sides]
        measures = {
            **_of_landmarks(face),
            "box": face.box,
            "sharpness": sharpness(alignment.crop(image)),
            "detector_score": face.score,
        }
        if self._landmarks:
            measures["landmarks"] = face.landmarks
        if enlarge is not None:
            _enlarge(measures, enlarge)
        return FaceRecord(frame, time, number, crops[0], crops[1], measures)

    def aligned(
        self,
        image: RGBImage,
        entry: Mapping[str, Any],
        landmarks: NDArray[Any] | None = None,
    ) -> FaceRecord:
        """A crop that is aligned already.

        Args:
            image: (H, W, 3) uint8 RGB; its middle square is the crop.
            entry: what the index of preprocess says of it; empty: nothing.
            landmarks: those of the file beside it, (468, 3) in fractions of its side; None: the
                mesh finds them if they are wanted.

        Raises:
            ValueError: a value in ``entry`` is not what the index holds.
        """
        square = whole_crop(image, min(image.shape[:2]))
        crops = [resize_crops(square[None], side)[0] for side in self._sides]
        measures: dict[str, Any] = {}
        if self._landmarks and landmarks is None:
            landmarks = self._read(square)
        if landmarks is not None:
            measures |= self._of_landmarks(landmarks, square.shape[0], entry)
        if "sharpness" not in entry:
            measures["sharpness"] = sharpness(resize_crops(square[None], CROP_SIDE)[0])
        measures |= _of_entry(dict(entry))
        frame, time = (finite(dict(entry), name) for name in ("frame", "time"))
        return FaceRecord(
            int(frame or 0), np.nan if time is None else time, 1, crops[0], crops[1], measures
        )

    def _of_landmarks(
        self, landmarks: NDArray[Any], side: int, entry: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the landmarks of a crop say, in pixels of the photograph if ``entry`` knows where
        the crop lies in it, else in pixels of the crop.
        """
        points = np.asarray(landmarks * side, np.float32)
        points[:, :2] -= 0.5
        face = Face(np.full(4, np.nan, np.float32), np.nan, points, 1.0, MESH_468)
        measures = _of_landmarks(face)
        matrix = _numbers(entry, "alignment", (2, 3))
        if matrix is not None:
            alignment = Alignment(matrix.astype(np.float64), side)
            scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
            there = alignment.apply_inverse(points[:, :2].astype(np.float64))
            points = np.column_stack([there, points[:, 2] / max(scale, 1e-9)])
            measures["five_points"] = MESH_468.five_points(points[:, :2])
        return {**measures, "landmarks": points} if self._landmarks else measures


def _of_landmarks(face: Face) -> dict[str, Any]:
    pose, (left, right) = face.pose, face.eye_openings
    return {
        "yaw": pose.yaw,
        "pitch": pose.pitch,
        "roll": pose.roll,
        "five_points": face.five_points,
        "mouth_opening": face.mouth_opening,
        "eye_opening_left": left,
        "eye_opening_right": right,
    }


def _enlarge(measures: dict[str, Any], enlarge: np.ndarray) -> None:
    """Turn pixels of a decoded frame into those of the video."""
    # Pixel centers are at integers: own + 0.5 = (decoded + 0.5) * enlarge.
    measures["five_points"] = (measures["five_points"] + 0.5) * enlarge - 0.5
    measures["box"] = (measures["box"] + 0.5) * np.tile(enlarge, 2) - 0.5
    if "landmarks" in measures:
        points = measures["landmarks"].copy()
        points[:, :2] = (points[:, :2] + 0.5) * enlarge - 0.5
        points[:, 2] *= enlarge.mean()
        measures["landmarks"] = points


def _of_entry(entry: dict[str, Any]) -> dict[str, Any]:
    names = {name: name for name in ("yaw", "pitch", "roll", "sharpness")}
    names["detector_score"] = "score"
    measures: dict[str, Any] = {}
    for column, name in names.items():
        value = finite(entry, name)
        if value is not None:
            measures[column] = value
    points = _numbers(entry, "points", (5, 2))
    if points is not None:
        measures["five_points"] = points
    return measures


def _numbers(entry: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """An array of the index; None if it has none.

    Raises:
        ValueError: it is something else.
    """
    if entry.get(name) is None:
        return None
    try:
        values = np.array(entry[name], np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{name} must be {' x '.join(map(str, shape))} numbers")
    return values
