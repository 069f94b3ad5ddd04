"""The numbers of reenactment: of one clip, and their mean over clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from facecycle_cli.evaluation.motion_measures import MEASURES, MotionAgreement
from facecycle_cli.evaluation.strips import Strip

__all__ = [
    "BASELINES",
    "BEST_SIMILARITY",
    "FIRST_FRAME",
    "OUTPUT",
    "ClipResult",
    "PictureErrors",
    "ReenactmentResult",
]

OUTPUT, FIRST_FRAME, BEST_SIMILARITY = "output", "first_frame", "best_similarity"
BASELINES = (FIRST_FRAME, BEST_SIMILARITY)
"""What translate is compared with: the performing frame repeated, and the same moved, turned and
scaled so that its landmarks come as near to the frame's as a similarity can bring them."""


@dataclass(frozen=True)
class PictureErrors:
    """How far pictures are from those that they should be, mean over frames.

    Attributes:
        l1: mean absolute difference within the face's box, of RGB values in 0..1.
        ssim: structural similarity within the box, up to 1.
        akd: average keypoint distance, in percent of the distance between the eyes.
        akd_aligned: the same after the best similarity onto the frame's landmarks: what is left of
            it where place, size and roll of the face do not count.
        identity: similarity of the faces, as ``verify`` compares them: with the clip's own frame,
            or in cross-reenactment with the picture of the other person.
    """

    l1: float | None = None
    ssim: float | None = None
    akd: float | None = None
    akd_aligned: float | None = None
    identity: float | None = None


_NUMBERS = tuple(each.name for each in fields(PictureErrors))


@dataclass(frozen=True)
class ClipResult:
    """What was measured on one clip.

    Attributes:
        name: of its file.
        frames: that were compared.
        source_lost: frames of the clip without the face; they are not compared.
        output_lost: compared frames in whose output no face was found. Landmarks, identity and
            motion are of the rest.
        pictures: of the output, and in self-reenactment of both :data:`BASELINES`.
        motion: of each of :data:`~.motion_measures.MEASURES`.
        flicker: of ``output`` and ``source`` in still parts, in gray levels; in self-reenactment.
        strip: a few frames; None if they are not kept.
        warning: what there is to say about the clip's file.
    """

    name: str
    frames: int
    source_lost: int
    output_lost: int
    pictures: dict[str, PictureErrors]
    motion: dict[str, MotionAgreement]
    flicker: dict[str, float | None] = field(default_factory=dict)
    strip: Strip | None = None
    warning: str | None = None

    @property
    def better(self) -> bool | None:
        """Whether L1 and SSIM are better than those of both baselines; None without baselines."""
        output, own = self.pictures[OUTPUT], []
        for name in BASELINES:
            if (baseline := self.pictures.get(name)) is None:
                return None
            own.append(_lower(output.l1, baseline.l1) and _lower(baseline.ssim, output.ssim))
        return all(own)

    def to_json(self) -> dict[str, Any]:
        """All numbers, without the strip."""
        result = asdict(replace(self, strip=None)) | {"better_than_baselines": self.better}
        return {k: v for k, v in result.items() if k not in ("name", "strip", "warning")}


@dataclass(frozen=True)
class ReenactmentResult:
    """What was measured on all clips.

    Attributes:
        clips: those that could be measured.
        problems: (name, reason) of the others.
    """

    clips: list[ClipResult]
    problems: list[tuple[str, Exception]]

    @property
    def better(self) -> int:
        """On how many clips L1 and SSIM are better than those of both baselines."""
        return sum(clip.better is True for clip in self.clips)

    def picture_means(self) -> dict[str, dict[str, float | None]]:
        """Mean over clips of the numbers of each kind of picture."""
        return {
            kind: {
                number: _mean(getattr(clip.pictures[kind], number) for clip in self.clips)
                for number in _NUMBERS
            }
            for kind in (self.clips[0].pictures if self.clips else ())
        }

    def motion_means(self) -> dict[str, dict[str, float | None]]:
        """Of each measure the mean slope and correlation over the clips that move, and ``clips``,
        how many those are.
        """
        means: dict[str, dict[str, float | None]] = {}
        for measure in MEASURES:
            found = [clip.motion[measure.name] for clip in self.clips]
            slopes = [motion.slope for motion in found]
            means[measure.name] = {
                "slope": _mean(slopes),
                "correlation": _mean(motion.correlation for motion in found),
                "clips": sum(slope is not None for slope in slopes),
            }
        return means

    def flicker_means(self) -> dict[str, float | None]:
        """Mean flicker of ``output`` and ``source`` over clips."""
        kinds: Sequence[str] = tuple(self.clips[0].flicker) if self.clips else ()
        return {kind: _mean(clip.flicker[kind] for clip in self.clips) for kind in kinds}

    def to_json(self) -> dict[str, Any]:
        """The means, and each clip's numbers by its name."""
        return {
            "counts": {"clips": len(self.clips), "failed": len(self.problems)},
            "better_than_baselines": self.better if self.flicker_means() else None,
            "pictures": self.picture_means(),
            "motion": self.motion_means(),
            "flicker": self.flicker_means(),
        }


def _lower(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
