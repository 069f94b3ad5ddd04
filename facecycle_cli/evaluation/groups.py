"""The same numbers for groups of people: faces that are found, yaw that is left, what is lost.

A mean over all pictures hides a group that the networks serve badly. Groups come from the data
set's own labels; none is guessed from a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from facecycle_cli.errors import DataError, FaceError, MediaError, NoFaceError
from facecycle_cli.evaluation.differences import l1, ssim
from facecycle_cli.evaluation.group_data import GroupedPicture
from facecycle_cli.faces import Alignment, Face, FaceBackend
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.motions import FRONTAL
from facecycle_cli.portrait.portraits import find_faces, move_faces
from facecycle_cli.types import RGBImage

__all__ = ["ALL", "GroupFace", "GroupResult", "GroupSummary", "evaluate_groups"]

ALL = "(all)"
"""Name of the row over all groups."""


@dataclass(frozen=True)
class GroupFace:
    """What was measured of one face.

    Attributes:
        yaw_before: of the head in the picture, in degrees.
        yaw_after: of the face that ``frontalize`` makes of it; None: no face was found in that.
        cycle_l1, cycle_ssim: of the motion cycle, D_exp(neutral, backflow) against the crop.
    """

    yaw_before: float
    yaw_after: float | None
    cycle_l1: float
    cycle_ssim: float


@dataclass(frozen=True)
class GroupSummary:
    """One group. Means have the standard error of the mean behind them.

    Attributes:
        pictures: how many could be read.
        found: share of them in which a face was found; None without pictures.
        yaw_before, yaw_after: mean absolute yaw in degrees, before and after ``frontalize``, of the
            faces that are found in both.
        cycle_l1, cycle_ssim: as of :class:`GroupFace`.
        lost: faces in whose frontal version no face was found.
        standard_errors: of the four means.
    """

    pictures: int
    found: float | None
    yaw_before: float | None
    yaw_after: float | None
    cycle_l1: float | None
    cycle_ssim: float | None
    lost: int
    standard_errors: dict[str, float | None]

    @classmethod
    def of(cls, pictures: int, faces: Sequence[GroupFace]) -> GroupSummary:
        """Of the faces of one group."""
        turned = [face for face in faces if face.yaw_after is not None]
        values = {
            "yaw_before": [abs(face.yaw_before) for face in turned],
            "yaw_after": [abs(face.yaw_after or 0.0) for face in turned],
            "cycle_l1": [face.cycle_l1 for face in faces],
            "cycle_ssim": [face.cycle_ssim for face in faces],
        }
        return cls(
            pictures=pictures,
            found=len(faces) / pictures if pictures else None,
            lost=len(faces) - len(turned),
            standard_errors={name: _standard_error(v) for name, v in values.items()},
            **{name: float(np.mean(v)) if v else None for name, v in values.items()},
        )


@dataclass
class GroupResult:
    """All groups, by one model.

    Attributes:
        pictures: how many pictures of each group could be read.
        faces: those that were found in them.
        problems: (name, reason) of each picture that could not be read. A picture without a face is
            no problem: how many there are is what is measured.
    """

    pictures: dict[str, int] = field(default_factory=dict)
    faces: dict[str, list[GroupFace]] = field(default_factory=dict)
    problems: list[tuple[str, Exception]] = field(default_factory=list)

    @property
    def summaries(self) -> dict[str, GroupSummary]:
        """Of each group, and last of all of them together, as :data:`ALL`."""
        every = [face for faces in self.faces.values() for face in faces]
        total = GroupSummary.of(sum(self.pictures.values()), every)
        groups = {n: GroupSummary.of(c, self.faces[n]) for n, c in sorted(self.pictures.items())}
        return {**groups, ALL: total}

    def to_json(self) -> dict[str, Any]:
        """The numbers of each group, and how many pictures could not be read."""
        return {
            "counts": {"pictures": sum(self.pictures.values()), "skipped": len(self.problems)},
            "groups": {name: asdict(summary) for name, summary in self.summaries.items()},
        }


def evaluate_groups(
    pictures: Iterable[GroupedPicture],
    model: FaceCycle,
    backend: FaceBackend,
    *,
    on_done: Callable[[GroupedPicture], None] | None = None,
) -> GroupResult:
    """Measure the faces of every group.

    Args:
        pictures: with their groups; one is in memory at a time.
        model: the networks.
        backend: finds the faces, and measures their yaw.
        on_done: called for every picture.

    Raises:
        DataError: no face was found in any picture.
        MissingExtraError: scikit-image is not installed.
    """
    result = GroupResult()
    for picture in pictures:
        try:
            image = picture.read()
        except (MediaError, OSError) as error:
            result.problems.append((picture.name, error))
        else:
            result.pictures[picture.group] = result.pictures.get(picture.group, 0) + 1
            faces = result.faces.setdefault(picture.group, [])
            with suppress(NoFaceError):
                faces.append(_measure(image, find_faces(image, backend)[0], model, backend))
        if on_done is not None:
            on_done(picture)
    if not any(result.faces.values()):
        reason = f" ({': '.join(map(str, result.problems[0]))})" if result.problems else ""
        raise DataError(f"no face was found in any of the pictures{reason}")
    return result


def _measure(image: RGBImage, face: Face, model: FaceCycle, backend: FaceBackend) -> GroupFace:
    (frontal,) = move_faces(image, [face], model, FRONTAL)
    try:
        yaw_after = find_faces(frontal.result, backend)[0].pose.yaw
    except FaceError:
        yaw_after = None
    crop = Alignment.from_face(face, model.config.image_size).crop(image)
    cycle = _motion_cycle(model, crop)
    return GroupFace(face.pose.yaw, yaw_after, l1(cycle, crop), ssim(cycle, crop))


@torch.inference_mode()
def _motion_cycle(model: FaceCycle, crop: RGBImage) -> RGBImage:
    """The crop (S, S, 3) after its way to the neutral face and back."""
    x = model.to_input(crop)
    flow, backflow = model.decode_flow(model.encode_expression(x))
    again = model.re_express(model.de_express(x, flow), backflow)
    drawn: RGBImage = model.to_image(again)[0].numpy()
    return drawn


def _standard_error(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
