"""Lists of pairs to similarities: every picture is found, aligned and described once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecycle_cli.errors import EvaluationError
from facecycle_cli.evaluation.features import Extractor, extract
from facecycle_cli.faces import FaceBackend
from facecycle_cli.portrait.crops import (
    CropSettings,
    FaceCrop,
    Picture,
    crop_faces,
)
from facecycle_cli.system import sha256_of
from facecycle_cli.verify.metrics import calibrate, verification_metrics
from facecycle_cli.verify.pairs import Pair

__all__ = [
    "Matches",
    "calibration",
    "cosine",
    "labeled_metrics",
    "match_pairs",
]


@dataclass(frozen=True)
class Matches:
    """Similarities of pairs.

    Attributes:
        pairs: (N,) as listed.
        similarities: per extractor (N,), NaN where a picture of the pair has no face to compare.
        problems: why a file could not be used; in the order of their first mention.
        files: how many files the pairs name.
        pictures: how many different pictures these are.
    """

    pairs: Sequence[Pair]
    similarities: dict[str, np.ndarray]
    problems: dict[str, Exception]
    files: int
    pictures: int

    def problem(self, pair: Pair) -> str | None:
        """Why the pair was not compared: ``file: reason``."""
        for name in (pair.a, pair.b):
            if name in self.problems:
                return f"{name}: {_words(self.problems[name])}"
        return None

    def counts(self) -> dict[str, int]:
        """How many pairs and pictures were listed, used, and left out."""
        skipped = sum(self.problem(pair) is not None for pair in self.pairs)
        unreadable = sum(isinstance(error, OSError) for error in self.problems.values())
        return {
            "pairs_listed": len(self.pairs),
            "pairs_compared": len(self.pairs) - skipped,
            "pairs_skipped": skipped,
            "files": self.files,
            "different_pictures": self.pictures,
            "files_missing": unreadable,
            "files_without_face": len(self.problems) - unreadable,
        }


def _words(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def match_pairs(
    pairs: Sequence[Pair],
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    fail_on_missing: bool = False,
    on_files: Callable[[int], None] | None = None,
    on_done: Callable[[FaceCrop], None] | None = None,
) -> Matches:
    """Compare the faces of every pair, by every extractor.

    Files of equal content are looked at once, however they are named and often they occur.

    Args:
        pairs: of files.
        extractors: by name; the similarity is the cosine of what they return.
        settings: how pictures become crops.
        backend: finds the faces.
        fail_on_missing: raise the first problem (a missing file before any work is done) instead
            of leaving its pairs out.
        on_files: called with the number of pictures before the work begins.
        on_done: called for every picture.

    Raises:
        EvaluationError: there is a problem, and ``fail_on_missing``.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    problems: dict[str, Exception] = {}
    contents: dict[str, list[str]] = {}
    for name in names:
        try:
            contents.setdefault(sha256_of(name), []).append(name)
        except OSError as error:
            _note(problems, name, error, fail_on_missing)
    if on_files is not None:
        on_files(len(contents))

    def checked() -> Iterable[FaceCrop]:
        pictures = (Picture.file(same[0]) for same in contents.values())
        for face in crop_faces(pictures, settings, backend):
            if face.problem is not None and fail_on_missing:
                _note(problems, face.name, face.problem, fail=True)
            yield face

    found = extract(checked(), extractors, on_done=on_done)
    row_of: dict[str, int] = {}
    for position, same in enumerate(contents.values()):
        for name in same:
            row_of[name] = int(found.rows[position])
            if position in found.problems:
                _note(problems, name, found.problems[position], fail=False)
    a = np.array([row_of.get(pair.a, -1) for pair in pairs], np.int64)
    b = np.array([row_of.get(pair.b, -1) for pair in pairs], np.int64)
    usable = (a >= 0) & (b >= 0)
    similarities = {}
    for name, features in found.features.items():
        values = np.full(len(pairs), np.nan)
        if usable.any():
            values[usable] = cosine(features[a[usable]], features[b[usable]])
        similarities[name] = values
    ordered = {name: problems[name] for name in names if name in problems}
    return Matches(pairs, similarities, ordered, len(names), len(contents))


def _note(problems: dict[str, Exception], name: str, error: Exception, fail: bool) -> None:
    if fail:
        raise EvaluationError(f"{name}: {_words(error)}") from error
    problems[name] = error


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between rows: (N, D), (N, D) -> (N,) float64; 0 for a row of zeros."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)


@dataclass(frozen=True)
class _Labeled:
    """The pairs that are labeled and could be compared."""

    pairs: list[Pair]
    similarities: np.ndarray
    same: np.ndarray

    @classmethod
    def of(cls, matches: Matches, extractor: str) -> _Labeled:
        values = matches.similarities[extractor]
        used = [i for i, p in enumerate(matches.pairs) if p.same is not None]
        used = [i for i in used if np.isfinite(values[i])]
        pairs = [matches.pairs[i] for i in used]
        return cls(pairs, values[used], np.array([bool(pair.same) for pair in pairs], bool))


def labeled_metrics(
    matches: Matches, extractor: str, *, threshold: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """:func:`verification_metrics` of the pairs that are labeled and could be compared.

    The list's folds are used if every one of these pairs has one.

    Raises:
        EvaluationError: there are none, or all of one kind.
    """
    used = _Labeled.of(matches, extractor)
    folds = [pair.fold for pair in used.pairs if pair.fold is not None]
    complete = len(folds) == len(used.pairs) and len(set(folds)) > 1
    return verification_metrics(
        used.similarities,
        used.same,
        folds=folds if complete else None,
        groups=[pair.group for pair in used.pairs],
        threshold=threshold,
        seed=seed,
    )


def calibration(
    matches: Matches, extractor: str, measured_on: str, *, far: float | None = None
) -> dict[str, Any]:
    """:func:`calibrate` on the pairs that are labeled and could be compared.

    Raises:
        EvaluationError: there are none, all are of one kind, or too few for ``far``.
    """
    used = _Labeled.of(matches, extractor)
    return calibrate(used.similarities, used.same, measured_on=measured_on, far=far)
