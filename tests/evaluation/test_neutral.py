"""What evaluate neutral makes of distances, and that it measures what neutralize makes."""

from __future__ import annotations

import numpy as np
import pytest

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.neutral import Neutralization, evaluate_neutral
from facecycle_cli.evaluation.neutral_results import NeutralFace, NeutralSummary
from facecycle_cli.faces import load_backend
from facecycle_cli.media import read_image
from facecycle_cli.media.posed import find_posed
from facecycle_cli.model import load
from facecycle_cli.portrait.verbs import neutralize

NUMBERS = {
    "before": 0.04, "after": 0.01, "mouth_before": 1.6, "mouth_after": 1.3, "mouth_neutral": 1.2,
    "identity_similarity": 0.8, "yaw_before": 0.0, "yaw_after": 0.0,
}  # fmt: skip


def face(expression="smiling", **numbers):
    return NeutralFace("a", "1", expression, **{**NUMBERS, **numbers})


def test_shares_of_the_way():
    faces = [
        face(),
        face(before=0.08, after=0.05),
        face("sad", before=0.02, after=0.03, mouth_before=9.0),
        face("neutral", before=0.0, after=0.004),
    ]
    summary = NeutralSummary.of(faces)
    assert summary.way == pytest.approx({"smiling": 0.5, "sad": -0.5})
    assert summary.way_mean == pytest.approx(0)
    assert summary.smile_removed == pytest.approx(0.75)
    assert summary.neutral_moved == pytest.approx(0.004)
    assert summary.yaw_slope is None  # all look straight ahead
    nothing = NeutralSummary.of([face("fear")])
    assert (nothing.smile_removed, nothing.neutral_moved) == (None, None)


def test_yaw_that_frontalize_leaves():
    faces = [face(yaw_before=yaw, yaw_after=0.1 * yaw + 1) for yaw in (-20.0, 0.0, 20.0)]
    summary = NeutralSummary.of(faces)
    assert summary.yaw_slope == pytest.approx(0.1)
    assert summary.yaw_before == pytest.approx(40 / 3)
    more = NeutralSummary.of([face()], [(-30.0, -15.0), (30.0, 15.0)])
    assert more.yaw_slope == pytest.approx(0.5)


def test_the_neutral_face_is_that_of_the_command(examples):
    pictures = [p for p in find_posed(examples / "faces") if p.person == "person2"]
    assert len(pictures) == 2
    model, backend = load(), load_backend(threads=1)
    result = evaluate_neutral(pictures, Neutralization({"it": model}, backend, backend))
    assert result.counts == {"pictures": 2, "people": 1, "turned": 0, "skipped": 0}
    faces = {face.name: face for face in result.faces["it"]}
    for picture in pictures:
        assert faces[picture.name].is_neutral == picture.is_neutral
        assert (faces[picture.name].before < 1e-9) == picture.is_neutral
    for shown in result.shown["it"]:
        photo = read_image(shown.face.name)
        assert np.array_equal(shown.result, neutralize(photo, model=model, backend=backend))
    assert [shown.face.person for shown in result.shown["it"]] == ["person2"]
    removed = NeutralSummary.of(result.faces["it"]).smile_removed
    assert 0.7 < removed < 1.5
    how = Neutralization({"it": model}, backend, backend, motion_from="networks")
    alone = evaluate_neutral(pictures, how)
    assert 0 < NeutralSummary.of(alone.faces["it"]).smile_removed < removed


def test_without_a_neutral_picture_there_is_nothing_to_compare(examples, tmp_path):
    (tmp_path / "1_neutral.png").write_bytes(b"broken")
    (tmp_path / "1_smiling.jpg").write_bytes(
        (examples / "faces" / "person1_smiling.jpg").read_bytes()
    )
    backend = load_backend(threads=1)
    how = Neutralization({"it": load()}, backend, backend)
    with pytest.raises(
        DataError, match=r"no face with an expression and with a neutral face .*1_neutral\.png"
    ):
        evaluate_neutral(find_posed(tmp_path), how)
