"""Whether two pictures show the same person, as far as these networks can tell.

This is a research representation, learned from faces without names. It is far from what current
face recognition does and not fit for decisions about people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch

from facecycle_cli.errors import ThresholdError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import CropSettings, Picture, crop_faces
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.portraits import shrink

__all__ = [
    "RESEARCH_ONLY",
    "Threshold",
    "ThresholdError",
    "Verdict",
    "compare_crops",
    "identity_embedding",
    "stored_threshold",
    "verify",
]

RESEARCH_ONLY = (
    "this is a research representation, far from current face recognition: "
    "not fit for decisions about people"
)

_CPU_BATCH = 16


@dataclass(frozen=True)
class Threshold:
    """From which similarity on two faces count as the same person's.

    Attributes:
        value: of the cosine, -1..1.
        far: share of pairs of different persons that it accepts, where that was measured.
        measured_on: what these pairs were, in words.
    """

    value: float
    far: float | None = None
    measured_on: str | None = None


@dataclass(frozen=True)
class Verdict:
    """A comparison of two faces.

    Attributes:
        similarity: cosine of the two :func:`identity_embedding`, -1..1.
        threshold: what it was compared with; None if there was nothing to compare with.
    """

    similarity: float
    threshold: Threshold | None

    @property
    def same(self) -> bool | None:
        """Whether the two count as one person; None without a threshold."""
        return None if self.threshold is None else self.similarity >= self.threshold.value

    @property
    def word(self) -> str | None:
        """``same`` or ``different``."""
        return None if self.same is None else "same" if self.same else "different"


@torch.inference_mode()
def identity_embedding(model: FaceCycle, crops: np.ndarray) -> np.ndarray:
    """Faces as unit vectors that can be compared, see :meth:`.FaceCycle.embed_identity`.

    Args:
        model: the networks.
        crops: aligned faces, uint8 (N, H, H, 3) RGB of any size.

    Returns:
        (N, D) float32 of length 1, so that the dot product is the cosine.
    """
    side = model.config.embedding_side
    x = model.to_input(shrink(crops, side), side)
    # On a CPU more faces at once outgrow the cache and take a quarter longer each.
    parts = x.split(_CPU_BATCH if x.device.type == "cpu" else len(x))
    return torch.cat([model.embed_identity(part) for part in parts]).cpu().numpy()


def stored_threshold(model: FaceCycle, far: float | None = None) -> Threshold | None:
    """The threshold that the model's checkpoint carries.

    Args:
        model: a loaded model.
        far: the false-accept rate that is wanted; None: the one that the checkpoint prefers.

    Returns:
        None if the checkpoint has none at all and no rate is wanted.

    Raises:
        ThresholdError: there is none for that rate (the message says which there are), or what is
            stored is damaged.
    """
    info = model.checkpoint
    stored = (info.metadata if info else {}).get("verification") or {}
    try:
        return _stored_threshold(stored, far)
    except ThresholdError:
        raise
    except (AttributeError, TypeError, ValueError):
        raise ThresholdError("the checkpoint's entry `verification` is damaged") from None


def _stored_threshold(stored: Mapping[str, Any], far: float | None) -> Threshold | None:
    measured_on = stored.get("measured_on")
    if far is None:
        if "threshold" not in stored:
            return None
        value, rate = float(stored["threshold"]), stored.get("far")
        if not -1 <= value <= 1:
            raise ValueError("not a cosine")
        return Threshold(value, None if rate is None else float(rate), measured_on)
    rates = {float(rate): float(value) for rate, value in stored.get("thresholds", {}).items()}
    if far in rates:
        return Threshold(rates[far], far, measured_on)
    if not rates:
        raise ThresholdError("this checkpoint knows no thresholds for false-accept rates")
    known = ", ".join(f"{rate:g}" for rate in sorted(rates))
    raise ThresholdError(f"no threshold for a false-accept rate of {far:g} (there are: {known})")


@overload
def verify(
    image_a: np.ndarray,
    image_b: np.ndarray,
    *,
    model: FaceCycle | None = ...,
    backend: FaceBackend | None = ...,
    threshold: float | None = ...,
) -> Verdict: ...
@overload
def verify(
    image_a: Sequence[np.ndarray],
    image_b: Sequence[np.ndarray],
    *,
    model: FaceCycle | None = ...,
    backend: FaceBackend | None = ...,
    threshold: float | None = ...,
) -> list[Verdict]: ...
def verify(
    image_a: np.ndarray | Sequence[np.ndarray],
    image_b: np.ndarray | Sequence[np.ndarray],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    threshold: float | None = None,
) -> Verdict | list[Verdict]:
    """Compare the faces of two pictures, or of many pairs.

    Args:
        image_a, image_b: (H, W, 3) uint8 RGB; or as many of them on either side.
        model: the networks; the embedded checkpoint by default.
        backend: finds the faces; the mesh by default.
        threshold: similarity from which on they count as the same person's; by default the
            checkpoint's, if it has one.

    Raises:
        NoFaceError: there is no face in one of them.
        ValueError: not as many on either side.
    """
    model, backend = model or default_model(), backend or default_backend()
    limit = stored_threshold(model) if threshold is None else Threshold(threshold)
    many = _many(image_a) or _many(image_b)
    first, second = (list(i) if many else [np.asarray(i)] for i in (image_a, image_b))
    if len(first) != len(second):
        raise ValueError(f"{len(first)} pictures cannot be compared with {len(second)}")
    settings = CropSettings(model.config.embedding_side)
    pictures = [Picture(f"picture {k}", image) for k, image in enumerate((*first, *second))]
    crops = []
    for face in crop_faces(pictures, settings, backend):
        if face.crop is None:
            assert face.problem is not None
            raise face.problem
        crops.append(face.crop)
    if not crops:
        return []
    a, b = np.split(identity_embedding(model, np.stack(crops)), 2)
    verdicts = [Verdict(float(cosine), limit) for cosine in (a * b).sum(axis=1)]
    return verdicts if many else verdicts[0]


def _many(images: np.ndarray | Sequence[np.ndarray]) -> bool:
    return not isinstance(images, np.ndarray) or images.ndim == 4


def compare_crops(
    model: FaceCycle, a: np.ndarray, b: np.ndarray, threshold: Threshold | None
) -> Verdict:
    """Compare two aligned faces, uint8 (H, H, 3) of any one size."""
    embedding = identity_embedding(model, np.stack((a, b)))
    return Verdict(float(embedding[0] @ embedding[1]), threshold)
