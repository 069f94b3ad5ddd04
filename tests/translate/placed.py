"""Faces in given places."""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.faces import Alignment, Face, HeadPose
from facecycle_cli.portrait.inside import MouthPatch
from facecycle_cli.translate.appearance import Appearance


def alignment(x=50.0, y=40.0, side=80.0, roll=0.0, size=64) -> Alignment:
    """The alignment of a face with its crop's center at (x, y), that wide, turned by ``roll``."""
    scale = size / side
    c, s = scale * math.cos(roll), scale * math.sin(roll)
    linear = np.array([[c, s], [-s, c]])
    middle = (size - 1) / 2
    return Alignment(np.column_stack([linear, middle - linear @ (x, y)]), size)


def posed(yaw: float = 0.0) -> Face:
    """A face with landmarks anywhere, and with that pose."""
    landmarks = np.random.default_rng(0).normal(size=(468, 3)).astype(np.float32)
    face = Face(np.zeros(4, np.float32), 1.0, landmarks, 1.0)
    face.__dict__["pose"] = HeadPose(yaw, 0.0, 0.0)  # as it is cached
    return face


def plain_look(count: int = 468) -> Appearance:
    """What a gray frame shows of a face."""
    edge = np.column_stack([np.linspace(10, 50, 11), np.full(11, 20)]).astype(np.float32)
    mouth = MouthPatch(np.full((40, 60, 3), 128, np.uint8), edge, edge)
    return Appearance(mouth, np.full(3, 128, np.float32), np.zeros(count, np.float32))
