"""evaluate as a user runs it, on labeled faces that are not part of the repository."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")


def test_fer2013(run_here, shared_data, tmp_path):
    arrays = np.load(shared_data / "labelled" / "fer2013_part.npz")
    few = {name: arrays[name][::100] for name in arrays.files}
    np.savez(tmp_path / "few.npz", **few)
    done = run_here("evaluate", "expression", tmp_path / "few.npz", "--json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert numbers["layout"] == "npz"
    assert sum(numbers["class_counts"].values()) == numbers["pictures"] == 20
    assert 0 <= numbers["macro_recall"] <= 1


def test_help_names_the_three(run_here):
    text = run_here("evaluate", "--help").stdout.decode()
    assert all(name in text for name in ("expression", "pose", "reconstruction"))
