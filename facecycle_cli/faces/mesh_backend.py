"""The default backend: YuNet finds the faces, MediaPipe's mesh measures them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecycle_cli.faces.detector import FaceDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.mesh import FaceMesh, Region

__all__ = ["MeshBackend"]

_MORE_PASSES = 3  # of the mesh over one face, at most; most faces need one


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

    def prepare(self) -> None:
        """Read the networks now: in a thread, while something else takes its time."""
        self._detector.network.open()
        self._mesh.network.open()

    def detect(
        self, images: Sequence[np.ndarray], *, min_face: int = 24, settle: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture (RGB uint8, (H, W, 3), sizes may differ), largest first.

        Without ``settle`` the mesh looks once at each: landmarks are then off by half a percent of
        the face's width or so.
        """
        detections = self._detector.detect(images, min_face=min_face)
        owners = [i for i, found in enumerate(detections) for _ in found]
        flat = [d for found in detections for d in found]
        landmarks, presence = self._settle(
            [images[i] for i in owners],
            [Region.from_box(d.box, d.points[:2]) for d in flat],
            more=_MORE_PASSES if settle else 0,
        )
        faces: list[list[Face]] = [[] for _ in images]
        for owner, d, points, sure in zip(owners, flat, landmarks, presence, strict=True):
            if sure >= self.min_presence:
                faces[owner].append(Face(d.box, d.score, points, float(sure)))
        return faces

    def _settle(
        self, images: Sequence[np.ndarray], regions: list[Region], *, more: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks of the face near each region, and their presence.

        The mesh was trained on regions placed by its own landmarks; the detector's box is a coarser
        frame, and its eyes hardly show the tilt of a head. So each region is placed again by what
        was found in it, until it stays.
        """
        landmarks, presence = self._mesh.locate(images, regions)
        moving = list(range(len(regions)))
        for _ in range(more):
            placed = {i: Region.from_landmarks(landmarks[i]) for i in moving}
            moving = [i for i in moving if not placed[i].close_to(regions[i])]
            for i in moving:
                regions[i] = placed[i]
            landmarks[moving], presence[moving] = self._mesh.locate(
                [images[i] for i in moving], [regions[i] for i in moving]
            )
        return landmarks, presence

    def follow(
        self, images: Sequence[np.ndarray], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """The same faces in later pictures, without detection: for the next frame of a video.

        Args:
            images: RGB uint8 (H, W, 3).
            previous: the face to follow into `images[i]`, as found a frame earlier; None where
                there is none.

        Returns:
            The face in each picture, its box drawn around its landmarks, its score the one of its
            detection; None where it was lost.
        """
        followed: list[Face | None] = [None] * len(images)
        pairs = zip(images, previous, strict=True)
        known = [(i, image, face) for i, (image, face) in enumerate(pairs) if face is not None]
        landmarks, presence = self._mesh.locate(
            [image for _, image, _ in known],
            [Region.from_landmarks(face.landmarks) for *_, face in known],
        )
        for (i, _, face), points, sure in zip(known, landmarks, presence, strict=True):
            if sure >= self.min_presence:
                box = Region.from_landmarks(points).box
                followed[i] = Face(box, face.score, points, float(sure))
        return followed
