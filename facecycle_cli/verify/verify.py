"""Whether two pictures show the same person, as far as these networks can tell.

This is a research representation, learned from faces without names. It is far from what current
face recognition does and not fit for decisions about people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facecycle_cli.errors import DataError, EvaluationError, ThresholdError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.faces.choice import FaceChoice
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import CropSettings, FailedCrop, Picture, crop_faces
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.likeness import identity_embedding, open_choice
from facecycle_cli.types import RGBImage
from facecycle_cli.verify.threshold import Threshold, stored_threshold

__all__ = [
    "RESEARCH_ONLY",
    "Verdict",
    "compare_crops",
    "identity_embedding",
    "verify",
    "verify_many",
]

RESEARCH_ONLY = (
    "this is a research representation, far from current face recognition: "
    "not fit for decisions about people"
)
"""What every statement about two people comes with."""


@dataclass(frozen=True)
class Verdict:
    """A comparison of two faces.

    Attributes:
        similarity: cosine of the two :func:`identity_embedding`, -1..1.
        threshold: what it was compared with.
    """

    similarity: float
    threshold: Threshold

    @property
    def same(self) -> bool:
        """Whether the two count as one person."""
        return self.similarity >= self.threshold.value

    @property
    def word(self) -> str:
        """``same`` or ``different``."""
        return "same" if self.same else "different"


def verify(
    image_a: RGBImage,
    image_b: RGBImage,
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    threshold: float | None = None,
    face: FaceChoice | None = None,
) -> Verdict:
    """Compare the faces of two pictures.

    Args:
        image_a, image_b: (H, W, 3) uint8 RGB.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        threshold: minimum similarity to call two faces the same person, -1..1; None: the one that
            the checkpoint carries.
        face: which face of each picture, see :data:`.FaceChoice`; None: the most prominent one,
            large and near the center.

    Raises:
        NoFaceError: there is no (such) face in one of them.
        SettingsError: there is no such choice.
        ThresholdError: no threshold is given, and the checkpoint carries none.
        EvaluationError: their similarity is not a finite number.
    """
    (verdict,) = verify_many(
        [image_a], [image_b], model=model, backend=backend, threshold=threshold, face=face
    )
    return verdict


def verify_many(
    images_a: Sequence[RGBImage],
    images_b: Sequence[RGBImage],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    threshold: float | None = None,
    face: FaceChoice | None = None,
) -> list[Verdict]:
    """:func:`verify` for the pairs of two lists: the first picture of each, the second, and so on.

    Args:
        images_a, images_b: N pictures each, (H, W, 3) uint8 RGB.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        threshold, face: as :func:`verify` has them.

    Raises:
        DataError: the lists are not of the same length.
        NoFaceError: there is no (such) face in one of the pictures.
        SettingsError: there is no such choice.
        ThresholdError: no threshold is given, and the checkpoint carries none.
        EvaluationError: a similarity is not a finite number.
    """
    model, backend = model or default_model(), backend or default_backend()
    limit = stored_threshold(model) if threshold is None else Threshold(threshold)
    if limit is None:
        raise ThresholdError("this checkpoint has no verification threshold; give one: threshold=")
    if len(images_a) != len(images_b):
        raise DataError(f"{len(images_a)} pictures cannot be compared with {len(images_b)}")
    choice = None if face is None else open_choice(face, model, backend)
    settings = CropSettings(model.verifier.side, face=choice)
    pictures = (Picture(f"picture {k}", image) for k, image in enumerate((*images_a, *images_b)))
    crops = []
    for each in crop_faces(pictures, settings, backend):
        if isinstance(each, FailedCrop):
            raise each.problem
        crops.append(each.crop)
    if not crops:
        return []
    a, b = np.split(identity_embedding(model, np.stack(crops)), 2)
    return [_verdict(float(cosine), limit) for cosine in (a * b).sum(axis=1)]


def compare_crops(model: FaceCycle, a: RGBImage, b: RGBImage, threshold: Threshold) -> Verdict:
    """Compare two aligned faces, uint8 (H, H, 3) of any one size.

    Raises:
        EvaluationError: their similarity is not a finite number.
    """
    embedding = identity_embedding(model, np.stack((a, b)))
    return _verdict(float(embedding[0] @ embedding[1]), threshold)


def _verdict(similarity: float, threshold: Threshold) -> Verdict:
    # Any comparison with NaN is false, which would read as "different".
    if not (math.isfinite(similarity) and math.isfinite(threshold.value)):
        raise EvaluationError("the similarity or the threshold is not a finite number")
    return Verdict(similarity, threshold)
