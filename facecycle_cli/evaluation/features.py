"""Crops of many pictures to feature vectors, for several extractors at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import FaceCrop
from facecycle_cli.portrait.portraits import shrink

__all__ = ["Extracted", "Extractor", "expression_extractor", "extract"]

Extractor = Callable[[np.ndarray], np.ndarray]
"""Crops, uint8 (N, H, H, 3) RGB -> features (N, D) float32."""

_BATCH = 64


@dataclass(frozen=True)
class Extracted:
    """Features of those pictures that have a crop.

    Attributes:
        features: per extractor (M, D) float32.
        rows: (N,) for each picture its row in ``features``, -1 if it has none.
        problems: why a picture has none, by its position; in their order.
        whole: how many crops are whole pictures in which no face was found.
    """

    features: dict[str, np.ndarray]
    rows: np.ndarray
    problems: dict[int, Exception]
    whole: int


def extract(
    crops: Iterable[FaceCrop],
    extractors: Mapping[str, Extractor],
    *,
    on_done: Callable[[FaceCrop], None] | None = None,
) -> Extracted:
    """Run every extractor over a stream of crops; only the features are kept.

    Args:
        crops: of :func:`facecycle_cli.portrait.crops.crop_faces`.
        extractors: by name.
        on_done: called for every picture, for a progress line.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in extractors}
    rows: list[int] = []
    problems: dict[int, Exception] = {}
    waiting: list[np.ndarray] = []
    found = whole = 0

    def flush() -> None:
        if waiting:
            batch = np.stack(waiting)
            for name, extractor in extractors.items():
                parts[name].append(extractor(batch))
            waiting.clear()

    for position, face in enumerate(crops):
        if face.crop is None:
            rows.append(-1)
            problems[position] = face.problem or ValueError("no crop")
        else:
            rows.append(found)
            found += 1
            whole += face.whole
            waiting.append(face.crop)
        if len(waiting) == _BATCH:
            flush()
        if on_done is not None:
            on_done(face)
    flush()
    features = {
        name: np.concatenate(part) if part else np.empty((0, 0), np.float32)
        for name, part in parts.items()
    }
    return Extracted(features, np.array(rows, np.int64), problems, whole)


def expression_extractor(model: FaceCycle, kind: str, *, mirrored: bool = False) -> Extractor:
    """Frozen features of the expression encoder.

    Args:
        model: the networks.
        kind: ``code``, R_exp (256 numbers), or ``conv``, the last convolution, flattened.
        mirrored: average over the face and its mirror image, which shows the same expression (but
            another pose).
    """

    @torch.inference_mode()
    def features(crops: np.ndarray) -> np.ndarray:
        x = model.to_input(shrink(crops, model.config.image_size))
        encoder = model.expression_encoder
        if mirrored:
            x = torch.cat((x, x.flip(-1)))
        values = encoder(x) if kind == "code" else encoder.features(x)
        if mirrored:
            values = values.unflatten(0, (2, -1)).mean(0)
        return values.float().cpu().numpy()

    return features
