"""What the two cycles lose: differences between faces and what the networks make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecycle_cli.errors import DataError
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import CropResult, FailedCrop, resize_crops
from facecycle_cli.system import import_extra
from facecycle_cli.verify.verify import identity_embedding

__all__ = ["METRICS", "evaluate_reconstruction", "face_metrics"]

METRICS = {
    "copy_l1": "D_exp(x) without a flow, against x",
    "copy_ssim": "",
    "motion_cycle_l1": "D_exp(neutral, backflow), against x",
    "motion_cycle_ssim": "",
    "identity_cycle_l1": "D_id(mean face), against the neutral face",
    "identity_cycle_ssim": "",
    "both_cycles_l1": "D_exp(D_id(mean face), backflow), against x",
    "both_cycles_ssim": "",
    "input_asymmetry": "L1 between the left half of x and its mirrored right half",
    "neutral_asymmetry": "the same of the neutral face",
    "input_motion": "mean length of the flow of x, in percent of the picture's side",
    "neutral_motion": "the same of the neutral face's flow: what was not removed",
    "identity_similarity": "cosine, as `verify` compares, of x and its neutral face",
    "stranger_similarity": "cosine, as `verify` compares, of x and somebody else's neutral face",
}
"""Every number per face, and what it measures. L1 and SSIM are of RGB values in 0..1."""

_BATCH = 32
_SHOWN = 8


def face_metrics(model: FaceCycle, crops: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Measure one batch of faces.

    Args:
        model: the networks.
        crops: uint8 (N, H, H, 3), N >= 2 (the stranger of a face is the next one of the batch).

    Returns:
        ``METRICS`` by name, each (N,) float64; and (N, 6, S, S, 3) uint8: input, neutral, motion
        cycle, mean face, identity cycle, both cycles.
    """
    pictures, motion = _cycles(model, resize_crops(crops, model.config.image_size))
    x, neutral, cycle, mean, again, both, copy = pictures
    embedded, embedded_neutral = (identity_embedding(model, p) for p in (x, neutral))
    values = {
        "copy": _difference(copy, x),
        "motion_cycle": _difference(cycle, x),
        "identity_cycle": _difference(again, neutral),
        "both_cycles": _difference(both, x),
    }
    metrics = {f"{name}_{kind}": v for name, kinds in values.items() for kind, v in kinds.items()}
    metrics["input_asymmetry"] = _asymmetry(x)
    metrics["neutral_asymmetry"] = _asymmetry(neutral)
    metrics["input_motion"], metrics["neutral_motion"] = motion
    metrics["identity_similarity"] = (embedded * embedded_neutral).sum(axis=1)
    metrics["stranger_similarity"] = (embedded * np.roll(embedded_neutral, 1, axis=0)).sum(axis=1)
    ordered = {name: metrics[name].astype(np.float64) for name in METRICS}
    return ordered, np.stack((x, neutral, cycle, mean, again, both), axis=1)


@torch.inference_mode()
def _cycles(
    model: FaceCycle, crops: np.ndarray
) -> tuple[list[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    x = model.to_input(crops)
    code, expression = model.encode(x)
    flow, backflow = model.decode_flow(expression)
    neutral = model.de_express(x, flow)
    mean = model.de_identify(neutral, code)
    again = model.re_identify(mean, code)
    pictures = (
        neutral,
        model.re_express(neutral, backflow),
        mean,
        again,
        model.re_express(again, backflow),
        model.rebuild(x),
    )
    remaining, _ = model.decode_flow(model.encode_expression(neutral))
    shown = [crops, *(model.to_image(picture).numpy() for picture in pictures)]
    return shown, (_motion(flow), _motion(remaining))


def _motion(flow: Tensor) -> np.ndarray:
    """Mean length of a flow (N, 2, h, w) in percent of the side (grid units span 2)."""
    return flow.norm(dim=1).mean(dim=(1, 2)).cpu().numpy() * 50


def _difference(made: np.ndarray, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """L1 and SSIM of each picture, uint8 (N, S, S, 3)."""
    similarity = import_extra("skimage.metrics").structural_similarity
    ssim = [
        similarity(a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, data_range=255)
        for a, b in zip(made, wanted, strict=True)
    ]
    l1 = np.abs(made.astype(np.float32) - wanted).mean(axis=(1, 2, 3)) / 255
    return {"l1": l1, "ssim": np.array(ssim)}


def _asymmetry(pictures: np.ndarray) -> np.ndarray:
    half = pictures.shape[2] // 2
    left = pictures[:, :, :half].astype(np.float32)
    right = pictures[:, :, -half:][:, :, ::-1]
    return np.abs(left - right).mean(axis=(1, 2, 3)) / 255


@dataclass
class _Spread:
    """Running standard deviation of pictures over people, in 0..1."""

    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0

    def add(self, pictures: np.ndarray) -> None:
        values = pictures.astype(np.float64) / 255
        self.count += len(values)
        self.total = self.total + values.sum(axis=0)
        self.squares = self.squares + (values**2).sum(axis=0)

    @property
    def value(self) -> float:
        mean = self.total / self.count
        return float(np.sqrt(np.maximum(self.squares / self.count - mean**2, 0)).mean())


@dataclass
class _Measured:
    metrics: dict[str, list[np.ndarray]] = field(default_factory=lambda: {n: [] for n in METRICS})
    spread: dict[str, _Spread] = field(
        default_factory=lambda: {n: _Spread() for n in ("input", "neutral", "mean_face")}
    )
    shown: np.ndarray | None = None

    def add(self, model: FaceCycle, crops: list[np.ndarray]) -> None:
        metrics, pictures = face_metrics(model, np.stack(crops))
        for name, values in metrics.items():
            self.metrics[name].append(values)
        for name, column in (("input", 0), ("neutral", 1), ("mean_face", 3)):
            self.spread[name].add(pictures[:, column])
        if self.shown is None:
            self.shown = pictures[:_SHOWN]


def evaluate_reconstruction(
    models: dict[str, FaceCycle],
    crops: Iterable[CropResult],
    *,
    on_done: Callable[[CropResult], None] | None = None,
) -> dict[str, Any]:
    """Measure the cycles of one or several models on the same faces.

    Args:
        models: by name.
        crops: the faces.
        on_done: called for every picture.

    Returns:
        ``counts``; ``problems`` as (name, reason) pairs; ``results`` per model: the mean of each of
        ``METRICS``, their standard deviation and median in ``metrics``, and the ``spread``
        (standard deviation over people, mean over pixels) of inputs, neutral and mean faces, which
        a perfect de-identifier brings to 0; ``values`` per model (N,) arrays; ``shown`` per model:
        pictures of some faces as :func:`face_metrics` returns them.

    Raises:
        DataError: fewer than two faces.
    """
    measured = {name: _Measured() for name in models}
    problems: list[tuple[str, Exception]] = []
    waiting: list[np.ndarray] = []
    count = 0

    def flush(keep: int) -> None:
        # The last batch must not be a single face, which would have no stranger.
        batch, rest = waiting[: len(waiting) - keep], waiting[len(waiting) - keep :]
        if batch:
            for name, model in models.items():
                measured[name].add(model, batch)
        waiting[:] = rest

    for face in crops:
        if isinstance(face, FailedCrop):
            problems.append((face.name, face.problem))
        else:
            waiting.append(face.crop)
            count += 1
            if len(waiting) == _BATCH + 2:
                flush(keep=2)
        if on_done is not None:
            on_done(face)
    if count < 2:
        raise DataError(f"reconstruction needs at least two faces, and {count} was found")
    flush(keep=0)
    values = {
        name: {metric: np.concatenate(parts) for metric, parts in each.metrics.items()}
        for name, each in measured.items()
    }
    return {
        "counts": {"faces": count, "skipped": len(problems)},
        "problems": problems,
        "results": {
            name: {
                **{metric: float(v.mean()) for metric, v in values[name].items()},
                "metrics": {
                    metric: {
                        "mean": float(v.mean()),
                        "std": float(v.std()),
                        "median": float(np.median(v)),
                    }
                    for metric, v in values[name].items()
                },
                "spread": {kind: s.value for kind, s in each.spread.items()},
            }
            for name, each in measured.items()
        },
        "values": values,
        "shown": {name: each.shown for name, each in measured.items()},
    }
