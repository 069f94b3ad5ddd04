"""A part of the fuzzing of inputs, the same in every run. The rest: python -m tests.fuzz.inputs."""

from __future__ import annotations

import random

import pytest

from . import inputs

_CASES = {"pictures": 400, "tables": 400, "checkpoints": 120, "videos": 36}


@pytest.mark.slow
@pytest.mark.parametrize("name", _CASES)
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, name):
    kind = inputs.kinds(tmp_path)[name]
    outcome = inputs.run(kind, _CASES[name], random.Random(1), tmp_path / "kept")
    assert not outcome.wrong
    assert outcome.counts["refused"] > _CASES[name] // 20
    assert outcome.counts.total() == _CASES[name]
