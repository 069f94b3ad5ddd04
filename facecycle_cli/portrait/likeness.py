"""How much faces look alike, and the choice of the one that looks most like a given face.

This is a research representation, learned from faces without names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from facecycle_cli.faces import Alignment, Face, FaceBackend, search_photos
from facecycle_cli.faces.choice import FaceChoice, check_face_choice, reference_of
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.types import RGBImage

__all__ = ["MostAlike", "identity_embedding", "open_choice"]

_CPU_BATCH = 16
"""Faces that a CPU embeds at once: more outgrow its cache and take a quarter longer each."""


@torch.inference_mode()
def identity_embedding(model: FaceCycle, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Faces as unit vectors that can be compared, see :meth:`.FaceCycle.embed_identity`.

    Args:
        model: the networks.
        crops: aligned faces, uint8 (N, H, H, 3) RGB of any size.

    Returns:
        (N, D) of length 1, so that the dot product is the cosine.
    """
    side = model.verifier.side
    x = model.to_input(resize_crops(crops, side), side)
    step = _CPU_BATCH if x.device.type == "cpu" else len(x)
    parts = [model.embed_identity(x[i : i + step]) for i in range(0, len(x), step)]
    embedded: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
    return embedded


class MostAlike:
    """Chooses the face that looks most like that of a reference picture.

    Always one is chosen: also where the person of the reference is not in the picture.

    Args:
        reference: (H, W, 3) uint8 RGB; its largest face counts.
        model: the networks, which say how much faces look alike.
        backend: finds the face.

    Raises:
        NoFaceError: the reference has no face.
    """

    def __init__(self, reference: RGBImage, model: FaceCycle, backend: FaceBackend) -> None:
        self._model = model
        (found,) = search_photos([reference], backend)
        self._wanted = self._vectors(reference, found.require()[:1])[0]

    def __call__(self, image: RGBImage, faces: Sequence[Face]) -> Face:
        """The face of a picture; arguments as :data:`.FaceChooser` has them."""
        if len(faces) == 1:
            return faces[0]
        return faces[int(np.argmax(self._vectors(image, faces) @ self._wanted))]

    def _vectors(self, image: RGBImage, faces: Sequence[Face]) -> NDArray[np.float32]:
        side = self._model.verifier.side
        crops = [Alignment.from_face(face, side).crop(image) for face in faces]
        return identity_embedding(self._model, np.stack(crops))


def open_choice(choice: FaceChoice, model: FaceCycle, backend: FaceBackend) -> FaceChoice:
    """``choice`` itself; of ``like:FILE`` the :class:`MostAlike` of the file.

    Raises:
        SettingsError: there is no such choice.
        MediaError, OSError: the file cannot be read.
        NoFaceError: it has no face.
    """
    name = reference_of(check_face_choice(choice))
    return choice if name is None else MostAlike(read_image(name), model, backend)
