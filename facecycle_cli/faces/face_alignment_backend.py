"""The second backend: landmarks from the package face-alignment, an optional extra.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV
2017. The package downloads its two networks (some 100 MB each) itself when the first face is
measured, unless they are in torch.hub's cache. It opens them as PyTorch files of its authors,
pickles included: if you do not trust that source, use the mesh.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from facecycle_cli.errors import FaceError
from facecycle_cli.faces.detector import FaceDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.topology import IBUG_68
from facecycle_cli.faces.views import Look
from facecycle_cli.system import import_extra
from facecycle_cli.types import RGBImage

__all__ = ["FaceAlignmentBackend"]

_NETWORKS = ("3DFAN-4", "depth")
"""What three-dimensional landmarks need, in the package's names."""

# Each face is handed over upright and at one size, with the box around it that makes the package
# cut out 512 pixels, twice its own resolution: it rounds what it finds to whole pixels of our
# picture.
_SIDE = 640
_BOX = 249.6
_FACE = _BOX * 165 / 195  # its boxes are wider than YuNet's; the two numbers are its own


class FaceAlignmentBackend:
    """Faces with 68 landmarks, found by the detector that the mesh backend uses.

    A :class:`~facecycle_cli.faces.FaceBackend`.

    Args:
        threads: CPU threads of the detector; None: all cores. The landmark network follows
            ``torch.set_num_threads``, which belongs to the whole process.
        min_presence: a face whose landmarks are less certain (the mean peak of the heat maps, 1 at
            best) is dropped.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self, *, threads: int | None = None, min_presence: float = 0.2) -> None:
        self.name = "face-alignment"
        self.threads = threads
        self.min_presence = min_presence
        self._package = import_extra("face_alignment")
        self._detector = FaceDetector(threads=threads)
        self._network: Any = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Networks and locks do not travel to worker processes; each opens its own.
        make = partial(FaceAlignmentBackend, threads=self.threads, min_presence=self.min_presence)
        return make, ()

    def prepare(self) -> None:
        """Open the detector and the package's networks now; the package may download these.

        Raises:
            FaceError: they cannot be had.
        """
        self._detector.network.open()
        self._opened()

    def detect(
        self, images: Sequence[RGBImage], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture, largest first; each is measured once, whatever ``refine`` is.

        Raises:
            FaceError: the package's networks cannot be had.
        """
        detections = self._detector.detect(images, min_face=min_face)
        measured = [
            [self._measure(image, d.box, d.points[:2], d.score) for d in found]
            for image, found in zip(images, detections, strict=True)
        ]
        return [[f for f in faces if self._is_face(f)] for faces in measured]

    def follow(
        self, images: Sequence[RGBImage], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """The same faces in other frames, measured where they were.

        Raises:
            FaceError: the package's networks cannot be had.
        """
        pairs = zip(images, previous, strict=True)
        return [None if face is None else self._follow_one(image, face) for image, face in pairs]

    def _follow_one(self, image: RGBImage, last: Face) -> Face | None:
        face = self._measure(image, last.box, last.five_points[:2], last.score)
        if not self._is_face(face):
            return None
        box = _moved_box(last, face.landmarks)
        return Face(box, last.score, face.landmarks, face.presence, IBUG_68)

    def _is_face(self, face: Face) -> bool:
        return face.presence >= self.min_presence and bool(np.isfinite(face.landmarks).all())

    def _measure(self, image: RGBImage, box: np.ndarray, eyes: np.ndarray, score: float) -> Face:
        """Landmarks of the face in a box (4,), level with its two eyes (2, 2)."""
        x, y = (float(v) for v in (box[:2] + box[2:]) / 2)
        side = max(1.0, float((box[2:] - box[:2]).max()))
        across = eyes[1] - eyes[0]
        angle = float(np.arctan2(across[1], across[0]))
        look = Look(0, (x, y), side * _SIDE / _FACE, angle, _SIDE, _SIDE)
        low, high = (_SIDE - 1 - _BOX) / 2, (_SIDE - 1 + _BOX) / 2
        landmarks, scores, _ = self._opened().get_landmarks_from_image(
            look.render(image),
            detected_faces=[[low, low, high, high, score]],
            return_landmark_score=True,
        )
        seen = np.asarray(landmarks[0], np.float64)
        points = np.empty((IBUG_68.count, 3), np.float32)
        points[:, :2] = look.to_picture(seen[:, :2] + 0.5)  # it rounds down
        # Its depth grows towards the camera.
        points[:, 2] = -seen[:, 2] * (look.side / _SIDE)
        # It adds the heat maps of the face and of its mirror image.
        presence = float(np.clip(np.mean(np.asarray(scores[0])) / 2, 0, 1))
        return Face(box, score, points, presence, IBUG_68)

    def _opened(self) -> Any:
        """The package's ``FaceAlignment``, made once."""
        with self._lock:
            if self._network is None:
                import torch

                try:
                    self._network = self._package.FaceAlignment(
                        self._package.LandmarksType.THREE_D,
                        device="cuda" if torch.cuda.is_available() else "cpu",
                        face_detector="folder",  # the one that needs no network: we bring the boxes
                        compile=False,
                    )
                except Exception as error:  # a network, file, pickle or version error of its own
                    raise FaceError(_why_not_opened(self._package, error)) from error
            return self._network


def _moved_box(face: Face, landmarks: np.ndarray) -> np.ndarray:
    """The box of a face, (4,) float32, moved and scaled as its landmarks were."""
    before, after = face.landmarks[:, :2], landmarks[:, :2]
    center, new_center = before.mean(0), after.mean(0)
    scale = float(np.linalg.norm(after - new_center))
    scale /= max(1e-6, float(np.linalg.norm(before - center)))
    corners = (face.box.reshape(2, 2) - center) * scale + new_center
    return np.asarray(corners.reshape(4), np.float32)


def _why_not_opened(package: ModuleType, error: Exception) -> str:
    """One line that names the file that is missing, where it comes from and where it belongs."""
    import torch

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    urls = [package.api.models_urls[name] for name in _NETWORKS]
    files = {PurePosixPath(urlsplit(url).path).name: url for url in urls}
    reason = " ".join(str(error).split()) or type(error).__name__
    for name, url in files.items():
        if not (cache / name).is_file():
            return f"cannot get {name} ({reason}): fetch {url} and put it into {cache}"
    names = " or ".join(files)
    return f"face-alignment cannot open {names} in {cache}, perhaps damaged: {reason}"
