"""Faces of a video in crops that do not tremble: aligned as in a photograph, and held steady.

Aligned frame by frame by its five points, a crop seems to nod with every word, because two of the
points are corners of the mouth. Here the five points are those of the person at rest, posed as the
head is in each frame; the head's pose is smoothed over time, and so are the landmarks and the
networks' flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecycle_cli.faces import Alignment, Face
from facecycle_cli.faces.following import Sighting
from facecycle_cli.faces.smoothing import Signal, smoothed_groups
from facecycle_cli.faces.topology import Topology
from facecycle_cli.portrait.correction import near_mouth
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.portraits import wide_crop
from facecycle_cli.types import RGBImage

__all__ = ["SteadyFace", "smoothed_faces", "steady_faces"]

_POSE_SECONDS, _LANDMARK_SECONDS, _FLOW_SECONDS = 0.14, 0.2, 0.2
"""Standard deviation of the temporal smoothing: of the head's pose in the frame, of the landmarks
in the crop, and of the networks' flow."""

_RIGID_TOLERANCE, _SKIN_TOLERANCE, _EDGE_TOLERANCE = 0.05, 0.03, 0.01
"""Distances between the eyes: of landmarks that no expression moves much, of the others, and of
those around mouth and eyes. Landmarks of a still face tremble by about 0.01; lips that speak move
by several times as much from frame to frame, and must close as far as they part."""

_FLOW_TOLERANCE = 0.02
"""Grid units. Flows of a still face differ from frame to frame by about a quarter of it."""

_REST_SECONDS = 1.0
"""Over about this time the mean of a face's shape is taken as that at rest."""

_TRACKS = 64
"""The shapes of so many tracks are remembered."""


@dataclass(frozen=True)
class _Posed:
    """A face in a frame.

    Attributes:
        image: the frame, (H, W, 3) uint8.
        face: as it was found.
        track: the same number as long as it is the same face in the same shot.
        head: its pose and shape; the pose is smoothed later.
    """

    image: RGBImage
    face: Face
    track: int
    head: Head

    def signals(self) -> Sequence[Signal]:
        """The place of the head; its angles and its size."""
        return self.head.pose_signals()

    def with_signals(self, values: Sequence[np.ndarray]) -> _Posed:
        """The same with another place, other angles and another size."""
        center, turned = values
        return replace(self, head=self.head.with_pose(center, turned))


@dataclass(frozen=True)
class SteadyFace:
    """A face in its steady crop.

    Attributes:
        face: as it was found in the frame.
        track: the same number as long as it is the same face in the same shot.
        alignment: from the frame to the crop.
        wide: the crop with the frame around it, see :func:`.wide_crop`.
        points: (N, 3) float32, the landmarks in pixels of the crop; smoothed later.
        flow: (2, h, w) float32, of the networks; smoothed later.
    """

    face: Face
    track: int
    alignment: Alignment
    wide: RGBImage
    points: np.ndarray
    flow: np.ndarray

    @classmethod
    def of(cls, posed: _Posed, alignment: Alignment) -> SteadyFace:
        """A face, cut out by an alignment; its flow is not known yet."""
        landmarks = posed.face.landmarks
        points = np.column_stack(
            [alignment.apply(landmarks[:, :2]), landmarks[:, 2] * _scale(alignment)]
        )
        wide = wide_crop(posed.image, alignment)
        nothing = np.empty((2, 0, 0), np.float32)
        return cls(posed.face, posed.track, alignment, wide, points.astype(np.float32), nothing)

    @property
    def crop(self) -> RGBImage:
        """(S, S, 3) uint8."""
        margin = (len(self.wide) - self.alignment.size) // 2
        inner = slice(margin, margin + self.alignment.size)
        return self.wide[inner, inner]

    def signals(self) -> Sequence[Signal]:
        """Landmarks and flow."""
        eyes = self.face.topology.five_points(self.points[:, :2])[:2]
        unit = max(1.0, float(np.linalg.norm(eyes[1] - eyes[0])))
        return (
            Signal(self.points, unit * _tolerances(self.points, self.face.topology), by_row=True),
            Signal(self.flow, _FLOW_TOLERANCE),
        )

    def with_signals(self, values: Sequence[np.ndarray]) -> SteadyFace:
        """The same with others."""
        points, flow = values
        return replace(self, points=points, flow=flow)

    def in_frame(self) -> Face:
        """The face with its smoothed landmarks, in pixels of the frame."""
        flat = self.alignment.apply_inverse(self.points[:, :2])
        landmarks = np.column_stack([flat, self.points[:, 2] / _scale(self.alignment)])
        return replace(self.face, landmarks=landmarks.astype(np.float32))


def steady_faces(
    frames: Iterable[Sequence[Sighting]], size: int, fps: float
) -> Iterator[list[SteadyFace]]:
    """Cut the faces out of each frame.

    Args:
        frames: the faces of each.
        size: side of the crops in pixels.
        fps: frames per second.

    Raises:
        FaceError: a face cannot be aligned.
    """
    rest = _RestingPoints(max(1.0, _REST_SECONDS * fps))
    posed = (
        [_Posed(seen.image, seen.face, seen.track, Head.of(seen.face)) for seen in frame]
        for frame in frames
    )
    width = _POSE_SECONDS * fps
    for faces in smoothed_groups(posed, [width, width]):
        yield [SteadyFace.of(each, Alignment.from_points(rest.posed(each), size)) for each in faces]


def smoothed_faces(
    frames: Iterable[Sequence[SteadyFace]], fps: float
) -> Iterator[list[SteadyFace]]:
    """The same faces with their landmarks and flows smoothed over time."""
    return smoothed_groups(frames, [_LANDMARK_SECONDS * fps, _FLOW_SECONDS * fps])


class _RestingPoints:
    """The five points of each track's face at rest.

    Args:
        frames: about so many of the last ones count.
    """

    def __init__(self, frames: float) -> None:
        self._frames = frames
        self._means: dict[int, tuple[int, np.ndarray]] = {}

    def posed(self, face: _Posed) -> np.ndarray:
        """They are posed as the head is in the frame: (5, 2), pixels."""
        head = face.head
        topology = face.face.topology
        own = topology.five_points(head.shape)
        count, mean = self._means.pop(face.track, (0, own))
        mean = mean + (own - mean) / min(count + 1, self._frames)
        self._means[face.track] = count + 1, mean
        if len(self._means) > _TRACKS:  # the one that was not seen for the longest time
            del self._means[next(iter(self._means))]
        return replace(head, shape=mean).points


def _tolerances(points: np.ndarray, topology: Topology) -> np.ndarray:
    """(N,), of each landmark (N, 3), in distances between the eyes."""
    tolerances = np.full(topology.count, _SKIN_TOLERANCE)
    tolerances[[*np.ravel(topology.pairs), *topology.upper, *topology.lower]] = _RIGID_TOLERANCE
    tolerances[near_mouth(points[:, :2], topology)] = _EDGE_TOLERANCE
    tolerances[np.ravel([*topology.left_lids, *topology.right_lids])] = _EDGE_TOLERANCE
    return tolerances


def _scale(alignment: Alignment) -> float:
    return float(np.sqrt(abs(np.linalg.det(alignment.matrix[:, :2]))))
