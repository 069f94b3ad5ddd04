"""The second backend: landmarks from the package face-alignment, an optional extra.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV
2017. The package fetches its two networks (some 100 MB each) itself, when the first face is
measured, unless they already lie in torch.hub's cache. Mind that it opens them as PyTorch files of
its authors, pickles included: whoever does not trust that source stays with the mesh.
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
from facecycle_cli.faces.detector import Detection, FaceDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.topology import IBUG_68
from facecycle_cli.faces.views import Look

__all__ = ["FaceAlignmentBackend"]

_NETWORKS = ("3DFAN-4", "depth")  # what three-dimensional landmarks need, in the package's names

# Each face is handed over upright and at one size, with the box around it that makes the package
# cut out 512 pixels, twice its own resolution: it rounds what it finds to whole pixels of our
# picture.
_SIDE = 640
_BOX = 249.6
_FACE = _BOX * 165 / 195  # its boxes are wider than YuNet's; the two numbers are its own


class FaceAlignmentBackend:
    """Faces with 68 landmarks, found by the detector that the mesh backend uses.

    Args:
        threads: CPU threads of the detector; None: all cores. The landmark network follows
            `torch.set_num_threads`, which belongs to the whole process.
        min_presence: faces whose landmarks are less certain (the mean peak of the heat maps, 1 at
            best) are dropped.

    Raises:
        FaceError: the package is not installed.
    """

    name = "face-alignment"

    def __init__(self, *, threads: int | None = None, min_presence: float = 0.2) -> None:
        self.threads = threads
        self.min_presence = min_presence
        self._package = _import_package()
        self._detector = FaceDetector(threads=threads)
        self._network: Any = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Networks and locks do not travel to worker processes; each opens its own.
        make = partial(FaceAlignmentBackend, threads=self.threads, min_presence=self.min_presence)
        return make, ()

    def detect(
        self, images: Sequence[np.ndarray], *, min_face: int = 24, settle: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture (RGB uint8, (H, W, 3), sizes may differ), largest first.

        Each is measured once in any case.

        Raises:
            FaceError: the package's networks cannot be had.
        """
        detections = self._detector.detect(images, min_face=min_face)
        measured = [
            [self._measure(image, detection) for detection in found]
            for image, found in zip(images, detections, strict=True)
        ]
        return [[f for f in faces if f.presence >= self.min_presence] for faces in measured]

    def _measure(self, image: np.ndarray, detection: Detection) -> Face:
        """Landmarks of one detected face."""
        x, y = (float(v) for v in detection.center)
        across = detection.points[1] - detection.points[0]
        angle = float(np.arctan2(across[1], across[0]))
        look = Look(0, (x, y), max(1.0, detection.side) * _SIDE / _FACE, angle, _SIDE, _SIDE)
        low, high = (_SIDE - 1 - _BOX) / 2, (_SIDE - 1 + _BOX) / 2
        landmarks, scores, _ = self._opened().get_landmarks_from_image(
            look.render(image),
            detected_faces=[[low, low, high, high, detection.score]],
            return_landmark_score=True,
        )
        seen = np.asarray(landmarks[0], np.float64)
        points = np.empty((IBUG_68.count, 3), np.float32)
        points[:, :2] = look.to_picture(seen[:, :2] + 0.5)  # it rounds down
        # Its depth grows towards the camera.
        points[:, 2] = -seen[:, 2] * (look.side / _SIDE)
        # It adds the heat maps of the face and of its mirror image.
        presence = float(np.clip(np.mean(np.asarray(scores[0])) / 2, 0, 1))
        return Face(detection.box, detection.score, points, presence, IBUG_68)

    def _opened(self) -> Any:
        """The package's `FaceAlignment`, made once."""
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


def _import_package() -> ModuleType:
    try:
        import face_alignment
    except ImportError as error:
        raise FaceError(
            "the face-alignment backend needs an optional package, "
            f"pip install 'facecycle[face-alignment]' ({error})"
        ) from error
    return face_alignment


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
