"""A photograph that is turned by any angle becomes an upright portrait."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facecycle_cli.errors import CutFaceError, NoFaceError
from facecycle_cli.media import read_image
from facecycle_cli.portrait.crops import CropSettings, FailedCrop, Picture, crop_faces
from facecycle_cli.portrait.verbs import frontalize, neutralize
from facecycle_cli.verify.threshold import stored_threshold
from facecycle_cli.verify.verify import identity_embedding

SIZE = 128


def turned(image: np.ndarray, angle: float) -> np.ndarray:
    """The picture turned clockwise by so many degrees, on gray."""
    how = Image.Resampling.BICUBIC
    rotated = Image.fromarray(image).rotate(-angle, how, expand=True, fillcolor=(128, 128, 128))
    return np.asarray(rotated)


@pytest.mark.parametrize("person", [1, 4, 6])
def test_turned_photograph_becomes_an_upright_portrait(model, backend, examples, person):
    image = read_image(examples / "faces" / f"person{person}_smiling.jpg")
    image = np.asarray(Image.fromarray(image).reduce(2))
    made = []
    for angle in range(0, 360, 30):
        try:
            made.append(frontalize(turned(image, angle), model=model, backend=backend, size=SIZE))
        except NoFaceError:
            assert angle  # upright, it is found
    assert len(made) > 6
    found = [faces[0] for faces in backend.detect(made)]
    for face in found:
        assert face.five_points[:2, 1].max() < face.five_points[3:, 1].min()
        assert abs(face.pose.roll) < 15
    codes = identity_embedding(model, np.stack(made))
    assert (codes @ codes[0]).min() > stored_threshold(model).value


def test_turned_face_is_put_back_where_it_was(model, backend, smiling):
    upside_down = turned(smiling, 180)
    (face,) = backend.detect([upside_down])[0]
    pasted = neutralize(upside_down, model=model, backend=backend, size=SIZE, paste_back=True)
    assert abs(abs(face.pose.roll) - 180) < 15
    changed = np.argwhere((pasted != upside_down).any(-1))[:, ::-1]
    assert (changed.min(0) > face.oval.min(0) - 0.2 * np.ptp(face.oval, axis=0)).all()
    assert (changed.max(0) < face.oval.max(0) + 0.2 * np.ptp(face.oval, axis=0)).all()
    after = backend.detect([pasted])[0][0]
    assert abs(abs(after.pose.roll) - 180) < 15


def test_cut_face_is_refused_by_commands_and_crops_alike(model, backend, photograph, face):
    half = np.ascontiguousarray(photograph[:, : int(face.five_points[2, 0])])
    with pytest.raises(CutFaceError):
        frontalize(half, model=model, backend=backend, size=SIZE)
    settings = CropSettings(64)
    (result,) = crop_faces([Picture("half", half)], settings, backend)
    assert isinstance(result, FailedCrop)
    assert isinstance(result.problem, CutFaceError)
    (whole,) = crop_faces(
        [Picture("half", half)], CropSettings(64, whole_if_no_face=True), backend, workers=1
    )
    assert not isinstance(whole, FailedCrop)
    assert whole.whole


def test_crops_of_turned_photographs(backend, photograph):
    """An upside-down photograph gives the same crop as the photograph."""
    pictures = [Picture("", photograph), Picture("", turned(photograph, 180))]
    upright, upside_down = crop_faces(pictures, CropSettings(64), backend, workers=1)
    assert not isinstance(upright, FailedCrop)
    assert not isinstance(upside_down, FailedCrop)
    assert np.abs(upright.crop.astype(int) - upside_down.crop).mean() < 6
