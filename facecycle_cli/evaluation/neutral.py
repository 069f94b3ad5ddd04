"""How near ``neutralize`` comes to the neutral photograph of the same person.

The neutral face is the one that the command makes of the picture. Landmarks of the input, of the
result and of the person's neutral photograph are compared after the similarity that aligns them
best, in distances between the centers of the photograph's eyes. The weights were taught by the
landmarks of a mesh: where that mesh also measures, it judges what it taught. Another judge is the
backend ``face-alignment``.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from facecycle_cli.errors import DataError, FaceError, MediaError, NoFaceError
from facecycle_cli.evaluation.motion_measures import eye_distance
from facecycle_cli.evaluation.neutral_results import NeutralFace, NeutralResult, Shown
from facecycle_cli.faces import Alignment, Face, FaceBackend
from facecycle_cli.faces.similarity import apply_affine, fit_similarity
from facecycle_cli.media import read_image
from facecycle_cli.media.posed import PosedPicture
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import Picture
from facecycle_cli.portrait.defaults import DEFAULT_SIZE
from facecycle_cli.portrait.motions import choose_motion
from facecycle_cli.portrait.portraits import find_faces, portraits
from facecycle_cli.types import MotionSource, MouthSource, RGBImage
from facecycle_cli.verify.verify import identity_embedding

__all__ = ["Neutralization", "evaluate_neutral"]

_SHOWN = 8
"""Faces that a report shows."""


@dataclass(frozen=True)
class Neutralization:
    """How faces are made neutral, and who measures them.

    Attributes:
        models: by name.
        backend: finds the faces for the commands.
        judge: finds the landmarks that are measured.
        mouth: as in ``neutralize``.
        motion_from: as in ``neutralize`` and ``frontalize``.
    """

    models: Mapping[str, FaceCycle]
    backend: FaceBackend
    judge: FaceBackend
    mouth: MouthSource = "landmarks"
    motion_from: MotionSource = "landmarks"


@dataclass(frozen=True)
class _Photo:
    """A picture and its face."""

    image: RGBImage
    face: Face


@dataclass
class _Measurements:
    """What was measured so far.

    Attributes:
        to_show: names of the pictures that a report shows.
        turned: for each model the yaws in pictures of any heads, before and after ``frontalize``.
        faces: of each model.
        shown: of each model.
        problems: (name, reason) of each picture that could not be used.
    """

    to_show: set[str]
    turned: dict[str, list[tuple[float, float]]]
    faces: dict[str, list[NeutralFace]]
    shown: dict[str, list[Shown]]
    problems: list[tuple[str, Exception]] = field(default_factory=list)


def evaluate_neutral(
    pictures: Sequence[PosedPicture],
    how: Neutralization,
    *,
    turned: Iterable[Picture] = (),
    on_done: Callable[[PosedPicture | Picture], None] | None = None,
) -> NeutralResult:
    """Compare the neutral face of every picture with its person's neutral photograph.

    Args:
        pictures: of people with a neutral picture and others, as
            :func:`~facecycle_cli.media.posed.find_posed` gives them.
        how: what makes and measures the faces.
        turned: pictures of heads that look anywhere; only the yaw that ``frontalize`` leaves is
            measured in them.
        on_done: called for every picture.

    Raises:
        DataError: not one pair could be measured; the message ends with the first reason.
    """
    faces: dict[str, list[NeutralFace]] = {name: [] for name in how.models}
    measured = _Measurements(
        _shown(pictures),
        {name: [] for name in how.models},
        faces,
        {name: [] for name in how.models},
    )
    for person in sorted({picture.person for picture in pictures}):
        _measure_person([p for p in pictures if p.person == person], how, measured, on_done)
    if not any(not face.is_neutral for each in faces.values() for face in each):
        message = "no face with an expression and with a neutral face of the same person"
        if measured.problems:
            name, error = measured.problems[0]
            message += f" ({name}: {error})"
        raise DataError(message)
    for picture in turned:
        try:
            source = picture.source
            image = source if isinstance(source, np.ndarray) else read_image(source)
            before = find_faces(image, how.judge)[0].pose.yaw
            for name, model in how.models.items():
                measured.turned[name].append((before, _frontal(image, model, how).pose.yaw))
        except (FaceError, MediaError, OSError) as error:
            measured.problems.append((picture.name, error))
        if on_done is not None:
            on_done(picture)
    return NeutralResult(faces, measured.shown, measured.problems, how.judge.name, measured.turned)


def _measure_person(
    pictures: Sequence[PosedPicture],
    how: Neutralization,
    measured: _Measurements,
    on_done: Callable[[PosedPicture | Picture], None] | None,
) -> None:
    photos: dict[str, _Photo] = {}
    for picture in sorted(pictures, key=lambda p: not p.is_neutral):
        try:
            image = picture.read()
            photos[picture.name] = _Photo(image, find_faces(image, how.judge)[0])
            own = _own_neutral(picture, [p for p in pictures if p.name in photos])
            for name, model in how.models.items():
                face, shown = _measure(picture, own, photos, model, how)
                measured.faces[name].append(face)
                if picture.name in measured.to_show:
                    measured.shown[name].append(shown)
        except (FaceError, MediaError, OSError) as error:
            measured.problems.append((picture.name, error))
            photos.pop(picture.name, None)
        if on_done is not None:
            on_done(picture)


def _own_neutral(picture: PosedPicture, known: Sequence[PosedPicture]) -> PosedPicture:
    """The neutral picture to compare with: of the same session, if names tell.

    Raises:
        NoFaceError: none of the person's neutral pictures can be used.
    """
    neutral = [other for other in known if other.is_neutral]
    if not neutral:
        raise NoFaceError("no neutral picture of this person shows a face")
    if picture.is_neutral:
        return picture
    return max(neutral, key=lambda p: difflib.SequenceMatcher(None, p.name, picture.name).ratio())


def _measure(
    picture: PosedPicture,
    own: PosedPicture,
    photos: Mapping[str, _Photo],
    model: FaceCycle,
    how: Neutralization,
) -> tuple[NeutralFace, Shown]:
    """One picture by one model.

    Raises:
        FaceError: the picture shows no face to the command, or its result none to the judge.
    """
    photo, wanted = photos[picture.name], photos[own.name].face
    remove = choose_motion("remove", mouth=how.mouth, motion_from=how.motion_from)
    (made,) = portraits(photo.image, remove, model=model, backend=how.backend)
    result = _face_of("neutral", made.result, how)
    side = model.verifier.side
    crops = [
        Alignment.from_face(face, side).crop(image)
        for face, image in ((photo.face, photo.image), (result, made.result))
    ]
    before, after = identity_embedding(model, np.stack(crops))
    measured = NeutralFace(
        name=picture.name,
        person=picture.person,
        expression=picture.expression,
        before=_distance(photo.face, wanted),
        after=_distance(result, wanted),
        mouth_before=_mouth_width(photo.face),
        mouth_after=_mouth_width(result),
        mouth_neutral=_mouth_width(wanted),
        identity_similarity=float(before @ after),
        yaw_before=photo.face.pose.yaw,
        yaw_after=_frontal(photo.image, model, how).pose.yaw,
    )
    reference = Alignment.from_face(wanted, DEFAULT_SIZE).crop(photos[own.name].image)
    return measured, Shown(made.crop, made.result, reference, measured)


def _frontal(image: RGBImage, model: FaceCycle, how: Neutralization) -> Face:
    """The face that ``frontalize`` makes of a picture, as the judge sees it.

    Raises:
        FaceError: there is no face.
    """
    keep = choose_motion("keep", motion_from=how.motion_from)
    (turned,) = portraits(image, keep, model=model, backend=how.backend)
    return _face_of("frontal", turned.result, how)


def _face_of(what: str, result: RGBImage, how: Neutralization) -> Face:
    """The face in a result, as the judge sees it.

    Raises:
        NoFaceError: there is none.
    """
    try:
        return find_faces(result, how.judge)[0]
    except FaceError as error:
        raise NoFaceError(f"its {what} face: {error}") from error


def _distance(face: Face, wanted: Face) -> float:
    """Mean distance of the landmarks, in the picture's plane, after the best similarity."""
    ours, theirs = (each.landmarks[:, :2].astype(np.float64) for each in (face, wanted))
    moved = apply_affine(fit_similarity(ours, theirs), ours)
    return float(np.linalg.norm(moved - theirs, axis=1).mean()) / eye_distance(wanted)


def _mouth_width(face: Face) -> float:
    """Between the corners of the mouth over the distance between the inner corners of the eyes."""
    points, topology = face.landmarks[:, :2].astype(np.float64), face.topology
    left, right = topology.mouth
    inner_left, inner_right = topology.left_lids[0][-1], topology.right_lids[0][0]
    between = float(np.linalg.norm(points[inner_right] - points[inner_left]))
    return float(np.linalg.norm(points[right] - points[left])) / max(1e-6, between)


def _shown(pictures: Sequence[PosedPicture]) -> set[str]:
    """Names of the pictures that a report shows: all expressions in turn, and many people."""
    left = [picture for picture in pictures if not picture.is_neutral]
    people, expressions = Counter[str](), Counter[str]()
    names = set[str]()
    while left and len(names) < _SHOWN:
        chosen = min(left, key=lambda p: (expressions[p.expression], people[p.person]))
        people[chosen.person] += 1
        expressions[chosen.expression] += 1
        names.add(chosen.name)
        left.remove(chosen)
    return names
