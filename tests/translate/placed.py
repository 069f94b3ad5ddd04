"""Faces in given places."""

from __future__ import annotations

import math

import numpy as np

from facecycle_cli.faces import Alignment


def alignment(x=50.0, y=40.0, side=80.0, roll=0.0, size=64) -> Alignment:
    """The alignment of a face with its crop's center at (x, y), that wide, turned by ``roll``."""
    scale = size / side
    c, s = scale * math.cos(roll), scale * math.sin(roll)
    linear = np.array([[c, s], [-s, c]])
    middle = (size - 1) / 2
    return Alignment(np.column_stack([linear, middle - linear @ (x, y)]), size)
