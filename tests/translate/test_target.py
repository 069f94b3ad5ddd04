"""The target's face: what other motions make of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from facecycle_cli.errors import CommandError, MediaError, NoFaceError
from facecycle_cli.faces import Face
from facecycle_cli.model import FaceCycle, preset
from facecycle_cli.portrait.head import Head
from facecycle_cli.portrait.neutral import neutral_shape
from facecycle_cli.translate.lids import upper_lids
from facecycle_cli.translate.motion import Motion, Reference
from facecycle_cli.translate.performers import find_performers
from facecycle_cli.translate.placement import UNMOVED, HeadPlacement, plane_motion
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.translate.target import EncodedFace, Target
from tests.translate.placed import alignment, plain_look


@pytest.fixture(scope="module")
def networks() -> FaceCycle:
    """Random ones whose flows are not small."""
    torch.manual_seed(1)
    model = FaceCycle(preset("small")).eval().requires_grad_(False)
    model.flow_decoder.to_flow.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def gray_levels(networks) -> float:
    """How many of them one unit of a normalized picture is."""
    return 255 * float(networks.input_std.min())


@pytest.fixture(scope="module")
def encoded(networks, picture) -> EncodedFace:
    return EncodedFace(networks, networks.to_input(alignment(70, 60, 64).crop(picture)))


def test_numbers_that_are_not_finite_are_not_drawn(networks, picture):
    broken = copy.deepcopy(networks)
    for parameter in broken.parameters():
        parameter.mul_(1e18)
    with pytest.raises(CommandError, match="draws faces that are not finite"):
        EncodedFace(broken, broken.to_input(alignment(70, 60, 64).crop(picture)))


def grid(side=24) -> torch.Tensor:
    line = torch.linspace(-1.2, 1.2, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def test_the_own_motion_changes_nothing_where_it_is_kept(encoded, gray_levels):
    (fields,) = encoded.fields(encoded.backflow, [UNMOVED], grid(), keep_own=True)
    inner = np.abs(fields.inside).max(axis=0) <= 1
    assert np.abs(fields.displacement).max() < 1e-5
    assert np.abs(fields.change * inner).max() < 1e-3 * gray_levels


def test_otherwise_it_is_the_cycle(encoded):
    (fields,) = encoded.fields(encoded.backflow, [UNMOVED], grid(), keep_own=False)
    assert np.abs(fields.displacement).max() > 1e-2


def test_a_batch_is_what_its_frames_are(encoded, gray_levels):
    torch.manual_seed(2)
    backflows = 0.1 * torch.randn(3, 2, 16, 16)
    moves = [
        plane_motion(HeadPlacement.of(alignment(50 + k, 40)), HeadPlacement.of(alignment()))
        for k in range(3)
    ]
    together = encoded.fields(backflows, moves, grid(), keep_own=True)
    assert len(together) == 3
    for k in range(3):
        (alone,) = encoded.fields(backflows[k : k + 1], moves[k : k + 1], grid(), keep_own=True)
        assert np.allclose(together[k].displacement, alone.displacement, atol=1e-4)
        assert np.allclose(together[k].change, alone.change, atol=1e-4 * gray_levels)
        assert np.allclose(together[k].inside, alone.inside, atol=1e-4)


def test_a_motion_in_the_plane_is_a_similarity(encoded):
    moved = plane_motion(
        HeadPlacement.of(alignment(54, 38, 84, 0.1)), HeadPlacement.of(alignment())
    )
    (fields,) = encoded.fields(encoded.backflow, [moved], grid(), keep_own=True)
    a, b = moved.inverse()
    points = grid().numpy().astype(np.float64) @ (1, 1j)
    expected = a * points + b
    assert np.allclose(fields.inside[0] + 1j * fields.inside[1], expected, atol=1e-5)
    displaced = fields.displacement[0] + 1j * fields.displacement[1] + points
    assert np.allclose(displaced, expected, atol=1e-4)


# -- motions ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def motion(face, encoded) -> Motion:
    """A motion like its reference."""
    placement = HeadPlacement.of(alignment())
    backflow = np.full(encoded.backflow.shape[1:], 0.01, np.float32)
    eyes, head, look = face.eye_opening, Head.of(face), plain_look()
    lids = upper_lids(head.shape, face.topology)
    reference = Reference(
        placement,
        placement,
        face.pose.yaw,
        backflow,
        0.0,
        eyes,
        lids,
        trust=1.0,
        roll_trust=1.0,
        head=head,
        first=head,
        neutral=neutral_shape(head),
        light=look.light,
        first_light=look.light,
    )
    return Motion(face, 0, placement, backflow, 0.0, eyes, lids, head, head, look, reference)


def target_of(photograph, face, networks, **settings) -> Target:
    """A target that the networks' flow alone moves."""
    return Target(
        photograph, face, networks, TranslateSettings(size=64, motion_from="networks", **settings)
    )


def test_a_head_moved_by_the_flow_begins_where_the_photograph_has_it(
    photograph, face, networks, motion
):
    """With absolute motion, wherever the source's head is when it is calm."""
    moved = replace(motion, placement=replace(motion.placement, center=9 + 9j))
    target = target_of(photograph, face, networks, motion="absolute")
    for first in (motion.placement, moved.placement):
        begun = replace(motion.reference, first_placement=first)
        still = target._plane_motion(replace(motion, placement=first, reference=begun))
        assert still.shift == 0
        gone = target._plane_motion(replace(moved, reference=begun))
        assert (gone.shift == 0) == (first == moved.placement)


def test_a_relative_motion_like_its_reference_leaves_the_photograph(
    photograph, face, networks, motion
):
    target = target_of(photograph, face, networks)
    (drawing,) = target.prepare([motion])
    assert drawing.opening == drawing.eyes_closed == 0
    assert np.abs(target.draw(drawing).astype(int) - target.stage.still).mean() < 0.5


@pytest.mark.parametrize(("mode", "opening"), [("relative", 0.3), ("absolute", 0.4)])
def test_the_mouth_opens_by_what_the_source_opens_it(
    photograph, face, networks, motion, mode, opening
):
    """Relative to the source's reference, or to the mouth in the target's photograph."""
    target = target_of(photograph, face, networks, motion=mode)
    motion = replace(
        motion,
        mouth=0.4 + (target.face.mouth_opening if mode == "absolute" else 0),
        reference=replace(motion.reference, mouth=0.1),
    )
    (drawing,) = target.prepare([motion])
    (unit,) = {drawing.opening / opening}
    assert unit == pytest.approx(_half_widths(target), rel=1e-5)


def _half_widths(target: Target) -> float:
    """Distance between the eyes in half widths of the mouth."""
    face: Face = target.face
    left, right = face.landmarks[[78, 308], :2]
    eyes = face.landmarks[list(face.topology.mouth)]
    distance = np.linalg.norm(eyes[1] - eyes[0]) / face.mouth_width
    return float(distance / (np.linalg.norm(right - left) / 2))


def test_with_flow_nothing_is_moved_by_landmarks(photograph, face, networks, motion):
    target = target_of(photograph, face, networks, mouth="flow")
    (drawing,) = target.prepare([replace(motion, mouth=0.5, eyes=0.0)])
    assert drawing.opening == drawing.eyes_closed == 0


def test_expected_yaw(photograph, face, networks, motion):
    target = target_of(photograph, face, networks)
    own = target.face.pose.yaw
    turned = replace(motion, reference=replace(motion.reference, yaw=motion.yaw - 10))
    assert target.expected_yaw(turned) == pytest.approx(own + 10)
    absolute = target_of(photograph, face, networks, motion="absolute")
    assert absolute.expected_yaw(turned) == pytest.approx(motion.yaw)


def test_no_motions_are_no_drawings(photograph, face, networks):
    assert target_of(photograph, face, networks).prepare([]) == []


def test_a_target_needs_a_face(backend, networks):
    lawn = np.full((90, 90, 3), 127, np.uint8)
    with pytest.raises(NoFaceError, match="no face found in the target"):
        find_performers(lawn, networks, backend, TranslateSettings())
    with pytest.raises(MediaError, match="uint8 RGB"):
        find_performers(lawn[..., 0], networks, backend, TranslateSettings())
