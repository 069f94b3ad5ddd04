"""The default backend: YuNet finds the faces, MediaPipe's mesh measures them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecycle_cli.faces.detector import FaceDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.mesh import FaceMesh, Region

__all__ = ["MeshBackend"]


class MeshBackend:
    """Faces with 468 landmarks, on the CPU, with nothing to download.

    Args:
        threads: CPU threads of one call; None: all cores.
        min_presence: what the mesh network believes less than this to be a face is dropped.
    """

    name = "mesh"

    def __init__(self, *, threads: int | None = None, min_presence: float = 0.5) -> None:
        self.min_presence = min_presence
        self._detector = FaceDetector(threads=threads)
        self._mesh = FaceMesh(threads=threads)

    def detect(self, images: Sequence[np.ndarray], *, min_face: int = 24) -> list[list[Face]]:
        """All faces of each picture (RGB uint8, (H, W, 3), sizes may differ), largest first."""
        detections = self._detector.detect(images, min_face=min_face)
        owners = [i for i, found in enumerate(detections) for _ in found]
        flat = [d for found in detections for d in found]
        pictures = [images[i] for i in owners]
        landmarks, _ = self._mesh.locate(
            pictures, [Region.from_box(d.box, d.points[:2]) for d in flat]
        )
        # A second pass, placed by the landmarks of the first: the mesh was trained on regions
        # placed by itself, and the detector's box is a coarser frame. It halves the jitter of the
        # eyes.
        landmarks, presence = self._mesh.locate(pictures, _regions(landmarks))
        faces: list[list[Face]] = [[] for _ in images]
        for owner, d, points, sure in zip(owners, flat, landmarks, presence, strict=True):
            if sure >= self.min_presence:
                faces[owner].append(Face(d.box, d.score, points, float(sure)))
        return faces

    def follow(
        self, images: Sequence[np.ndarray], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """The same faces in later pictures, without detection: for the next frame of a video.

        Args:
            images: RGB uint8 (H, W, 3).
            previous: the face to follow into `images[i]`, as found a frame earlier; None where
                there is none.

        Returns:
            The face in each picture, its box moved along with its landmarks; None where it was
            lost.
        """
        followed: list[Face | None] = [None] * len(images)
        pairs = zip(images, previous, strict=True)
        known = [(i, image, face) for i, (image, face) in enumerate(pairs) if face is not None]
        landmarks, presence = self._mesh.locate(
            [image for _, image, _ in known], _regions([face.landmarks for *_, face in known])
        )
        for (i, _, face), points, sure in zip(known, landmarks, presence, strict=True):
            if sure >= self.min_presence and np.isfinite(points).all():
                box = _move_box(face, points)
                followed[i] = Face(box, face.score, points, float(sure))
        return followed


def _regions(landmarks: Sequence[np.ndarray] | np.ndarray) -> list[Region]:
    return [Region.from_landmarks(points) for points in landmarks]


def _move_box(face: Face, landmarks: np.ndarray) -> np.ndarray:
    """The detector's box around the face, shifted and scaled as the landmarks were since."""
    before, after = face.landmarks[:, :2], landmarks[:, :2]
    old, new = before.mean(0), after.mean(0)
    scale = np.sqrt(((after - new) ** 2).sum() / ((before - old) ** 2).sum())
    corners = (face.box.reshape(2, 2) - old) * scale + new
    return corners.reshape(4).astype(np.float32)
