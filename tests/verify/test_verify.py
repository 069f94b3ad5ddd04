"""Two pictures, and many pairs of them, as library calls."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from facecycle_cli.errors import DataError, EvaluationError, NoFaceError, ThresholdError
from facecycle_cli.model import load
from facecycle_cli.portrait.likeness import identity_embedding
from facecycle_cli.verify.verify import verify, verify_many


@pytest.fixture(scope="module")
def blank() -> np.ndarray:
    return np.full((90, 120, 3), 200, np.uint8)


def test_a_picture_and_itself(model, backend, photograph):
    verdict = verify(photograph, photograph, model=model, backend=backend)
    assert verdict.similarity == pytest.approx(1, abs=1e-5)
    assert (verdict.same, verdict.word) == (True, "same")


def test_threshold_is_the_checkpoints_or_the_one_that_is_given(model, backend, smiling, photograph):
    stored = verify(smiling, photograph, model=model, backend=backend)
    assert stored.threshold.measured_on
    assert stored.same == (stored.similarity >= stored.threshold.value)
    for given, word in ((-1.0, "same"), (1.0, "different")):
        verdict = verify(smiling, photograph, model=model, backend=backend, threshold=given)
        assert (verdict.threshold.value, verdict.word) == (given, word)


def test_no_threshold_anywhere(backend, photograph):
    bare = load()
    bare.checkpoint.metadata["verification"] = {}
    with pytest.raises(ThresholdError, match="no verification threshold"):
        verify(photograph, photograph, model=bare, backend=backend)
    assert verify(photograph, photograph, model=bare, backend=backend, threshold=0.5).same


def test_many_give_what_each_gives(model, backend, smiling, photograph):
    both = verify_many(
        [smiling, photograph], [photograph, photograph], model=model, backend=backend
    )
    alone = verify(smiling, photograph, model=model, backend=backend)
    assert both[0].similarity == pytest.approx(alone.similarity, abs=1e-5)
    assert both[1].similarity > both[0].similarity
    assert verify_many([], [], model=model, backend=backend) == []


def test_lists_of_different_length(model, backend, photograph):
    with pytest.raises(DataError, match="2 pictures cannot be compared with 1"):
        verify_many([photograph] * 2, [photograph], model=model, backend=backend)


def test_no_face(model, backend, photograph, blank):
    with pytest.raises(NoFaceError, match="no face found"):
        verify(photograph, blank, model=model, backend=backend)


def test_embeddings_are_unit_vectors_whatever_the_batch(model):
    crops = np.random.default_rng(0).integers(0, 256, (20, 48, 48, 3), dtype=np.uint8)
    together = identity_embedding(model, crops)
    assert together.shape == (20, 256)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[17:], identity_embedding(model, crops[17:]), atol=1e-4)


def test_a_similarity_that_is_no_number_is_no_verdict(model, backend, photograph, monkeypatch):
    with pytest.raises(EvaluationError, match="not a finite number"):
        verify(photograph, photograph, model=model, backend=backend, threshold=float("nan"))

    def nothing(model, crops):
        return np.full((len(crops), 4), np.nan, np.float32)

    monkeypatch.setattr(sys.modules[verify.__module__], "identity_embedding", nothing)
    for threshold in (0.0, -1.0):
        with pytest.raises(EvaluationError, match="not a finite number"):
            verify(photograph, photograph, model=model, backend=backend, threshold=threshold)
