"""Where the source's face is cut out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces.following import Sighting, skull_points
from facecycle_cli.translate.source import crop_sightings, crop_still


def test_a_still_head_has_a_still_crop(face, photograph):
    """Landmarks that tremble by half a pixel do not move the crops of a track."""
    rng = np.random.default_rng(0)
    sightings = []
    for _ in range(12):
        noise = rng.normal(0, 0.5, face.landmarks.shape).astype(np.float32)
        trembling = replace(face, landmarks=face.landmarks + noise)
        sightings.append(Sighting(photograph, trembling, 0, skull_points(trembling)))
    rough, smooth = (
        [seen.alignment.matrix for seen in crop_sightings(sightings, 64, width=width)]
        for width in (0.0, 3.0)
    )
    assert np.std(smooth, axis=0)[:, 2].max() < 0.7 * np.std(rough, axis=0)[:, 2].max()


def test_frames_without_a_face_have_no_crop(face, photograph):
    seen = Sighting(photograph, face, 3, skull_points(face))
    none, cropped, last = crop_sightings([None, seen, None], 64, width=1.0)
    assert none is None
    assert last is None
    np.testing.assert_array_equal(cropped.face.oval, face.oval)
    assert (cropped.track, cropped.crop.shape) == (3, (64, 64, 3))


def test_the_chosen_face_of_a_picture(face, photograph):
    shifted = replace(face, landmarks=face.landmarks + np.float32((200, 0, 0)))
    for choice, chosen in (("right", shifted), ("left", face)):
        found = crop_still(photograph, [face, shifted], choice, 64).face
        np.testing.assert_array_equal(found.oval, chosen.oval)
    with pytest.raises(NoFaceError, match="no face 2; it shows 1"):
        crop_still(photograph, [face], "2", 64)
    with pytest.raises(SettingsError, match="none of largest"):
        crop_still(photograph, [face], "first", 64)
