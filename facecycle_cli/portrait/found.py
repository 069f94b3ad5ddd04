"""The faces of a file, for showing which there are."""

from __future__ import annotations

from facecycle_cli.errors import NoFaceError
from facecycle_cli.faces import Face, FaceBackend, search_photos
from facecycle_cli.faces.following import video_tracker
from facecycle_cli.media import is_still, probe, read_frames, read_image
from facecycle_cli.portrait.decoding import decoded_size
from facecycle_cli.types import RGBImage

__all__ = ["faces_of_file", "faces_of_picture"]


def faces_of_picture(image: RGBImage, backend: FaceBackend) -> tuple[RGBImage, list[Face]]:
    """A picture (H, W, 3) uint8 and its faces, largest first; at least one.

    Raises:
        NoFaceError: it has none.
    """
    (found,) = search_photos([image], backend)
    return image, found.require()


def faces_of_file(path: str, backend: FaceBackend) -> tuple[RGBImage, list[Face]]:
    """The same of a file; of a video, the first frame that shows a face.

    Raises:
        MediaError, OSError: it cannot be read.
        NoFaceError: it has no face.
    """
    if is_still(path):
        return faces_of_picture(read_image(path), backend)
    info = probe(path)
    size = decoded_size(path, info, backend, 0.0)
    with read_frames(path, size=size, info=info) as reader:
        for image, found in video_tracker(backend).track(frame.image for frame in reader):
            if found.faces:
                return image, sorted(found.faces.values(), key=lambda face: -face.area)
    raise NoFaceError("no face found in any frame")
