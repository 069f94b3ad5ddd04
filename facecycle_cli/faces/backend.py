"""What every way of finding faces offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from facecycle_cli.errors import FaceError
from facecycle_cli.faces.face import Face

__all__ = ["BACKENDS", "FaceBackend", "load_backend"]

BACKENDS = ("mesh", "face-alignment")


class FaceBackend(Protocol):
    """Finds and measures the faces of pictures."""

    name: str

    def detect(
        self, images: Sequence[np.ndarray], *, min_face: int = 24, settle: bool = True
    ) -> list[list[Face]]:
        """All faces of each picture, largest first.

        Args:
            images: RGB uint8 (H, W, 3) arrays; their sizes may differ.
            min_face: height in pixels of the smallest face that matters; the height of a small face
                is an estimate, so that one measuring 20 % less may still be reported.
            settle: measure each face until its landmarks stay; False: once, which is as good for
                comparing faces and half the work.
        """
        ...


def load_backend(name: str = "mesh", *, threads: int | None = None) -> FaceBackend:
    """The backend of that name. Its networks are opened when first used.

    Args:
        name: "mesh" or "face-alignment" (an optional extra).
        threads: CPU threads of one call; None: all cores.

    Raises:
        FaceError: there is no such backend, or what it needs is not installed.
    """
    if name == "mesh":
        from facecycle_cli.faces.mesh_backend import MeshBackend

        return MeshBackend(threads=threads)
    if name == "face-alignment":
        from facecycle_cli.faces.face_alignment_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(threads=threads)
    raise FaceError(f"no face backend named {name!r} (there are: {', '.join(BACKENDS)})")
