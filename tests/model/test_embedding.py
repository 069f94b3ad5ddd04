"""Whitened identity codes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from facecycle_cli.model import preset
from facecycle_cli.model.embedding import Embedding


def test_without_whitening_codes_become_unit_vectors():
    code = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    embedding = Embedding(preset("paper"))
    assert not embedding.state_dict()
    assert torch.allclose(embedding(code), code / code.norm(dim=1, keepdim=True))
    with pytest.raises(ValueError, match="no whitening"):
        embedding.fit(code)


def test_whitening_finds_people_under_a_strong_common_direction():
    """Two pictures of a person differ in the light, by far the largest part of the code."""
    generator = torch.Generator().manual_seed(0)
    config = replace(preset("small"), code_size=32, embedding_size=31)
    light = torch.randn(32, generator=generator)
    persons = torch.randn(400, 32, generator=generator)

    def pictures(codes):
        return codes + 2 * torch.randn(len(codes), 1, generator=generator) * light + 5

    embedding = Embedding(config)
    embedding.fit(pictures(persons[:300]))
    a, b = pictures(persons[300:]), pictures(persons[300:])

    def found(left, right):
        return (left @ right.T).argmax(1).eq(torch.arange(len(left))).float().mean().item()

    plain = torch.nn.functional.normalize
    assert embedding(a).shape == (100, 31)
    assert torch.allclose(embedding(a).norm(dim=1), torch.ones(100))
    assert found(plain(a), plain(b)) < 0.4 < 0.9 < found(embedding(a), embedding(b))
