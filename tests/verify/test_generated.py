"""What verification measures of generated faces is what the commands write, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from facecycle_cli.errors import DataError, NoFaceError
from facecycle_cli.faces import load_backend
from facecycle_cli.media import read_image, write_image
from facecycle_cli.portrait.verbs import frontalize_crops, neutralize_crops
from facecycle_cli.verify import generated
from facecycle_cli.verify.generated import (
    AgainstSettings,
    generate,
    generate_crops,
    verify_against,
)
from facecycle_cli.verify.pairs import Pair
from facecycle_cli.verify.verify import verify
from tests.cli.call import call

KINDS = ("frontalize", "neutralize", "translate")


@pytest.fixture(scope="module")
def single_threaded():
    """The backend that evaluations use; commands have one of all cores."""
    return load_backend(threads=1)


@pytest.fixture(scope="module")
def pairs(examples) -> list[Pair]:
    """Two pairs of the same person and two of different people."""
    faces = examples / "faces"
    name = "{}/person{}_{}.jpg".format
    return [
        Pair(name(faces, 1, "smiling"), name(faces, 1, "neutral"), same=True),
        Pair(name(faces, 2, "smiling"), name(faces, 2, "neutral"), same=True),
        Pair(name(faces, 1, "smiling"), name(faces, 2, "neutral"), same=False),
        Pair(name(faces, 2, "smiling"), name(faces, 1, "neutral"), same=False),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_is_what_the_command_writes(kind, examples, tmp_path, model, single_threaded):
    photo, source = (examples / "faces" / f"person{i}_smiling.jpg" for i in (1, 3))
    out = tmp_path / "out.png"
    inputs = (source, photo) if kind == "translate" else (photo,)
    assert call(kind, *inputs, "-o", out).returncode == 0
    made = generate(
        read_image(photo), kind, model=model, backend=single_threaded, source=read_image(source)
    )
    assert np.array_equal(read_image(out), made)


@pytest.mark.parametrize("kind", KINDS)
def test_is_compared_as_files_are(kind, pairs, model, backend, monkeypatch):
    made = {}
    whole = generated.generate

    def remember(photo, *arguments, **options):
        made[photo.tobytes()] = whole(photo, *arguments, **options)
        return made[photo.tobytes()]

    monkeypatch.setattr(generated, "generate", remember)
    result = verify_against(pairs, AgainstSettings(kind), model, backend)
    assert (result.against, result.pairs, result.skipped) == (kind, 4, 0)
    assert result.problems == []
    assert len(result.examples) == len(made) == 4
    for example in result.examples:
        assert example.original.shape == example.generated.shape == (128, 128, 3)
    first = read_image(pairs[0].a)
    verdict = verify(first, made[first.tobytes()], model=model, backend=backend)
    assert result.examples[0].similarity == pytest.approx(verdict.similarity, abs=1e-5)


def test_numbers_and_their_keys(pairs, model, backend):
    result = verify_against(pairs, AgainstSettings("neutralize", threshold=0.3), model, backend)
    assert result.generated.auc == 1
    fields = result.to_json()
    assert list(fields) == [
        "against", "pairs", "accuracy", "accuracy_originals", "accuracy_across", "skipped",
        "originals", "generated", "across",
    ]  # fmt: skip
    assert fields["accuracy"] == fields["generated"]["accuracy"]
    assert fields["across"]["at_threshold"]["threshold"] == 0.3


def test_a_generated_picture_without_a_face_is_a_problem(pairs, model, backend, monkeypatch):
    blank = np.full((256, 256, 3), 128, np.uint8)
    neutral = read_image(pairs[0].b)

    def spoiled(photo, *arguments, **options):
        if photo.shape == neutral.shape and (photo == neutral).all():
            return blank
        return generate(photo, *arguments, **options)

    monkeypatch.setattr(generated, "generate", spoiled)
    result = verify_against(
        [*pairs, Pair(pairs[0].a, pairs[1].a, same=False)],
        AgainstSettings("neutralize"), model, backend,
    )  # fmt: skip
    ((name, problem),) = result.problems
    assert name == f"{pairs[0].b}, neutralized"
    assert isinstance(problem, NoFaceError)
    assert (result.pairs, result.skipped) == (3, 2)


def test_a_photograph_that_the_command_refuses_is_a_problem(pairs, model, backend, monkeypatch):
    def refuse(*_, **__):
        raise NoFaceError("no face found")

    monkeypatch.setattr(generated, "generate", refuse)
    with pytest.raises(DataError, match="none of the pairs"):
        verify_against(pairs, AgainstSettings("frontalize"), model, backend)


def test_nobody_takes_their_own_motion(pairs, model, backend, monkeypatch):
    taken = []

    def remember(photo, against, *, model, backend, source):
        taken.append((photo.tobytes(), source.tobytes()))
        return photo

    monkeypatch.setattr(generated, "generate", remember)
    verify_against(pairs, AgainstSettings("translate"), model, backend)
    assert len(taken) == 4
    assert all(photo != source for photo, source in taken)
    assert {photo for photo, _ in taken} == {source for _, source in taken}


class TestAligned:
    def test_crops_are_moved_by_the_crop_functions(self, model):
        crops = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
        for kind, function in (("frontalize", frontalize_crops), ("neutralize", neutralize_crops)):
            assert np.array_equal(generate_crops(model, crops, kind), function(model, crops))

    def test_a_crop_that_takes_its_own_motion_stays(self, model, examples, backend):
        from facecycle_cli.portrait.crops import CropSettings, face_crop

        photo = read_image(examples / "faces" / "person1_smiling.jpg")
        crop = face_crop(photo, CropSettings(128), backend)[None]
        made = generate_crops(model, crop, "translate", crop)
        assert np.abs(made.astype(int) - crop).mean() < 8

    def test_pairs_of_crops(self, pairs, model, backend, tmp_path):
        from facecycle_cli.portrait.crops import CropSettings, face_crop

        names = dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b))
        crop_of = {}
        for i, name in enumerate(names):
            crop_of[name] = str(tmp_path / f"{i}.png")
            crop = face_crop(read_image(name), CropSettings(144), backend)
            write_image(crop, crop_of[name], provenance=None)
        crops = [Pair(crop_of[pair.a], crop_of[pair.b], pair.same) for pair in pairs]
        for kind in KINDS:
            result = verify_against(crops, AgainstSettings(kind, aligned=True), model, backend)
            assert (result.pairs, result.problems) == (4, [])

    def test_translate_needs_a_source(self, model, backend, smiling):
        with pytest.raises(DataError, match="to take the motion"):
            generate(smiling, "translate", model=model, backend=backend)
        with pytest.raises(DataError, match="to take the motions"):
            generate_crops(model, smiling[None, :64, :64], "translate")
