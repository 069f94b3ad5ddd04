"""The neutral shape as people show it who were asked for a neutral face and for others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facecycle_cli.errors import DataError
from facecycle_cli.faces.canonical import frontal_shape
from facecycle_cli.faces.neutral_estimate import PosedEstimate, symmetric
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.training.landmarks import Points
from facecycle_cli.training.shapes import (
    FrontalShapes,
    check_shapes,
    damaged,
    load_arrays,
    save_arrays,
)

_COMPONENTS, _WIDTH = 24, 64
"""Principal components of frontal shapes, and channels of the network's hidden layers."""

_LEAST_PERSONS = 10
"""People with a neutral picture and another one, without whom nothing can be learned."""

_STEPS, _BATCH, _LR, _WEIGHT_DECAY = 2000, 256, 2e-3, 1e-4
_POSED, _RELATED = 0.3, 0.1
"""Share of a batch that shows posed faces, and share that shows a person whom another picture shows
with a neutral look. The rest is made of the neutral face of one person and the expression of
another.
"""
_UNPOSED = 0.1
"""Share of the batch whose expression was not posed."""

_MOST = 1.4
"""Expressions are learned from none (0) to this much of what was shown."""

_NOISE = 0.1
"""Of the shapes that the network sees, in units of their standard deviation."""

_FLOOR = 0.15
"""Added to the unit of every component: those that hardly vary are not to be blown up."""

_MAX_YAW = 25.0
"""Faces turned further, in degrees, are not compared with a neutral one of their person."""


class PosedFaces(NamedTuple):
    """The pictures of one person.

    Attributes:
        neutral: (n, 468, 3) landmarks of the neutral pictures, n > 0.
        others: (m, 468, 3) landmarks of the pictures with expressions.
    """

    neutral: Points
    others: Points


class _Examples(NamedTuple):
    """What the network learns from, as codes (N, K).

    Attributes:
        posed: with expressions or neutral, and their own neutral codes.
        related: pictures of people, and the neutral codes of the same people.
        neutral: codes of neutral faces.
    """

    posed: tuple[Tensor, Tensor]
    related: tuple[Tensor, Tensor]
    neutral: Tensor


@dataclass(frozen=True)
class PosedShape(PosedEstimate):
    """A small network that estimates a face's landmarks without its expression.

    It sees principal components of the frontal, left-right symmetric shape, and gives what to add
    to them. It learns from people who show expressions and their own neutral face, from neutral
    faces with the expressions of others, and from people with a neutral look in one of their
    pictures. On people left out of the fit (five folds of KDEF's fifty, six expressions), the way
    to the own neutral face was 0.53 with it and 0.39 with the linear :class:`.NeutralShape`
    (``benchmarks/neutral_shape.py``).
    """

    @classmethod
    def fit(cls, people: Sequence[PosedFaces], groups: Sequence[Points], seed: int) -> PosedShape:
        """Learn it, in about ten seconds.

        Args:
            people: with posed expressions.
            groups: landmarks (n, 468, 3) of n pictures each of other people; may be empty.
            seed: of everything random.

        Raises:
            DataError: too few people.
        """
        posing = [person for person in people if len(person.neutral) and len(person.others)]
        if len(posing) < _LEAST_PERSONS:
            raise DataError(
                f"needs {_LEAST_PERSONS} people with a neutral picture and another one, found "
                f"{len(posing)}"
            )
        posed = FrontalShapes.of([np.concatenate(person) for person in posing])
        own = np.concatenate(
            [
                _own_neutral(posed.shapes[posed.owners == number], person)
                for number, person in enumerate(posing)
            ]
        )
        many = FrontalShapes.of(groups) if groups else None
        shapes = posed.shapes if many is None else np.concatenate([posed.shapes, many.shapes])
        mean = shapes.mean(0)
        _, vectors = np.linalg.eigh(np.cov(shapes.T))
        basis = np.ascontiguousarray(vectors[:, : -_COMPONENTS - 1 : -1].T)

        def coded(rows: Points) -> Tensor:
            return torch.from_numpy(((rows - mean) @ basis.T).astype(np.float32))

        seen, wanted = _related(many) if many is not None else (shapes[:0], shapes[:0])
        looks = shapes[:0] if many is None else many.shapes[many.neutral]
        neutral = np.concatenate([np.unique(own, axis=0), looks])
        examples = _Examples(
            (coded(posed.shapes), coded(own)), (coded(seen), coded(wanted)), coded(neutral)
        )
        spread = torch.cat([examples.posed[0], examples.neutral]).std(0)
        unit = spread + _FLOOR * spread.square().mean().sqrt()
        layers = _learn(examples, unit, seed)
        arrays = {
            f"{kind}{number}": getattr(layer, kind).detach().double().numpy()
            for number, layer in enumerate(layers)
            for kind in ("weight", "bias")
        }
        return cls(mean, basis, unit.double().numpy(), **arrays)

    def __call__(self, landmarks: Points) -> Points:
        """Landmarks (468, 3) -> the neutral, frontal ones (468, 2), in fractions of the crop."""
        return self.of_shape(symmetric(frontal_shape(landmarks, MESH_468)))

    def save(self, path: Path) -> None:
        """Write to ``path``, which appears complete or not at all."""
        save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> PosedShape:
        """Read what :meth:`save` wrote.

        Raises:
            DataError: it is damaged, or not what :meth:`save` wrote.
        """
        arrays, length = load_arrays(path), 2 * MESH_468.count
        k, width = (
            len(arrays[name]) if arrays.get(name, np.zeros(())).ndim else 0
            for name in ("unit", "bias0")
        )
        wanted = {
            "mean": (length,), "basis": (k, length), "unit": (k,),
            "weight0": (width, k), "bias0": (width,),
            "weight1": (width, width), "bias1": (width,),
            "weight2": (k, width), "bias2": (k,),
        }  # fmt: skip
        try:
            check_shapes(arrays, wanted)
            if not (arrays["unit"] > 0).all():
                raise ValueError("unit is not above 0")
        except ValueError as error:
            raise damaged(path, error) from None
        return cls(**arrays)


def _own_neutral(shapes: Points, person: PosedFaces) -> Points:
    """For each of the person's shapes (n + m, 936), neutral ones first, the mean neutral one."""
    mean: Points = shapes[: len(person.neutral)].mean(0, keepdims=True)
    return np.repeat(mean, len(shapes), axis=0)


def _related(many: FrontalShapes) -> tuple[Points, Points]:
    """Shapes (P, 936) of people, and the mean of the neutral ones of their other pictures."""
    looks, seen, wanted = many.neutral, [many.shapes[:0]], [many.shapes[:0]]
    for i in np.flatnonzero(many.yaws < _MAX_YAW):
        others = looks & (many.owners == many.owners[i])
        others[i] = False
        if others.any():
            seen.append(many.shapes[i : i + 1])
            wanted.append(many.shapes[others].mean(0, keepdims=True))
    return np.concatenate(seen), np.concatenate(wanted)


def _learn(examples: _Examples, unit: Tensor, seed: int) -> list[nn.Linear]:
    """The layers of a network that has learned from the examples."""
    sizes = (len(unit), _WIDTH, _WIDTH, len(unit))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        nn.init.zeros_(layers[-1].weight)  # it begins as the estimate that changes nothing
        nn.init.zeros_(layers[-1].bias)
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = torch.optim.AdamW(parameters, _LR, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        scale = unit.mean()
        for _ in range(_STEPS):
            x, wanted = _draw(examples)
            x = x + _NOISE * scale * torch.randn(x.shape)
            found = x / unit
            for layer in layers[:-1]:
                found = F.silu(layer(found))
            error = (x + layers[-1](found) * unit - wanted) / scale
            optimizer.zero_grad()
            error.square().mean().backward()
            optimizer.step()
            schedule.step()
    return layers


def _draw(examples: _Examples) -> tuple[Tensor, Tensor]:
    """Codes of a batch of faces, and of their neutral faces."""
    (posed, own), (seen, known), neutral = examples
    related, unposed = (round(s * _BATCH) if len(seen) else 0 for s in (_RELATED, _UNPOSED))
    real = round(_POSED * _BATCH)
    made = _BATCH - real - related
    i, j, k = _random(posed, made - unposed), _random(seen, unposed), _random(neutral, made)
    expressions = torch.cat([posed[i] - own[i], seen[j] - known[j]])
    amounts = _MOST * torch.rand(made, 1)
    r, q = _random(posed, real), _random(seen, related)
    faces = torch.cat([neutral[k] + amounts * expressions, posed[r], seen[q]])
    return faces, torch.cat([neutral[k], own[r], known[q]])


def _random(rows: Tensor, count: int) -> Tensor:
    """Numbers of ``count`` random rows, which may repeat."""
    return torch.randint(max(1, len(rows)), (count,))
