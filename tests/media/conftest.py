"""One clip for all tests of videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from .videos import SINE, make, pattern


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """30 frames at 30000/1001 with sound (AAC)."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make(path, *pattern(), *SINE, "-frames:v", "30", "-pix_fmt", "yuv420p", "-c:a", "aac")
