"""Pairs of pictures: drawn from folders of people, compared, and what the comparison is worth."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.errors import DataError, EvaluationError, MediaError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media.files import IMAGE_SUFFIXES, LeftOut
from facecycle_cli.media.streams import require_file
from facecycle_cli.portrait.crops import (
    CropResult,
    CropSettings,
    FailedCrop,
    Picture,
    crop_faces,
)
from facecycle_cli.system import sha256_of
from facecycle_cli.verify.features import Extractor, cosine, extract_features
from facecycle_cli.verify.metrics import VerificationMetrics, verification_metrics
from facecycle_cli.verify.roc import Bools, Floats
from facecycle_cli.verify.threshold import Calibration, calibrate

__all__ = [
    "LabeledPairs",
    "Matches",
    "Pair",
    "PairStatistics",
    "draw_pairs",
    "match_pairs",
    "sample_pairs",
]

_FOLDS = 10


@dataclass(frozen=True)
class Pair:
    """Two pictures to compare.

    Attributes:
        a, b: their files.
        same: whether they show the same person; None if that is not known.
        fold: of a cross-validation; None if the list has none.
        group: of persons, for numbers per group.
    """

    a: str
    b: str
    same: bool | None = None
    fold: int | None = None
    group: str | None = None


# -- drawing --------------------------------------------------------------------------------------


def draw_pairs(
    folder: str | os.PathLike[str], count: int, seed: int, left_out: LeftOut | None = None
) -> list[Pair]:
    """Draw pairs from a folder that holds one folder of pictures per person.

    People are dealt into ten folds first and pairs drawn within them, as LFW's were: no person is
    on both sides of a fold's border. Every pair occurs once.

    Args:
        folder: one folder per person; those with one picture serve for different pairs only.
        count: of pairs, half of them of different persons (fewer where there are not as many).
        seed: same seed, same pairs.
        left_out: counts the pictures that facecycle made: they are of no person.

    Raises:
        DataError: too few people, or none with two pictures.
    """
    people = _people(Path(folder), left_out or LeftOut())
    if len(people) < 2:
        raise DataError("drawing pairs needs at least two folders of one person's pictures each")
    rng = np.random.default_rng(seed)
    # People of several pictures are dealt first, so that every fold gets its part of them.
    order = sorted(rng.permutation(len(people)), key=lambda i: len(people[i]) < 2)
    folds = min(_FOLDS, len(people) // 2)
    dealt = [[people[i] for i in order[fold::folds]] for fold in range(folds)]
    quotas = [len(part) for part in np.array_split(np.arange(count // 2), folds)]
    pairs: list[Pair] = []
    for fold, (members, quota) in enumerate(zip(dealt, quotas, strict=True)):
        same = [(p[i], p[j]) for p in members for j in range(len(p)) for i in range(j)]
        chosen = [same[i] for i in rng.permutation(len(same))[:quota]]
        pairs += [Pair(a, b, True, fold) for a, b in chosen]
        pairs += [Pair(a, b, False, fold) for a, b in _strangers(members, len(chosen), rng)]
    if not any(pair.same for pair in pairs):
        raise DataError("no person has two pictures")
    return pairs


def _people(folder: Path, left_out: LeftOut) -> list[list[str]]:
    people = []
    for person in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        pictures = sorted(
            str(f) for f in person.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()
        )
        if pictures := left_out.without_results("", pictures):
            people.append(pictures)
    return people


def _strangers(
    people: Sequence[list[str]], count: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """``count`` distinct pairs of pictures of two people each, or all that there are."""
    sizes = np.array([len(p) for p in people])
    possible = int((sizes.sum() ** 2 - (sizes**2).sum()) // 2)
    found: dict[tuple[str, str], None] = {}
    while len(found) < min(count, possible):
        i, j = sorted(rng.choice(len(people), 2, replace=False))
        found[(people[i][rng.integers(sizes[i])], people[j][rng.integers(sizes[j])])] = None
    return list(found)


def sample_pairs(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Draw labeled pairs, half of them of different persons.

    Args:
        pairs: to draw from.
        count: how many (fewer where there are not as many of a kind).
        seed: same seed, same pairs.

    Raises:
        DataError: there are none of one kind.
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


# -- comparison -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairCounts:
    """How many pairs and pictures were listed, used, and left out.

    Attributes:
        pairs_listed: pairs of the list.
        pairs_compared: pairs of two usable pictures.
        pairs_skipped: the other pairs.
        files: how many files the pairs name.
        different_pictures: how many different pictures these are.
        files_missing: files that cannot be read, or that are no pictures.
        files_without_face: the other files without a face.
    """

    pairs_listed: int
    pairs_compared: int
    pairs_skipped: int
    files: int
    different_pictures: int
    files_missing: int
    files_without_face: int


@dataclass(frozen=True)
class LabeledPairs:
    """Compared pairs that are known to show the same person or different persons.

    Attributes:
        pairs: N of them.
        similarities: (N,) of one extractor.
        same: (N,) whether a pair shows the same person.
    """

    pairs: list[Pair]
    similarities: Floats
    same: Bools

    def metrics(self, *, threshold: float | None = None, seed: int = 0) -> VerificationMetrics:
        """:func:`~facecycle_cli.verify.metrics.verification_metrics` of these pairs.

        The list's folds are used if every pair has one.

        Args:
            threshold: a fixed threshold to report on as well.
            seed: random seed of drawn folds.

        Raises:
            EvaluationError: there are no pairs, or all are of one kind.
        """
        folds = [pair.fold for pair in self.pairs if pair.fold is not None]
        complete = len(folds) == len(self.pairs) and len(set(folds)) > 1
        return verification_metrics(
            self.similarities,
            self.same,
            folds=folds if complete else None,
            groups=[pair.group for pair in self.pairs],
            threshold=threshold,
            seed=seed,
        )

    def calibration(self, measured_on: str, *, far: float | None = None) -> Calibration:
        """:func:`~facecycle_cli.verify.threshold.calibrate` on these pairs.

        Raises:
            EvaluationError: there are no pairs, all are of one kind, or too few for ``far``.
        """
        return calibrate(self.similarities, self.same, measured_on=measured_on, far=far)


@dataclass(frozen=True)
class PairStatistics:
    """All numbers of a list of labeled pairs.

    Attributes:
        metrics: of the extractor in question.
        baselines: of the other extractors, by name.
        calibration: the threshold that a checkpoint can carry.
    """

    metrics: VerificationMetrics
    baselines: dict[str, VerificationMetrics]
    calibration: Calibration

    @property
    def threshold(self) -> float:
        """What decides about the pairs: the fixed threshold if one was given, else the best one."""
        fixed = self.metrics.at_threshold
        return fixed.threshold if fixed else self.metrics.best_threshold

    def to_json(self) -> dict[str, Any]:
        """The metrics, ``baselines`` if there are any, and ``verification``."""
        measured = {name: metrics.to_json() for name, metrics in self.baselines.items()}
        baselines = {"baselines": measured} if measured else {}
        return self.metrics.to_json() | baselines | {"verification": self.calibration.to_json()}


@dataclass(frozen=True)
class Matches:
    """Similarities of pairs.

    Attributes:
        pairs: (N,) as listed.
        similarities: for each extractor (N,); NaN where a picture of the pair is not usable.
        problems: why a file is not usable, by its name; in the order of their first mention.
        files: how many files the pairs name.
        pictures: how many different pictures these are.
    """

    pairs: Sequence[Pair]
    similarities: dict[str, Floats]
    problems: dict[str, Exception]
    files: int
    pictures: int

    def problem(self, pair: Pair) -> str | None:
        """Why the pair was not compared: ``file: reason``; None if it was."""
        for name in (pair.a, pair.b):
            if name in self.problems:
                return _named(name, self.problems[name])
        return None

    def counts(self) -> PairCounts:
        """How many pairs and pictures were listed, used, and left out."""
        skipped = sum(self.problem(pair) is not None for pair in self.pairs)
        unreadable = sum(
            isinstance(error, (OSError, MediaError)) for error in self.problems.values()
        )
        return PairCounts(
            pairs_listed=len(self.pairs),
            pairs_compared=len(self.pairs) - skipped,
            pairs_skipped=skipped,
            files=self.files,
            different_pictures=self.pictures,
            files_missing=unreadable,
            files_without_face=len(self.problems) - unreadable,
        )

    def labeled(self, extractor: str) -> LabeledPairs:
        """The pairs that are labeled and were compared, with the similarities of one extractor."""
        values = self.similarities[extractor]
        compared = np.isfinite(values)
        used = [i for i, pair in enumerate(self.pairs) if pair.same is not None and compared[i]]
        pairs = [self.pairs[i] for i in used]
        return LabeledPairs(pairs, values[used], np.array([bool(p.same) for p in pairs], bool))


def _named(name: str, error: Exception) -> str:
    words = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"{name}: {words}"


def match_pairs(
    pairs: Sequence[Pair],
    extractors: Mapping[str, Extractor],
    settings: CropSettings,
    backend: FaceBackend,
    *,
    fail_on_missing: bool = False,
    on_done: Callable[[CropResult], None] | None = None,
) -> Matches:
    """Compare the faces of every pair, by every extractor.

    Every picture is found, aligned and described once. Files of equal content are one picture,
    whatever their names are.

    Args:
        pairs: of files.
        extractors: by name; the similarity is the cosine of what they return.
        settings: how pictures become crops.
        backend: finds the faces.
        fail_on_missing: raise the first problem (a missing file before any work is done) instead
            of leaving its pairs out.
        on_done: called for every picture.

    Raises:
        EvaluationError: there is a problem, and ``fail_on_missing``.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    problems: dict[str, Exception] = {}
    contents: dict[str, list[str]] = {}
    for name in names:
        try:
            require_file(name)  # a device may have no end
            contents.setdefault(sha256_of(name), []).append(name)
        except (MediaError, OSError) as error:
            if fail_on_missing:
                raise EvaluationError(_named(name, error)) from error
            problems[name] = error

    def checked() -> Iterable[CropResult]:
        pictures = (Picture.file(same[0]) for same in contents.values())
        for face in crop_faces(pictures, settings, backend):
            if isinstance(face, FailedCrop) and fail_on_missing:
                raise EvaluationError(_named(face.name, face.problem)) from face.problem
            yield face

    found = extract_features(checked(), extractors, on_done=on_done)
    row_of: dict[str, int] = {}
    for position, same in enumerate(contents.values()):
        for name in same:
            row_of[name] = int(found.rows[position])
            if position in found.problems:
                problems[name] = found.problems[position]
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
