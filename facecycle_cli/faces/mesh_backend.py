"""The default backend: YuNet finds the faces, MediaPipe's mesh measures them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecycle_cli.faces.detector import FaceDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.mesh import FaceMesh, Region
from facecycle_cli.types import RGBImage

__all__ = ["MeshBackend"]

_MORE_PASSES = 3
"""Most passes of the mesh over one face after the first one; most faces need none."""

_FOLLOWED_AVERAGED_BELOW = 0.5
"""The scale from which down pixels are averaged where a face is followed: it takes a third of the
time, and faces lie as steady."""


class MeshBackend:
    """Faces with 468 landmarks, on the CPU, with nothing to download.

    A :class:`~facecycle_cli.faces.FaceBackend`.

    Args:
        threads: CPU threads of one call; None: all cores.
        min_presence: a face whose presence (0 to 1, of the mesh network) is lower is dropped.
    """

    def __init__(self, *, threads: int | None = None, min_presence: float = 0.5) -> None:
        self.name = "mesh"
        self.min_presence = min_presence
        self._detector = FaceDetector(threads=threads)
        self._mesh = FaceMesh(threads=threads)

    def prepare(self) -> None:
        """Open both networks now.

        Raises:
            FaceError: a shipped file is missing or damaged.
        """
        self._detector.network.open()
        self._mesh.network.open()

    def detect(
        self, images: Sequence[RGBImage], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture, largest first.

        Without ``refine`` the mesh measures each face once: landmarks are then off by about half a
        percent of the face's width.
        """
        detections = self._detector.detect(images, min_face=min_face)
        owners = [i for i, found in enumerate(detections) for _ in found]
        flat = [d for found in detections for d in found]
        landmarks, presence = self._measure(
            [images[i] for i in owners],
            [Region.from_box(d.box, d.points[:2]) for d in flat],
            refine=refine,
        )
        faces: list[list[Face]] = [[] for _ in images]
        for owner, d, points, sure in zip(owners, flat, landmarks, presence, strict=True):
            if sure >= self.min_presence and np.isfinite(points).all():
                faces[owner].append(Face(d.box, d.score, points, float(sure)))
        return faces

    def follow(
        self, images: Sequence[RGBImage], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """The same faces in other frames, measured where their landmarks were."""
        followed: list[Face | None] = [None] * len(images)
        pairs = zip(images, previous, strict=True)
        known = [(i, image, face) for i, (image, face) in enumerate(pairs) if face is not None]
        landmarks, presence = self._mesh.locate(
            [image for _, image, _ in known],
            [Region.from_landmarks(face.landmarks) for *_, face in known],
            averaged_below=_FOLLOWED_AVERAGED_BELOW,
        )
        for (i, _, face), points, sure in zip(known, landmarks, presence, strict=True):
            if sure >= self.min_presence and np.isfinite(points).all():
                box = Region.from_landmarks(points).box
                followed[i] = Face(box, face.score, points, float(sure))
        return followed

    def _measure(
        self, images: Sequence[RGBImage], regions: list[Region], *, refine: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks of the face near each region, and their presence.

        The mesh was trained on regions around its own landmarks. The detector's box is a coarser
        frame, and its eyes hardly show the tilt of a head. So each region is moved to the landmarks
        that were found in it, until it stays; without ``refine`` only where the first look shows no
        face. It is a face if the first look or the last one says so, with or without ``refine``.
        """
        landmarks, presence = self._mesh.locate(images, regions)
        first, first_presence = landmarks.copy(), presence.copy()
        moving = [i for i, sure in enumerate(presence) if refine or sure < self.min_presence]
        for _ in range(_MORE_PASSES):
            moving = [i for i in moving if np.isfinite(landmarks[i]).all()]
            moved = {i: Region.from_landmarks(landmarks[i]) for i in moving}
            moving = [i for i in moving if not moved[i].close_to(regions[i])]
            for i in moving:
                regions[i] = moved[i]
            landmarks[moving], presence[moving] = self._mesh.locate(
                [images[i] for i in moving], [regions[i] for i in moving]
            )
        lost = (presence < self.min_presence) & (first_presence >= self.min_presence)
        landmarks[lost], presence[lost] = first[lost], first_presence[lost]
        return landmarks, presence
