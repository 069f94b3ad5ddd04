"""What verification compares."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from facecycle_cli.errors import CommandError
from facecycle_cli.model import preset
from facecycle_cli.model.config import VerifierConfig
from facecycle_cli.model.verifier import Verifier


def test_without_whitening_codes_become_unit_vectors():
    code = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    verifier = Verifier(preset("paper"))
    assert verifier.size == 0
    assert not verifier.state_dict()
    assert torch.allclose(verifier.whiten(code), code / code.norm(dim=1, keepdim=True))
    with pytest.raises(ValueError, match="no whitening"):
        verifier.fit(code)


def test_whitening_finds_people_under_a_strong_common_direction():
    """Two pictures of a person differ in the light, by far the largest part of the code."""
    generator = torch.Generator().manual_seed(0)
    config = replace(preset("small"), code_size=32, verifier=VerifierConfig("code", 31))
    light = torch.randn(32, generator=generator)
    persons = torch.randn(400, 32, generator=generator)

    def pictures(codes):
        return codes + 2 * torch.randn(len(codes), 1, generator=generator) * light + 5

    verifier = Verifier(config)
    verifier.fit(pictures(persons[:300]))
    a, b = pictures(persons[300:]), pictures(persons[300:])

    def found(left, right):
        return (left @ right.T).argmax(1).eq(torch.arange(len(left))).float().mean().item()

    plain = torch.nn.functional.normalize
    assert verifier.whiten(a).shape == (100, 31)
    assert torch.allclose(verifier.whiten(a).norm(dim=1), torch.ones(100))
    assert found(plain(a), plain(b)) < 0.4
    assert found(verifier.whiten(a), verifier.whiten(b)) > 0.9


def test_what_differs_between_pictures_of_a_person_counts_less():
    """Two thirds of the directions change from picture to picture, none by its sheer size."""
    generator = torch.Generator().manual_seed(0)
    config = replace(preset("small"), code_size=30, verifier=VerifierConfig("code", 30))

    def pictures(persons):
        return torch.cat((persons, torch.randn(len(persons), 20, generator=generator)), dim=1)

    def same(verifier):
        return (verifier.whiten(a) * verifier.whiten(b)).sum(1).mean()

    people = torch.randn(300, 10, generator=generator)
    a, b = pictures(people), pictures(people)
    plain, aware = Verifier(config), Verifier(config)
    faces = pictures(torch.randn(400, 10, generator=generator))
    plain.fit(faces)
    several = torch.stack([pictures(people[:40]) for _ in range(5)])
    within = (several - several.mean(0)).flatten(0, 1)
    aware.fit(faces, within)
    assert same(aware) > same(plain) + 0.1
    unmoved = Verifier(config)
    unmoved.fit(faces, torch.zeros(6, 30))  # frames of a still: nothing to be learned from them
    assert torch.equal(unmoved.matrix, plain.matrix)


def test_fewer_faces_than_features_give_the_same_directions():
    """Both of the two matrices from which the components can be had."""
    generator = torch.Generator().manual_seed(0)
    config = replace(preset("small"), code_size=60, verifier=VerifierConfig("code", 4))
    faces = torch.randn(50, 60, generator=generator)
    faces[:, :4] *= 10
    few, many = Verifier(config), Verifier(config)
    few.fit(faces)
    many.fit(faces.repeat(2, 1))  # the same faces twice: 100 rows
    cosines = few.whiten(faces) @ few.whiten(faces).T - many.whiten(faces) @ many.whiten(faces).T
    assert cosines.abs().max() < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("size", [0, 8])
def test_features_that_are_not_finite_are_not_compared(value, size):
    """Their cosine would be no number, or 0 for whatever face."""
    config = replace(preset("small"), code_size=8, verifier=VerifierConfig("code", size))
    features = torch.ones(3, 8)
    Verifier(config).whiten(features)
    features[1, 2] = value
    with pytest.raises(CommandError, match="are not finite: nothing can be compared"):
        Verifier(config).whiten(features)
