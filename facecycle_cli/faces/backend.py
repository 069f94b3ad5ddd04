"""What every backend offers: faces found in pictures, and followed through frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, get_args

from facecycle_cli.errors import FaceError
from facecycle_cli.faces.face import Face
from facecycle_cli.types import AlignerName, RGBImage

__all__ = ["BACKENDS", "FaceBackend", "load_backend", "settled"]

BACKENDS: tuple[str, ...] = get_args(AlignerName)
"""The names that :func:`load_backend` knows."""


class FaceBackend(Protocol):
    """Finds faces and measures their landmarks.

    One backend may be called from many threads at once, and it can be pickled.

    Attributes:
        name: one of :data:`BACKENDS`, or a name of your own.
    """

    name: str

    def prepare(self) -> None:
        """Open the networks now and not at the first call.

        Raises:
            FaceError: they cannot be opened.
        """
        ...

    def detect(
        self, images: Sequence[RGBImage], *, min_face: int = 24, refine: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture, largest first.

        Args:
            images: (H, W, 3) uint8 RGB each; their sizes may differ.
            min_face: height in pixels of the smallest face to find. The height of a small face is
                an estimate: a face that measures 20 % less may be reported.
            refine: measure each face again until its landmarks stay. False: measure it once, which
                is enough to compare faces and takes half the time.

        Raises:
            FaceError: the networks cannot be opened.
        """
        ...

    def follow(
        self, images: Sequence[RGBImage], previous: Sequence[Face | None]
    ) -> list[Face | None]:
        """The same faces in other frames, measured near their last position, without detection.

        Args:
            images: (H, W, 3) uint8 RGB each.
            previous: the face to follow into ``images[i]``, as it was found in a frame near by;
                None: there is none.

        Returns:
            For each picture the face with a box that moved along with it and the score of its
            detection; None where it was lost.

        Raises:
            FaceError: the networks cannot be opened.
        """
        ...


def settled(backend: FaceBackend, images: Sequence[RGBImage], faces: Sequence[Face]) -> list[Face]:
    """Faces that were found by detection, measured as faces that are followed are.

    The landmarks of one face differ by up to a hundredth of its size with the part of the picture
    that their network is given. Detection stops looking again a little earlier than following does.

    Args:
        backend: found them.
        images: (H, W, 3) uint8 RGB each.
        faces: ``faces[i]`` was found in ``images[i]``.

    Returns:
        The faces; one that is not found again stays as it was.
    """
    again = backend.follow(images, faces) if faces else []
    return [face if new is None else new for face, new in zip(faces, again, strict=True)]


def load_backend(name: str = "mesh", *, threads: int | None = None) -> FaceBackend:
    """The backend of that name. Its networks are opened when first used.

    Args:
        name: ``mesh``, or ``face-alignment`` (an optional extra).
        threads: CPU threads of one call; None: all cores.

    Raises:
        FaceError: there is no such backend.
        MissingExtraError: its package is not installed.
    """
    if name == "mesh":
        from facecycle_cli.faces.mesh_backend import MeshBackend

        return MeshBackend(threads=threads)
    if name == "face-alignment":
        from facecycle_cli.faces.face_alignment_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(threads=threads)
    raise FaceError(f"no face backend named {name!r} (there are: {', '.join(BACKENDS)})")
