"""The numbers of ``evaluate neutral``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from facecycle_cli.media.posed import NEUTRAL
from facecycle_cli.types import RGBImage

__all__ = ["NeutralFace", "NeutralResult", "NeutralSummary", "Shown"]

_SMILES = frozenset("smile smiling happy happiness joy ha".split())
"""Expressions that widen the mouth, in lower case."""

_LEAST_SPREAD = 5.0
"""Standard deviation of the yaw, in degrees, below which nothing can be said about its slope."""


@dataclass(frozen=True)
class NeutralFace:
    """One picture, its neutral face, and its person's neutral photograph.

    Attributes:
        name: of the picture.
        person: who is shown.
        expression: of the picture.
        before: distance of the picture's landmarks from the neutral photograph's, in distances
            between the eyes.
        after: the same of the neutral face. Of a neutral picture: from the picture itself.
        mouth_before, mouth_after, mouth_neutral: width of the mouth, in distances between the inner
            corners of the eyes: in the picture, in its neutral face, in the neutral photograph.
        identity_similarity: cosine, as verify compares, of the picture and its neutral face.
        yaw_before: of the head in the picture, in degrees.
        yaw_after: of what ``frontalize`` makes of it.
    """

    name: str
    person: str
    expression: str
    before: float
    after: float
    mouth_before: float
    mouth_after: float
    mouth_neutral: float
    identity_similarity: float
    yaw_before: float
    yaw_after: float

    @property
    def is_neutral(self) -> bool:
        """Whether the picture is neutral itself."""
        return self.expression == NEUTRAL

    @property
    def is_smile(self) -> bool:
        """Whether its expression is a smile."""
        return self.expression.lower() in _SMILES


@dataclass(frozen=True)
class Shown:
    """What a report shows of a face: pictures uint8 (H, H, 3), and its numbers."""

    crop: RGBImage
    result: RGBImage
    neutral: RGBImage
    face: NeutralFace


@dataclass(frozen=True)
class NeutralSummary:
    """All faces of one model. What could not be measured is None.

    Attributes:
        way: for each expression the share of the way to the person's neutral photograph,
            ``1 - mean(after) / mean(before)``; below 0 the face went away from it.
        way_mean: their mean over the expressions.
        smile_removed: share of the widening of the mouth by a smile that is gone.
        neutral_moved: mean ``after`` of neutral pictures: what changes although nothing should.
        expression_distance: mean ``before`` of the others, to compare it with.
        identity_similarity: mean of the faces with expressions.
        yaw_slope: of the yaw after ``frontalize`` over the yaw before; 0 is perfect.
        yaw_before, yaw_after: mean absolute yaw in degrees.
    """

    way: dict[str, float]
    way_mean: float
    smile_removed: float | None
    neutral_moved: float | None
    expression_distance: float
    identity_similarity: float
    yaw_slope: float | None
    yaw_before: float
    yaw_after: float

    @classmethod
    def of(
        cls, faces: Sequence[NeutralFace], turned: Sequence[tuple[float, float]] = ()
    ) -> NeutralSummary:
        """Of at least one face with an expression, and the yaws of heads in other pictures."""
        posed = [face for face in faces if not face.is_neutral]
        neutral = [face for face in faces if face.is_neutral]
        way = {}
        for expression in sorted({face.expression for face in posed}):
            own = [face for face in posed if face.expression == expression]
            before = float(np.sum([face.before for face in own]))
            way[expression] = 1 - float(np.sum([face.after for face in own])) / max(1e-9, before)
        yaws = np.array([*((face.yaw_before, face.yaw_after) for face in faces), *turned])
        return cls(
            way=way,
            way_mean=float(np.mean(list(way.values()))),
            smile_removed=_smile_removed([face for face in posed if face.is_smile]),
            neutral_moved=float(np.mean([f.after for f in neutral])) if neutral else None,
            expression_distance=float(np.mean([face.before for face in posed])),
            identity_similarity=float(np.mean([face.identity_similarity for face in posed])),
            yaw_slope=_slope(yaws) if yaws[:, 0].std() >= _LEAST_SPREAD else None,
            yaw_before=float(np.abs(yaws[:, 0]).mean()),
            yaw_after=float(np.abs(yaws[:, 1]).mean()),
        )


@dataclass(frozen=True)
class NeutralResult:
    """The same pictures by several models.

    Attributes:
        faces: of each model.
        shown: of each model, what a report shows.
        problems: (name, reason) of each picture that could not be used.
        judge: name of the backend that measured.
        turned: for each model the yaws in other pictures, and of what ``frontalize`` makes of them.
    """

    faces: dict[str, list[NeutralFace]]
    shown: dict[str, list[Shown]]
    problems: list[tuple[str, Exception]]
    judge: str
    turned: dict[str, list[tuple[float, float]]]

    @property
    def summaries(self) -> dict[str, NeutralSummary]:
        """Of each model."""
        return {
            name: NeutralSummary.of(faces, self.turned[name]) for name, faces in self.faces.items()
        }

    @property
    def counts(self) -> dict[str, int]:
        """Pictures and people that were measured, and pictures that were not."""
        faces = next(iter(self.faces.values()))
        return {
            "pictures": len(faces),
            "people": len({face.person for face in faces}),
            "turned": len(next(iter(self.turned.values()))),
            "skipped": len({name for name, _ in self.problems}),
        }

    def expression_counts(self) -> dict[str, int]:
        """Pictures of each expression."""
        faces = next(iter(self.faces.values()))
        names = [face.expression for face in faces]
        return {name: names.count(name) for name in sorted(set(names))}

    def to_json(self, *, faces: bool) -> dict[str, Any]:
        """The numbers; with ``faces`` those of every face, too."""
        results = {name: asdict(summary) for name, summary in self.summaries.items()}
        if faces:
            for name, rows in self.faces.items():
                results[name]["faces"] = [asdict(face) for face in rows]
        return {
            "judge": self.judge,
            "counts": {**self.counts, "expressions": self.expression_counts()},
            "results": results,
        }


def _smile_removed(smiles: Sequence[NeutralFace]) -> float | None:
    """None if there is no smile, or if smiles widen no mouth."""
    widened = sum(face.mouth_before - face.mouth_neutral for face in smiles)
    if not smiles or widened <= 0:
        return None
    return 1 - sum(face.mouth_after - face.mouth_neutral for face in smiles) / widened


def _slope(yaws: np.ndarray) -> float:
    """Of the second column over the first one, by least squares."""
    return float(np.polyfit(yaws[:, 0], yaws[:, 1], 1)[0])
