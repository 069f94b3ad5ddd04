"""Reconstruction: the cycles of the networks, and the neutral and mean faces that ship."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("skimage")

from facecycle_cli.errors import DataError, NoFaceError
from facecycle_cli.evaluation import reconstruction
from facecycle_cli.evaluation.reconstruction import (
    METRICS,
    STEPS,
    evaluate_reconstruction,
    shipped_faces,
)
from facecycle_cli.faces import load_backend
from facecycle_cli.media import read_image
from facecycle_cli.portrait.crops import CropSettings, Picture, face_crop
from facecycle_cli.portrait.portraits import move_crops
from facecycle_cli.portrait.verbs import neutralize_crops
from facecycle_cli.verify.verify import verify
from tests.cli.call import call


@pytest.fixture(scope="module")
def single_threaded():
    """The backend that evaluations use; commands have one of all cores."""
    return load_backend(threads=1)


@pytest.fixture(scope="module")
def pictures(examples) -> list[Picture]:
    return [Picture.file(examples / "faces" / f"person{i}_smiling.jpg") for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def measured(model, single_threaded, pictures):
    return evaluate_reconstruction({"small": model}, pictures, CropSettings(64), single_threaded)


def test_faces_are_what_the_command_writes(examples, tmp_path, model, single_threaded):
    photo = examples / "faces" / "person1_smiling.jpg"
    neutral, mean = shipped_faces(read_image(photo), model, single_threaded)
    for made, options in ((neutral, ()), (mean, ("--mean",))):
        out = tmp_path / f"out{len(options)}.png"
        assert call("neutralize", photo, *options, "-o", out).returncode == 0
        assert np.array_equal(read_image(out), made)


def test_similarities_are_those_of_verify(measured, examples, model, single_threaded, pictures):
    photos = [read_image(picture.source) for picture in pictures]
    neutral = [shipped_faces(photo, model, single_threaded)[0] for photo in photos]
    values = measured.results["small"].values
    for metric, shift in (("identity_similarity", 0), ("stranger_similarity", 1)):
        expected = [
            verify(photo, neutral[i - shift], model=model, backend=single_threaded).similarity
            for i, photo in enumerate(photos)
        ]
        assert values[metric] == pytest.approx(expected, abs=1e-5)


def test_report_shows_these_faces(measured, model, single_threaded, pictures):
    shown = measured.results["small"].shown
    assert shown.shape == (3, len(STEPS), 64, 64, 3)
    neutral, mean = shipped_faces(read_image(pictures[0].source), model, single_threaded)
    for step, made in (("neutral", neutral), ("mean face", mean)):
        quarter = made.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        assert np.abs(shown[0, STEPS.index(step)] - quarter).max() <= 1


def test_bounds(measured):
    values = {name: summary.mean for name, summary in measured.results["small"].metrics.items()}
    assert values["neutral_asymmetry"] < values["input_asymmetry"]
    assert values["neutral_motion"] < values["input_motion"]
    assert values["identity_similarity"] > values["stranger_similarity"]
    assert 0 < values["motion_cycle_l1"] < 0.05 < values["identity_cycle_l1"] < 0.5
    spread = measured.results["small"].spread
    assert spread["mean_face"] < spread["neutral"] < spread["input"]


def test_json(measured):
    fields = measured.to_json()
    assert list(fields) == ["counts", "results"]
    assert fields["counts"] == {"faces": 3, "skipped": 0}
    numbers = fields["results"]["small"]
    assert list(numbers) == [*METRICS, "metrics", "spread"]
    for name in METRICS:
        assert list(numbers["metrics"][name]) == ["mean", "std", "median"]
        assert numbers["metrics"][name]["mean"] == numbers[name]
    assert list(numbers["spread"]) == ["input", "neutral", "mean_face"]


def test_aligned_crops_are_moved_as_they_are(model, single_threaded, smiling):
    crop = face_crop(smiling, CropSettings(256), single_threaded)
    neutral, mean = shipped_faces(crop, model, single_threaded, aligned=True)
    assert np.array_equal(neutral, neutralize_crops(model, crop[None])[0])
    assert np.array_equal(mean, move_crops(model, crop[None], reconstruction.MEAN)[0][0])


def test_batches_make_no_difference(model, single_threaded, pictures, measured, monkeypatch):
    monkeypatch.setattr(reconstruction, "_BATCH", 1)
    several = evaluate_reconstruction(
        {"small": model}, [*pictures, *pictures], CropSettings(64), single_threaded
    )
    one = measured.results["small"].values["motion_cycle_l1"]
    assert several.results["small"].values["motion_cycle_l1"] == pytest.approx([*one, *one])


def test_what_cannot_be_used_is_a_problem(model, single_threaded, pictures, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    blank = Picture("blank", np.full((90, 120, 3), 200, np.uint8))
    bad = [Picture.file(tmp_path / "gone.jpg"), Picture.file(tmp_path / "text.jpg"), blank]
    done = []
    result = evaluate_reconstruction(
        {"small": model}, [pictures[0], *bad, pictures[1]], CropSettings(64), single_threaded,
        on_done=done.append,
    )  # fmt: skip
    assert result.faces == 2
    assert [name for name, _ in result.problems] == [picture.name for picture in bad]
    assert len(done) == 5
    with pytest.raises(DataError, match="at least two faces"):
        evaluate_reconstruction({"small": model}, [pictures[0]], CropSettings(64), single_threaded)


def test_a_neutral_picture_without_a_face_is_a_problem(
    model, single_threaded, pictures, monkeypatch
):
    blank = np.full((256, 256, 3), 128, np.uint8)
    calls = []

    def spoiled(photo, *arguments, **options):
        calls.append(photo)
        made = shipped_faces(photo, *arguments, **options)
        return (blank, blank) if len(calls) == 2 else made

    monkeypatch.setattr(reconstruction, "shipped_faces", spoiled)
    result = evaluate_reconstruction({"small": model}, pictures, CropSettings(64), single_threaded)
    ((name, problem),) = result.problems
    assert (result.faces, name) == (2, pictures[1].name)
    assert isinstance(problem, NoFaceError)
    assert "neutral" in str(problem)
