"""What the two cycles lose, and what is left of pose, expression and identity in what ships.

The cycles are measured on the networks' own pictures, at the networks' size. The neutral face and
the mean face are those that ``facecycle neutralize`` and ``neutralize --mean`` make of the
photograph, and similarities are those of ``facecycle verify``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecycle_cli.errors import DataError, EvaluationError, FaceError, MediaError, NoFaceError
from facecycle_cli.evaluation.differences import ssim
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import CropSettings, Picture, face_crop, resize_crops
from facecycle_cli.portrait.motions import MEAN, NEUTRAL
from facecycle_cli.portrait.portraits import move_crops, portraits
from facecycle_cli.types import RGBImage
from facecycle_cli.verify.verify import identity_embedding

__all__ = [
    "METRICS",
    "STEPS",
    "ModelReconstruction",
    "ReconstructionResult",
    "evaluate_reconstruction",
    "shipped_faces",
]

METRICS = {
    "copy_l1": "D_exp(x) without a flow, against x",
    "copy_ssim": "",
    "motion_cycle_l1": "D_exp(neutral, backflow), against x",
    "motion_cycle_ssim": "",
    "identity_cycle_l1": "D_id(mean face), against the networks' neutral face",
    "identity_cycle_ssim": "",
    "both_cycles_l1": "D_exp(D_id(mean face), backflow), against x",
    "both_cycles_ssim": "",
    "input_asymmetry": "L1 between the left half of x and its mirrored right half",
    "neutral_asymmetry": "the same of the neutral face",
    "input_motion": "mean length of the flow of x, in percent of the picture's side",
    "neutral_motion": "the same of the neutral face's flow: what was not removed",
    "identity_similarity": "cosine, as verify compares, of a photograph and its neutral face",
    "stranger_similarity": "the same with somebody else's neutral face",
}
"""Every number per face, and what it measures. L1 and SSIM are of RGB values in 0..1."""

STEPS = ("input", "neutral", "motion cycle", "mean face", "identity cycle", "both cycles")
"""The pictures of a face that a report shows."""

_BATCH = 32
_SHOWN = 8
"""Faces that a report shows."""

_ALIGNED_SIDE = 256
"""Side in pixels to which aligned crops are brought before they are moved, as photographs are."""


class _Face(NamedTuple):
    """One face as one model sees it: crops of its photograph, and what the commands make of that.

    Attributes:
        crop: at the networks' size.
        compared: at the size that ``verify`` compares.
        neutral: the command's neutral face.
        neutral_compared: the face found in ``neutral``, at the size that ``verify`` compares.
        mean: the command's mean face.
    """

    crop: RGBImage
    compared: RGBImage
    neutral: RGBImage
    neutral_compared: RGBImage
    mean: RGBImage


def shipped_faces(
    photo: RGBImage, model: FaceCycle, backend: FaceBackend, *, aligned: bool = False
) -> tuple[RGBImage, RGBImage]:
    """The neutral face and the mean face that the commands make of a photograph.

    Args:
        photo: (H, W, 3) uint8 RGB.
        model: the networks.
        backend: finds the face.
        aligned: ``photo`` is an aligned crop: it is moved as it is, without landmarks.

    Returns:
        Both (256, 256, 3) uint8.

    Raises:
        NoFaceError: there is no face.
    """
    if aligned:
        crop = resize_crops(photo[None], _ALIGNED_SIDE)
        neutral, mean = (move_crops(model, crop, motion)[0][0] for motion in (NEUTRAL, MEAN))
        return neutral, mean
    (neutral,), (mean,) = (
        portraits(photo, motion, model=model, backend=backend) for motion in (NEUTRAL, MEAN)
    )
    return neutral.result, mean.result


@dataclass(frozen=True)
class MetricSummary:
    """A metric over all faces."""

    mean: float
    std: float
    median: float


@dataclass(frozen=True)
class ModelReconstruction:
    """What was measured with one model.

    Attributes:
        values: for each of :data:`METRICS` (N,).
        spread: standard deviation over people, mean over pixels (0..1), of inputs, neutral faces
            and mean faces. A perfect de-identifier brings the last to 0.
        shown: (up to 8, 6, S, S, 3) uint8: :data:`STEPS` of the first faces.
    """

    values: dict[str, NDArray[np.float64]]
    spread: dict[str, float]
    shown: NDArray[np.uint8]

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """Each metric over all faces."""
        return {
            name: MetricSummary(float(v.mean()), float(v.std()), float(np.median(v)))
            for name, v in self.values.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Each metric's mean, then ``metrics`` with mean, deviation and median, and ``spread``."""
        metrics = {name: asdict(summary) for name, summary in self.metrics.items()}
        means = {name: summary["mean"] for name, summary in metrics.items()}
        return {**means, "metrics": metrics, "spread": self.spread}


@dataclass(frozen=True)
class ReconstructionResult:
    """The same faces, measured with several models.

    Attributes:
        faces: how many there were.
        problems: (name, reason) of each picture that could not be used.
        results: for each model.
    """

    faces: int
    problems: list[tuple[str, Exception]]
    results: dict[str, ModelReconstruction]

    def to_json(self) -> dict[str, Any]:
        """The numbers, without problems and pictures."""
        return {
            "counts": {"faces": self.faces, "skipped": len(self.problems)},
            "results": {name: result.to_json() for name, result in self.results.items()},
        }


def evaluate_reconstruction(
    models: Mapping[str, FaceCycle],
    pictures: Iterable[Picture],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    on_done: Callable[[Picture], None] | None = None,
) -> ReconstructionResult:
    """Measure the cycles of one or several models on the same faces.

    Args:
        models: by name.
        pictures: the photographs, one face of each; or aligned crops.
        settings: whether the pictures are aligned crops, and which faces to find; the size of the
            crops is that of each model's networks.
        backend: finds the faces.
        on_done: called for every picture.

    Raises:
        DataError: fewer than two faces.
        EvaluationError: the networks give numbers that are not finite.
        MissingExtraError: scikit-image is not installed.
    """
    measured = {name: _Measurements(model) for name, model in models.items()}
    problems: list[tuple[str, Exception]] = []
    waiting: list[dict[str, _Face]] = []
    count = 0

    def measure(faces: list[dict[str, _Face]]) -> None:
        for name, each in measured.items():
            each.add([face[name] for face in faces])

    for picture in pictures:
        try:
            waiting.append(_look_at(picture, models, settings, backend))
            count += 1
        except (FaceError, MediaError, OSError) as error:
            problems.append((picture.name, error))
        if len(waiting) == _BATCH + 2:
            # The last batch must not be a single face, which would have no stranger.
            measure(waiting[:_BATCH])
            del waiting[:_BATCH]
        if on_done is not None:
            on_done(picture)
    if count < 2:
        raise DataError(f"reconstruction needs at least two faces, and {count} was found")
    measure(waiting)
    results = {name: each.result() for name, each in measured.items()}
    return ReconstructionResult(count, problems, results)


def _look_at(
    picture: Picture, models: Mapping[str, FaceCycle], settings: CropSettings, backend: FaceBackend
) -> dict[str, _Face]:
    """Everything that is measured of one photograph, for each model.

    Raises:
        NoFaceError: there is no face in it, or in what a command makes of it.
    """
    source = picture.source
    photo = source if isinstance(source, np.ndarray) else read_image(source)
    faces = {}
    for name, model in models.items():
        compared = replace(settings, size=model.verifier.side)
        crop = face_crop(photo, replace(settings, size=model.config.image_size), backend)
        neutral, mean = shipped_faces(photo, model, backend, aligned=settings.aligned)
        try:
            neutral_compared = face_crop(neutral, compared, backend)
        except FaceError as error:
            raise NoFaceError(f"its neutral face: {error}") from error
        compared_crop = face_crop(photo, compared, backend)
        faces[name] = _Face(crop, compared_crop, neutral, neutral_compared, mean)
    return faces


class _Measurements:
    """The numbers of one model, batch by batch."""

    def __init__(self, model: FaceCycle) -> None:
        self._model = model
        self._values: list[dict[str, NDArray[np.float64]]] = []
        self._spread = {kind: _Spread() for kind in ("input", "neutral", "mean_face")}
        self._shown: list[NDArray[np.uint8]] = []

    def add(self, faces: list[_Face]) -> None:
        """Measure a batch of at least two faces (the stranger of a face is the next one)."""
        model = self._model
        size = model.config.image_size
        x, neutral, mean = (
            resize_crops(np.stack(pictures), size)
            for pictures in (
                [face.crop for face in faces],
                [face.neutral for face in faces],
                [face.mean for face in faces],
            )
        )
        cycles = _cycles(model, x)
        embedded = identity_embedding(model, np.stack([face.compared for face in faces]))
        embedded_neutral = identity_embedding(
            model, np.stack([face.neutral_compared for face in faces])
        )
        values = {
            **_difference("copy", cycles.copy, x),
            **_difference("motion_cycle", cycles.motion_cycle, x),
            **_difference("identity_cycle", cycles.identity_cycle, cycles.neutral),
            **_difference("both_cycles", cycles.both_cycles, x),
            "input_asymmetry": _asymmetry(x),
            "neutral_asymmetry": _asymmetry(neutral),
            "input_motion": _motion(model, x),
            "neutral_motion": _motion(model, neutral),
            "identity_similarity": (embedded * embedded_neutral).sum(axis=1),
            "stranger_similarity": (embedded * np.roll(embedded_neutral, 1, axis=0)).sum(axis=1),
        }
        for metric in METRICS:
            if not np.isfinite(values[metric]).all():
                raise EvaluationError(f"{metric} is not a finite number, as of damaged networks")
        self._values.append({metric: values[metric].astype(np.float64) for metric in METRICS})
        for kind, pictures in (("input", x), ("neutral", neutral), ("mean_face", mean)):
            self._spread[kind].add(pictures)
        steps = (x, neutral, cycles.motion_cycle, mean, cycles.identity_cycle, cycles.both_cycles)
        if len(self._shown) < _SHOWN:
            self._shown += list(itertools.islice(np.stack(steps, axis=1), _SHOWN))

    def result(self) -> ModelReconstruction:
        """All batches together."""
        return ModelReconstruction(
            values={
                metric: np.concatenate([batch[metric] for batch in self._values])
                for metric in METRICS
            },
            spread={kind: spread.value for kind, spread in self._spread.items()},
            shown=np.stack(self._shown[:_SHOWN]),
        )


class _Cycles(NamedTuple):
    """What the networks draw, each (N, S, S, 3) uint8."""

    neutral: NDArray[np.uint8]
    copy: NDArray[np.uint8]
    motion_cycle: NDArray[np.uint8]
    identity_cycle: NDArray[np.uint8]
    both_cycles: NDArray[np.uint8]


@torch.inference_mode()
def _cycles(model: FaceCycle, crops: NDArray[np.uint8]) -> _Cycles:
    x = model.to_input(crops)
    code, expression = model.encode(x)
    flow, backflow = model.decode_flow(expression)
    neutral = model.de_express(x, flow)
    restored = model.re_identify(model.de_identify(neutral, code), code)
    drawn = (
        neutral,
        model.rebuild(x),
        model.re_express(neutral, backflow),
        restored,
        model.re_express(restored, backflow),
    )
    return _Cycles(*(model.to_image(picture).numpy() for picture in drawn))


@torch.inference_mode()
def _motion(model: FaceCycle, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean length of each face's flow in percent of the side (grid units span 2)."""
    flow: Tensor = model.decode_flow(model.encode_expression(model.to_input(crops))).flow
    length: NDArray[np.float32] = flow.norm(dim=1).mean(dim=(1, 2)).cpu().numpy() * 50
    return length


def _difference(
    name: str, made: NDArray[np.uint8], wanted: NDArray[np.uint8]
) -> dict[str, NDArray[Any]]:
    """``name_l1`` and ``name_ssim`` of each picture, uint8 (N, S, S, 3)."""
    similarity = [ssim(a, b) for a, b in zip(made, wanted, strict=True)]
    l1 = np.abs(made.astype(np.float32) - wanted).mean(axis=(1, 2, 3)) / 255
    return {f"{name}_l1": l1, f"{name}_ssim": np.array(similarity)}


def _asymmetry(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    half = pictures.shape[2] // 2
    left = pictures[:, :, :half].astype(np.float32)
    right = pictures[:, :, -half:][:, :, ::-1]
    difference: NDArray[np.float32] = np.abs(left - right).mean(axis=(1, 2, 3)) / 255
    return difference


@dataclass
class _Spread:
    """Running standard deviation of pictures over people, in 0..1."""

    count: int = 0
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(()))

    def add(self, pictures: NDArray[np.uint8]) -> None:
        values = pictures.astype(np.float64) / 255
        self.count += len(values)
        self.total = self.total + values.sum(axis=0)
        self.squares = self.squares + (values**2).sum(axis=0)

    @property
    def value(self) -> float:
        mean = self.total / self.count
        return float(np.sqrt(np.maximum(self.squares / self.count - mean**2, 0)).mean())
