"""The faces of one source to crops: aligned, cut out, encoded and described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.alignment import mean_five_points, steady_alignments
from facecycle_cli.faces.crop_landmarks import encode_landmarks, landmarks_in_crop
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.media import encode_image
from facecycle_cli.preprocess.index import to_line
from facecycle_cli.preprocess.settings import PreprocessSettings
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.types import RGBImage

__all__ = ["CropWriter", "FaceSample", "Sink", "sharpness", "take_sample"]

_MARGIN = 0.3
"""Kept around a crop until its alignment is final, in sides of the crop."""


class Sink(Protocol):
    """Takes the encoded crops of one source."""

    def add(self, name: str, data: bytes, line: str, landmarks: bytes | None) -> None:
        """Take one crop.

        Args:
            name: path below the source's target; empty if the target is the picture itself.
            data: the encoded picture.
            line: its line of the index.
            landmarks: the file with its landmarks; None: there is none.
        """
        ...

    def clear(self) -> None:
        """Remove everything added: the source is read again from its beginning."""
        ...


@dataclass(frozen=True, slots=True)
class FaceSample:
    """A face in one frame, kept until its track is aligned.

    Attributes:
        frame: number of the frame, from 0.
        face: in pixels of the whole frame.
        region: the part of the frame around the face.
        corner: (x, y) of the region in the frame.
    """

    frame: int
    face: Face
    region: RGBImage
    corner: np.ndarray


class CropWriter:
    """Aligns tracks, cuts out their crops, encodes and describes them.

    Attributes:
        lines: of the index, one for each crop: its path and the line.
        tracks: numbers of the tracks that have crops.
    """

    segment = 256
    """Frames that are aligned together. So many regions of faces are held in memory."""

    def __init__(self, source: Source, settings: PreprocessSettings, sink: Sink) -> None:
        self._source = source
        self._size = settings.size
        self._landmarks = settings.landmarks
        self._sink = sink
        self.restart(np.ones(2), None, 0.0)

    def restart(self, enlarge: np.ndarray, fps: float | None, smoothing: float) -> None:
        """Begin the source, or begin it again.

        Args:
            enlarge: (x, y), size of the source's own frames over that of the decoded frames.
            fps: frames per second; None: the frames have no time.
            smoothing: of the alignments, in frames.
        """
        self._enlarge = enlarge
        self._fps = fps
        self._smoothing = smoothing
        self.lines: list[tuple[str, str]] = []
        self.tracks: set[int] = set()
        self._waiting: list[tuple[int, list[FaceSample]]] = []
        self._eyes_at: dict[int, np.ndarray] = {}  # track -> five points in the crop
        self._sink.clear()

    def add_track(
        self, track: int, samples: list[FaceSample], names: list[str] | None = None
    ) -> None:
        """Add a track, or the next part of it.

        If the tree promises one person, its tracks wait for each other: then its eyes stay where
        the mean over all tracks puts them.

        Args:
            track: its number, from 0.
            samples: its faces, in the order of the frames.
            names: of all pictures by frame number; None: the frame number is the name.
        """
        self.tracks.add(track)
        self._waiting.append((track, samples))
        if self._source.numbered or self._count_waiting() >= self.segment:
            self.write_waiting(names)

    def write_waiting(self, names: list[str] | None = None) -> None:
        """Write the crops of the tracks that wait."""
        if not self._waiting:
            return
        person = self._waiting[0][0] if self._source.numbered else 0
        if person not in self._eyes_at:
            points = [s.face.five_points for _, samples in self._waiting for s in samples]
            self._eyes_at[person] = mean_five_points(np.stack(points), self._size)
        for track, samples in self._waiting:
            self._write_track(track, samples, self._eyes_at[person], names)
        self._waiting = []

    def _count_waiting(self) -> int:
        return sum(len(samples) for _, samples in self._waiting)

    def _write_track(
        self, track: int, samples: list[FaceSample], target: np.ndarray, names: list[str] | None
    ) -> None:
        points = np.stack([sample.face.five_points for sample in samples])
        frames = np.array([sample.frame for sample in samples])
        alignments = steady_alignments(
            points, frames, self._size, target=target, smoothing=self._smoothing
        )
        folder = f"{track + 1:04d}/" if self._source.numbered else ""
        for sample, alignment in zip(samples, alignments, strict=True):
            shifted = alignment.matrix.copy()
            shifted[:, 2] += shifted[:, :2] @ sample.corner
            crop = Alignment(shifted, self._size).crop(sample.region)
            name = names[sample.frame] if names else f"{sample.frame:06d}"
            self._write(f"{folder}{name}.jpg", crop, alignment, sample.face, sample.frame)

    def add_photo(self, image: RGBImage, faces: list[Face]) -> None:
        """Write the crops of a photograph's faces, each of which is a track of its own."""
        for track, face in enumerate(faces):
            alignment = Alignment.from_face(face, self._size)
            stem = self._source.target.rpartition("/")[2]
            name = f"{track + 1:04d}/{stem}.jpg" if self._source.numbered else ""
            self._write(name, alignment.crop(image), alignment, face, 0)
            self.tracks.add(track)

    def _write(
        self, name: str, crop: RGBImage, alignment: Alignment, face: Face, frame: int
    ) -> None:
        target = self._source.target
        path = f"{target}/{name}" if name else f"{target}.jpg"
        identity, *video, clip, _ = path.split("/")
        # Pixel centers are at integers: own + 0.5 = (decoded + 0.5) * enlarge.
        matrix = alignment.matrix.copy()
        matrix[:, :2] /= self._enlarge
        matrix[:, 2] += matrix[:, :2] @ (0.5 - 0.5 * self._enlarge)
        points = (face.five_points + 0.5) * self._enlarge - 0.5
        pose = face.pose
        record: dict[str, Any] = {
            "path": path,
            "source": self._source.id,
            "identity": identity,
            "video": "/".join(video),
            "clip": clip,
            "frame": frame,
            "time": None if self._fps is None else round(frame / self._fps, 4),
            "alignment": np.round(matrix, 6).tolist(),
            "points": np.round(points.astype(np.float64), 2).tolist(),
            "yaw": round(pose.yaw, 2),
            "pitch": round(pose.pitch, 2),
            "roll": round(pose.roll, 2),
            "sharpness": round(sharpness(crop), 2),
            "score": round(float(face.score), 4),
        }
        line = to_line(record)
        data = encode_image(crop, format="jpg", provenance=None)
        landmarks = None
        if self._landmarks and face.topology is MESH_468:
            landmarks = encode_landmarks(landmarks_in_crop(face, alignment))
        self._sink.add(name, data, line, landmarks)
        self.lines.append((path, line))


def sharpness(crop: RGBImage) -> float:
    """Variance of the Laplacian of a crop's luma (0..255).

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR
    2000.
    """
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(luma, cv2.CV_32F).var())


def take_sample(image: RGBImage, face: Face, frame: int) -> FaceSample:
    """Copy the part of the frame that any alignment of this face may need, and no more."""
    side = 1.0 + 2 * _MARGIN
    square = Alignment.from_face(face, 64)
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]]) * (32 * side) + 31.5
    corners = square.apply_inverse(corners)
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(0)), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(0)) + 1, (x0 + 1, y0 + 1), (width, height)).astype(int)
    return FaceSample(frame, face, image[y0:y1, x0:x1].copy(), np.array([x0, y0], np.float64))
