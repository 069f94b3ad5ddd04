"""How far a motion goes: its strength, and the angles at which it leaves the head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from facecycle_cli.errors import SettingsError
from facecycle_cli.faces import HeadPose
from facecycle_cli.faces.similarity import apply_affine

__all__ = [
    "MAX_PITCH",
    "MAX_ROLL",
    "MAX_STRENGTH",
    "MAX_YAW",
    "WHOLE",
    "Dials",
    "check_strength",
    "part_of_way",
    "rolled",
    "scaled_flows",
    "turn_in_plane",
]

_Way = TypeVar("_Way", float, np.ndarray)

MAX_STRENGTH = 1.5
"""The most of a motion: half as much again."""

MAX_YAW, MAX_PITCH, MAX_ROLL = 25.0, 15.0, 45.0
"""Degrees to which a head is turned at most: a photograph shows little of what lies further."""

_REACH = 25.0
"""Degrees of yaw by which a head is turned at most, except to the front, where its other half
completes it."""

_ASIDE = 3.0
"""Degrees of yaw from which the networks' flow, which turns a head to the front, is known to turn
it."""


def check_strength(strength: float) -> None:
    """Raises SettingsError: ``strength`` is out of its range."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise SettingsError(f"strength must be from 0 to {MAX_STRENGTH}, not {strength}")


@dataclass(frozen=True)
class Dials:
    """How far a motion goes.

    Attributes:
        strength: share of the way, 0..1.5: 0 leaves the face as it is, 1 is the whole motion.
        yaw: of the head at the end of the way in degrees, as :class:`.HeadPose` has it, -25..25;
            None: 0, the front.
        pitch: the same, -15..15; None: what the motion leaves of it.
        roll: the same, -45..45, clockwise; None: 0, upright.

    Raises:
        SettingsError: one of them is out of its range.
    """

    strength: float = 1.0
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None

    def __post_init__(self) -> None:
        check_strength(self.strength)
        for name, most in (("yaw", MAX_YAW), ("pitch", MAX_PITCH), ("roll", MAX_ROLL)):
            angle = getattr(self, name)
            if angle is not None and not -most <= angle <= most:
                raise SettingsError(f"{name} must be from {-most:g} to {most:g}, not {angle}")

    @property
    def are_neutral(self) -> bool:
        """Whether they leave the motion as it is."""
        return self == WHOLE

    @property
    def turn_away(self) -> bool:
        """Whether the head ends somewhere else than in front of the camera."""
        return self.has_angle or self.strength != 1

    @property
    def has_angle(self) -> bool:
        """Whether the head is turned to an angle that was asked for."""
        return bool(self.yaw or self.pitch or self.roll)

    @property
    def change(self) -> float:
        """How much of the networks' own drawing counts, 0..1: none where nothing changes."""
        return min(1.0, self.strength)

    def pose(self, own: HeadPose, pitch: float, *, overshoot: bool) -> HeadPose:
        """The pose at the end of the way.

        Args:
            own: of the head in the photograph, its crop being upright: roll does not count.
            pitch: where the motion takes the pitch, in degrees.
            overshoot: whether a strength above 1 turns the head further.
        """
        share = self.strength if overshoot else self.change
        least, most = min(0.0, own.yaw - _REACH), max(0.0, own.yaw + _REACH)
        yaw = float(np.clip(self.yaw or 0.0, least, most))
        wanted = pitch if self.pitch is None else self.pitch
        return HeadPose(
            part_of_way(own.yaw, yaw, share),
            part_of_way(own.pitch, wanted, share),
            share * (self.roll or 0.0),
        )

    def flow_share(self, own_yaw: float) -> float:
        """How much of the networks' flow, which turns a head to the front, is to be used."""
        if self.yaw is None:
            return self.strength
        if abs(own_yaw) < _ASIDE:
            return 0.0 if abs(self.yaw) > _ASIDE else self.strength
        return self.strength * float(np.clip(1 - self.yaw / own_yaw, 0, 1))


WHOLE = Dials()
"""The motion as it is."""


def part_of_way(start: _Way, end: _Way, share: float) -> _Way:
    """``start`` at a share of 0, ``end`` at 1: exactly, and so the same bytes."""
    return end if share == 1 else start + share * (end - start)


def scaled_flows(flow: Tensor, yaws: Sequence[float], dials: Dials) -> Tensor:
    """The networks' flows of N faces as far as the dials say; their pitch is the networks' own.

    Args:
        flow: (N, 2, h, w), from the result to the crop, in grid units.
        yaws: of the N heads, in degrees.
        dials: how far the motion goes.
    """
    if dials.are_neutral:
        return flow
    shares = torch.tensor([dials.flow_share(yaw) for yaw in yaws]).view(-1, 1, 1, 1)
    flow = flow * shares.to(flow)
    roll = dials.strength * (dials.roll or 0.0)
    if not roll:
        return flow
    grids = flow.permute(0, 2, 3, 1).cpu().numpy()
    turned = np.stack([rolled(np.ascontiguousarray(grid), roll) for grid in grids])
    return torch.from_numpy(turned).permute(0, 3, 1, 2).to(flow)


def rolled(flow: np.ndarray, roll: float) -> np.ndarray:
    """A flow whose result is turned clockwise by ``roll`` degrees around the middle of the crop.

    Args:
        flow: (n, n, 2) float32, from the result to the crop, in grid units.
        roll: in degrees.
    """
    if not roll:
        return flow
    n = len(flow)
    line = np.linspace(-1, 1, n)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    upright = grid @ turn_in_plane(-roll).T
    to_cells = np.array([[1.0, 0, 1], [0, 1, 1]]) * (n - 1) / 2
    cells = apply_affine(to_cells, upright).astype(np.float32).reshape(n, n, 2)
    found = cv2.remap(
        flow, cells[..., 0], cells[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    there = (upright - grid).reshape(n, n, 2) + found
    return np.ascontiguousarray(there, np.float32)


def turn_in_plane(degrees: float) -> np.ndarray:
    """(2, 2): turns points clockwise in a picture, whose y leads down."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])
