"""From a photograph to upright face crops, and back into the photograph."""

from facecycle_cli.faces.alignment import TEMPLATE, Alignment
from facecycle_cli.faces.backend import BACKENDS, FaceBackend, load_backend
from facecycle_cli.faces.face import Face
from facecycle_cli.faces.paste import paste_back
from facecycle_cli.faces.photos import PhotoFaces, is_inside, search_photos
from facecycle_cli.faces.pose import HeadPose

__all__ = [
    "BACKENDS",
    "TEMPLATE",
    "Alignment",
    "Face",
    "FaceBackend",
    "HeadPose",
    "PhotoFaces",
    "is_inside",
    "load_backend",
    "paste_back",
    "search_photos",
]
