"""The way to the own neutral face that the guide's neutral shape knows, for people left out.

    python benchmarks/neutral_shape.py kdef50.tar people104.tar allages.tar

The first argument holds posed expressions, the others more people. Five folds over the people of
the first: both estimates are fitted to four and measured on the fifth, by landmarks on the crops.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.faces.similarity import apply_affine, fit_similarity
from facecycle_cli.media.posed import find_posed
from facecycle_cli.training.data.discover import find_crops
from facecycle_cli.training.data.frames import FrameStore, middle_square
from facecycle_cli.training.landmarks import Points
from facecycle_cli.training.neutral_shape import NeutralEstimate, NeutralShape
from facecycle_cli.training.posed_shape import PosedFaces, PosedShape
from facecycle_cli.training.shapes import FrontalShapes

FOLDS, SIDE, EACH, MOST = 5, 144, 8, 1200
Person = dict[str, list[Points]]
"""Landmarks (468, 3) by expression."""


def posed_people(data: str, read: LandmarkReader) -> list[Person]:
    """The landmarks of everybody who poses in ``data``."""
    people: dict[str, Person] = defaultdict(lambda: defaultdict(list))
    for picture in find_posed(data):
        landmarks = read(middle_square(picture.read(), SIDE))
        if landmarks is not None:
            people[picture.person][picture.expression].append(landmarks)
    return [people[name] for name in sorted(people)]


def more_people(data: list[str], read: LandmarkReader) -> list[Points]:
    """Landmarks (n, 468, 3) of up to eight pictures each of many people."""
    if not data:
        return []
    index = find_crops(data)
    store, rng = FrameStore(index, SIDE, keep=False), np.random.default_rng(0)
    groups = []
    for group in rng.permutation(index.groups)[:MOST].tolist():
        start, stop = map(int, index.starts[group : group + 2])
        images = [store.frame(i) for i in rng.permutation(np.arange(start, stop))[:EACH].tolist()]
        faces = [
            face for image in images if image is not None and (face := read(image)) is not None
        ]
        if faces:
            groups.append(np.stack(faces))
    return groups


def distance(shape: Points, wanted: Points) -> float:
    """Between landmarks (468, 2), mean, after the best similarity."""
    moved = apply_affine(fit_similarity(shape, wanted), shape)
    return float(np.linalg.norm(moved - wanted, axis=1).mean())


def measure(people: list[Person], fit: Callable[[list[Person]], NeutralEstimate]) -> None:
    """Print the share of the way for each expression."""
    before, after = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for fold in range(FOLDS):
        estimate = fit([p for i, p in enumerate(people) if i % FOLDS != fold])
        for person in people[fold::FOLDS]:
            neutral = FrontalShapes.of([np.stack(person["neutral"])]).shapes.mean(0).reshape(-1, 2)
            for expression, faces in person.items():
                for face in faces:
                    shape = FrontalShapes.of([face[None]]).shapes.reshape(-1, 2)
                    before[expression].append(distance(shape, neutral))
                    after[expression].append(distance(estimate(face), neutral))
    ways = {name: 1 - sum(after[name]) / sum(before[name]) for name in before if name != "neutral"}
    cells = [f"{name} {way:.2f}" for name, way in sorted(ways.items())]
    sys.stdout.write("  ".join([*cells, f"mean {np.mean(list(ways.values())):.3f}\n"]))


def main(posed: str, *others: str) -> None:
    """Measure both estimates."""
    read = LandmarkReader()
    people, groups = posed_people(posed, read), more_people(list(others), read)

    def taught(chosen: list[Person]) -> NeutralEstimate:
        faces = [
            PosedFaces(
                np.stack(person["neutral"]),
                np.concatenate([np.stack(f) for name, f in person.items() if name != "neutral"]),
            )
            for person in chosen
        ]
        return PosedShape.fit(faces, groups, seed=0)

    def linear(chosen: list[Person]) -> NeutralEstimate:
        rng, own = np.random.default_rng(0), []
        for person in chosen:  # as many as training takes of a group
            faces = np.concatenate([np.stack(faces) for faces in person.values()])
            own.append(rng.permutation(faces)[:EACH])
        return NeutralShape.fit([*groups, *own])

    sys.stdout.write(f"{len(people)} people with posed expressions, {len(groups)} others\n")
    for name, fit in (("PosedShape", taught), ("NeutralShape", linear)):
        sys.stdout.write(f"{name:12s}  ")
        measure(people, fit)


if __name__ == "__main__":
    main(*sys.argv[1:])
