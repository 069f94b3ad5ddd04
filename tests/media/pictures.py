"""Pictures as files in memory, and how far two pictures are from each other."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a, b) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())
