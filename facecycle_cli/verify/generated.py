"""Does a generated face still verify as its original? (Supplementary, section 5.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from facecycle_cli.errors import DataError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait import motions as motion
from facecycle_cli.portrait.crops import CropSettings, FaceCrop, Picture, crop_faces
from facecycle_cli.portrait.motions import Moved
from facecycle_cli.portrait.portraits import move_crops, shrink
from facecycle_cli.verify.matching import cosine
from facecycle_cli.verify.metrics import verification_metrics
from facecycle_cli.verify.pairs import Pair
from facecycle_cli.verify.verify import identity_embedding

__all__ = ["DESCRIPTIONS", "Against", "generate", "sample_pairs", "verify_against"]

Against = Literal["frontalize", "neutralize", "translate"]
DESCRIPTIONS = {
    "originals": "two photographs",
    "generated": "photograph and its own {}d face",
    "across": "photograph and another one's {}d face",
}
"""The three comparisons of :func:`verify_against`, in words."""

_BATCH = 32


def generate(
    model: FaceCycle, crops: np.ndarray, kind: Against, motions: np.ndarray | None = None
) -> np.ndarray:
    """What a command makes of aligned faces.

    Args:
        model: the networks.
        crops: uint8 (N, H, H, 3).
        kind: the command.
        motions: for ``translate``, faces (N, H, H, 3) whose motion each one takes on.

    Returns:
        uint8 (N, H, H, 3).

    Raises:
        ValueError: ``translate`` without ``motions``.
    """
    if kind == "frontalize":
        return move_crops(model, crops, motion.frontal)[0]
    if kind == "neutralize":
        return move_crops(model, crops, motion.neutral)[0]
    if motions is None:
        raise ValueError("translate needs faces to take the motions from")
    with torch.inference_mode():
        source = model.to_input(shrink(motions, model.config.image_size))
        backflow = model.decode_flow(model.encode_expression(source)).backflow

    def translated(model: FaceCycle, x: torch.Tensor) -> Moved:
        return motion.re_expressed(model, motion.neutral(model, x), backflow)

    return move_crops(model, crops, translated)[0]


def sample_pairs(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """``count`` labeled pairs, half of them of different persons, drawn under ``seed``.

    Fewer where there are not as many of a kind.

    Raises:
        DataError: one kind is missing.
    """
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    kinds = {same: [i for i, p in enumerate(pairs) if p.same is same] for same in (True, False)}
    each = min(count // 2, *(len(members) for members in kinds.values()))
    if each < 1:
        raise DataError("this needs labeled pairs of same and of different persons")
    for members in kinds.values():
        chosen += [members[i] for i in rng.permutation(len(members))[:each]]
    return [pairs[i] for i in sorted(chosen)]


def verify_against(
    pairs: Sequence[Pair],
    kind: Against,
    model: FaceCycle,
    settings: CropSettings,
    backend: FaceBackend,
    *,
    seed: int = 0,
    threshold: float | None = None,
    on_done: Callable[[FaceCrop], None] | None = None,
) -> dict[str, Any]:
    """Verify generated faces against originals.

    With G(a) the generated face of picture a, and pairs (a, b) of the same and of different people:

    - ``originals``: (a, b), for comparison;
    - ``generated``: (a, G(a)) as the same person, (a, G(b)) as different ones: the supplementary's
      1000 pairs of original and generated faces;
    - ``across``: (a, G(b)) for both kinds: as ``originals``, one photograph replaced.

    Args:
        pairs: labeled, as :func:`sample_pairs` gives them.
        kind: which command generates.
        model: the networks.
        settings: how pictures become crops; the faces are generated at their size.
        backend: finds the faces.
        seed: of folds, noise, and whose motion ``translate`` gives to whom.
        threshold: a fixed one to report on as well.
        on_done: called for every picture.

    Returns:
        ``against``; ``pairs`` and ``skipped`` pairs; ``problems`` as (name, reason) pairs; and the
        three above, each as :func:`verification_metrics` returns it; ``examples``: up to eight
        (original, generated, similarity).

    Raises:
        DataError: no pair can be used.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    crops: dict[str, np.ndarray] = {}
    problems: list[tuple[str, Exception]] = []
    for face in crop_faces((Picture.file(name) for name in names), settings, backend):
        if face.crop is not None:
            crops[face.name] = face.crop
        else:
            problems.append((face.name, face.problem or DataError("no crop")))
        if on_done is not None:
            on_done(face)
    used = [pair for pair in pairs if pair.a in crops and pair.b in crops]
    if not used:
        raise DataError("none of the pairs could be compared")
    known = [name for name in names if name in crops]
    original, generated, examples = _embed(model, kind, known, crops, seed)
    same = np.array([bool(pair.same) for pair in used])
    row = {name: i for i, name in enumerate(known)}
    a, b = (np.array([row[name] for name in column]) for column in _columns(used))
    other = np.where(same, a, b)
    folds = [pair.fold for pair in used]
    known_folds = [fold for fold in folds if fold is not None]

    def metrics(left: np.ndarray, right: np.ndarray) -> dict[str, Any]:
        return verification_metrics(
            cosine(left, right),
            same,
            folds=known_folds if len(known_folds) == len(used) else None,
            threshold=threshold,
            seed=seed,
        )

    return {
        "against": kind,
        "pairs": len(used),
        "skipped": len(pairs) - len(used),
        "problems": problems,
        "originals": metrics(original[a], original[b]),
        "generated": metrics(original[a], generated[other]),
        "across": metrics(original[a], generated[b]),
        "examples": examples,
    }


def _columns(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    return [pair.a for pair in pairs], [pair.b for pair in pairs]


def _embed(
    model: FaceCycle, kind: Against, names: Sequence[str], crops: dict[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray, float]]]:
    """Embeddings (N, D) of the originals and of what is generated from them, and examples."""
    # Everybody takes the motion of the next one in a random circle: never his own.
    order = np.random.default_rng((seed, 1)).permutation(len(names))
    mover = np.empty(len(names), np.int64)
    mover[order] = np.roll(order, 1)
    originals, results = [], []
    examples: list[tuple[np.ndarray, np.ndarray, float]] = []
    for start in range(0, len(names), _BATCH):
        part = range(start, min(start + _BATCH, len(names)))
        faces = np.stack([crops[names[i]] for i in part])
        motions = np.stack([crops[names[mover[i]]] for i in part]) if kind == "translate" else None
        made = generate(model, faces, kind, motions)
        originals.append(identity_embedding(model, faces))
        results.append(identity_embedding(model, made))
        if not examples:
            values = cosine(originals[0], results[0])
            examples = list(zip(faces[:8], made[:8], values.tolist(), strict=False))
    return np.concatenate(originals), np.concatenate(results), examples
