"""Several faces of one picture that perform together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.portrait.portraits import find_faces
from facecycle_cli.translate.performers import Performers, find_performers
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.stage import Drawing
from facecycle_cli.translate.target import Target

GROUP = TranslateSettings(target_face="all", paste_back=True)


@pytest.fixture(scope="module")
def targets(couple, model, backend) -> list[Target]:
    return [Target(couple, face, model, GROUP) for face in find_faces(couple, backend, "all")]


def drawing_of(target: Target, shift: float, brighter: float) -> Drawing:
    """Everything moves to the left by ``shift`` pixels and gets brighter."""
    shape = target.stage.points.shape[:2]
    move = np.zeros((*shape, 2), np.float32)
    move[..., 0] = shift
    return Drawing(move, np.full((*shape, 3), brighter, np.float32))


def test_without_a_motion_the_picture_is_the_photograph(targets, couple):
    still = tuple(drawing_of(target, 0, 0) for target in targets)
    assert np.array_equal(Performers(targets).draw(still), couple)


def test_each_face_has_its_own_drawing_and_no_seam(targets):
    """Close to a face the frame is what that target alone draws; in between it changes softly."""
    drawings = [drawing_of(target, 0, 30) for target in targets]
    frame = Performers(targets).draw(tuple(drawings)).astype(int)
    for target, drawing in zip(targets, drawings, strict=True):
        alone = target.draw(drawing).astype(int)
        x0, y0, x1, y1 = (int(v) for v in target.face.box)
        assert np.abs(frame[y0:y1, x0:x1] - alone[y0:y1, x0:x1]).max() <= 2
    rows = targets[0].stage.part[0]
    middle = (rows.start + rows.stop) // 2
    left, right = sorted(target.stage.part[1].start for target in targets)
    change = frame[middle] - targets[0].stage.still[middle].astype(int)
    assert np.abs(np.diff(change[right - 5 : right + 5], axis=0)).max() < 30
    assert left < right


def test_who_performs(couple, model, backend):
    with pytest.raises(SettingsError, match="need paste_back"):
        find_performers(couple, model, backend, TranslateSettings(target_face="all"))
    with pytest.raises(NoFaceError, match="in the target, no face 3; it shows 2"):
        find_performers(couple, model, backend, replace(GROUP, target_face="3"))
    assert len(find_performers(couple, model, backend, GROUP)._targets) == 2
