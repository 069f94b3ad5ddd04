"""A head that turns: what is around the face goes where it belongs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from facecycle_cli.faces import Alignment, Face, HeadPose
from facecycle_cli.faces.attention_mesh import BROWS
from facecycle_cli.media import read_image
from facecycle_cli.portrait.correction import sampled
from facecycle_cli.portrait.head import Head
from facecycle_cli.translate.measurement import measure_still
from facecycle_cli.translate.motion import Motion, motion_of_still
from facecycle_cli.translate.placement import IN_PICTURE
from facecycle_cli.translate.points import TargetPoints
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.source import crop_still
from facecycle_cli.translate.target import Target

FAR = 12
"""Points of the outer ring, the last ones: nothing there turns."""


@dataclass(frozen=True)
class Still:
    """A picture that performs its own motion: nothing moves."""

    picture: np.ndarray
    face: Face
    target: Target
    motion: Motion

    @property
    def points(self) -> TargetPoints:
        assert self.target._points is not None
        return self.target._points

    @property
    def to_crop(self) -> np.ndarray:
        """(2, 3), pixels of the picture to grid units of the crop."""
        return self.target.stage._layer._grid.to_crop

    def pixels(self, points: np.ndarray) -> np.ndarray:
        return (points - self.to_crop[:, 2]) @ np.linalg.inv(self.to_crop[:, :2]).T


@pytest.fixture(scope="module")
def still(model, backend, examples) -> Still:
    whole = read_image(examples / "faces" / "person2_neutral.jpg")
    picture = cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    face = backend.detect([picture])[0][0]
    settings = TranslateSettings(motion="absolute", paste_back=True, shading=1.0)
    seen = crop_still(picture, [face], "largest", model.config.image_size)
    motion = motion_of_still(measure_still(model, seen))
    return Still(picture, face, Target(picture, face, model, settings), motion)


def turned(head: Head, yaw: float, shift: float = 0.0) -> Head:
    """Turned about its middle, which goes to the right by ``shift`` sizes of the head."""
    angles = head.angles + np.array([yaw, 0, 0])
    behind = [HeadPose(*each).rotation[:2, 2] for each in (head.angles, angles)]
    moved = 0.8 * (behind[0] - behind[1]) + np.array([shift, 0])
    return replace(head, center=head.center + head.size * moved, angles=angles)


def performing(motion: Motion, head: Head) -> Motion:
    return replace(motion, head=head, slow=head)


@pytest.mark.parametrize("yaw", [20.0, -20.0])
def test_the_hairline_turns_with_the_face_and_what_is_around_the_head_does_not(still, yaw):
    wanted = still.points.moved(
        performing(still.motion, turned(still.motion.head, yaw))
    ).wanted.points
    moved = (wanted - still.points.own)[:, 0] * np.sign(yaw)
    hair, far = moved[still.face.topology.count : -FAR], moved[-FAR:]
    own = still.points.own[still.face.topology.count : -FAR]
    top, sides = hair[np.argmin(own[:, 1])], hair[[np.argmin(own[:, 0]), np.argmax(own[:, 0])]]
    forehead = moved[still.face.topology.oval[0]]
    assert 0.4 * forehead < top < forehead
    assert np.abs(sides).max() < 0.1 * forehead
    assert np.abs(far).max() < 0.05 * forehead


def test_a_source_that_begins_in_profile_leaves_the_head_on_its_neck(still):
    """What begins turned has turned about its neck; the face is not where it would be."""
    profile = turned(still.motion.head, -25.0)
    shape = still.motion.head.shape * 1.1  # another person: poses are not taken to be the same
    first = replace(profile, shape=shape)
    reference = replace(still.motion.reference, first=first)
    moved = (
        still.points.moved(
            replace(performing(still.motion, first), reference=reference)
        ).wanted.points
        - still.points.own
    )
    forehead = moved[still.face.topology.oval[0], 0]
    assert forehead < -0.1
    assert np.abs(moved[-FAR:, 0]).max() < 0.1 * abs(forehead)


@pytest.mark.parametrize(("yaw", "shift"), [(20.0, 0.5), (-20.0, 0.5), (0.0, -0.6)])
def test_ears_go_where_the_head_goes_however_far(still, yaw, shift):
    """The stretched background is further out."""
    motion = performing(still.motion, turned(still.motion.head, yaw, shift))
    (drawing,) = still.target.prepare([motion])
    wanted, own = (
        still.pixels(p) for p in (still.points.moved(motion).wanted.points, still.points.own)
    )
    ears = [i + still.face.topology.count for i in (8, 9, 27, 28)]
    moved = -sampled(drawing.displacement, wanted[ears], still.target.stage._to_cells)[:, 0]
    expected = (wanted - own)[ears, 0]
    np.testing.assert_allclose(moved, expected, atol=0.12 * abs(expected).max())


def test_light_ends_where_the_face_ends(still):
    motion = performing(still.motion, turned(still.motion.head, 15.0))
    light = motion.look.light + np.float32(0.3)
    dark, bright = (
        still.target.draw(still.target.prepare([each])[0]).astype(float).mean(-1)
        for each in (motion, replace(motion, look=replace(motion.look, light=light)))
    )
    wanted = still.points.moved(motion).wanted.points[: still.face.topology.count]
    pixels = still.pixels(wanted)
    face = np.zeros(dark.shape, np.uint8)
    cv2.fillConvexPoly(face, np.rint(cv2.convexHull(pixels.astype(np.float32))).astype(int), 1)
    width = int(np.ptp(pixels[:, 0]))
    beside = cv2.dilate(face, np.ones((3, 3)), iterations=width // 8) == 0
    within = cv2.erode(face, np.ones((3, 3)), iterations=width // 8) > 0
    change = np.log((bright + 1) / (dark + 1))
    assert np.abs(change[beside]).max() < 0.06
    assert change[within].mean() > 0.2


def photographed(still: Still, yaw: float) -> TargetPoints:
    """The face of the picture as if it had been photographed like that."""
    head = turned(still.points._head, yaw - still.points._head.angles[0])
    landmarks = (200 + 100 * head.in_space).astype(np.float32)
    face = replace(still.face, landmarks=landmarks)
    return TargetPoints(face, Alignment.from_face(face, 64), absolute=False, limits=IN_PICTURE)


@pytest.mark.parametrize("side", [1, -1])
def test_a_photograph_in_profile_hardly_turns_to_the_front(still, side):
    """Half of it was not seen. It turns away as any other."""
    rest = still.motion.head
    nose = still.face.topology.nose_tip

    def goes(points: TargetPoints, yaw: float) -> float:
        moved = points.moved(performing(still.motion, turned(rest, yaw))).wanted.points
        return abs(float((moved - points.own)[nose, 0])) / points._head.size

    frontal, profile = photographed(still, 0.0), photographed(still, 50.0 * side)
    assert goes(profile, -20.0 * side) < 0.3 * goes(frontal, 20.0)
    assert goes(profile, 10.0 * side) > goes(profile, -10.0 * side)


def test_a_photograph_in_profile_keeps_its_shape(still):
    """What a network guesses of its far half is not exchanged for the shape of a neutral face."""
    profile = photographed(still, 50.0)
    np.testing.assert_allclose(profile._neutral, profile._head.shape[:, :2], atol=1e-9)
    frontal = photographed(still, 0.0)
    assert np.abs(frontal._neutral - frontal._head.shape[:, :2]).max() > 0.003


def test_the_forehead_makes_room_for_raised_brows(still):
    """Brows that rise by as much as they are below it do not fold the skin between."""
    topology = still.face.topology
    head, brow, above = still.motion.head, topology.left_brow[2], 104
    shape = head.shape.copy()
    shape[BROWS, 1] -= shape[brow, 1] - shape[above, 1]
    raised = still.points.moved(performing(still.motion, replace(head, shape=shape)))
    gaps = [
        points[brow, 1] - points[above, 1] for points in (still.points.own, raised.wanted.points)
    ]
    assert 0.5 * gaps[0] < gaps[1] < gaps[0]
