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
        regions = [Region.from_box(d.box, d.points[:2]) for d in flat]
        landmarks, _ = self._mesh.locate(pictures, regions)
        # A second look, placed by the first one's landmarks: the detector's box is too coarse a
        # frame for the mesh, which was trained on frames placed by itself.
        regions = [Region.from_landmarks(points) for points in landmarks]
        landmarks, presence = self._mesh.locate(pictures, regions)
        faces: list[list[Face]] = [[] for _ in images]
        for owner, d, points, sure in zip(owners, flat, landmarks, presence, strict=True):
            if sure >= self.min_presence:
                faces[owner].append(Face(d.box, d.score, points, float(sure)))
        return faces
