"""What a dry run works on, and what it makes of that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from facecycle_cli.errors import SettingsError
from facecycle_cli.preprocess import PreprocessSettings, estimate, preprocess
from facecycle_cli.preprocess.estimate import _choose
from facecycle_cli.preprocess.sources import Source
from tests.clips import FACES, make_clip


def test_samples_are_of_every_kind_however_rare_it_is():
    photos = [Source(f"p{i}", "", "photo", "", False) for i in range(1000)]
    videos = [Source(f"v{i}", "", "video", "", False) for i in range(3)]
    chosen = [source.id for source in _choose([*photos, *videos])]
    assert {name for name in chosen if name[0] == "v"} == {"v0", "v1", "v2"}
    assert [name for name in chosen if name[0] == "p"] == [f"p{i}" for i in range(0, 1000, 125)]
    assert "v" in {name[0] for name in chosen[:2]}
    assert _choose([]) == []


def test_few_sources_are_all_tried_so_that_the_estimate_is_what_comes(tmp_path: Path):
    root = tmp_path / "mixed"
    make_clip(root / "a" / "short.mp4", seconds=0.4)
    make_clip(root / "a" / "long.mp4", seconds=1.2, filters="scale=180:144")
    for face in FACES[:2]:
        shutil.copy(face, root)
    (entry,) = estimate([str(root)], tmp_path / "out", PreprocessSettings())
    assert not (tmp_path / "out").exists()
    (tally,) = preprocess([str(root)], tmp_path / "out", PreprocessSettings(), workers=1)
    assert (entry.sources, entry.known) == (tally.sources, 0) == (4, 0)
    assert entry.crops == tally.crops == 2 + 6 + 2
    pictures = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.jpg"))
    assert entry.output_bytes == pictures
    (rest,) = estimate([str(root)], tmp_path / "out", PreprocessSettings())
    assert (rest.sources, rest.known, rest.crops) == (4, 4, None)


def test_refuses_a_folder_of_other_settings(tmp_path: Path):
    root = tmp_path / "in"
    make_clip(root / "a.mp4", seconds=0.2)
    preprocess([str(root)], tmp_path / "out", PreprocessSettings(), workers=1)
    with pytest.raises(SettingsError, match="made with size 128, not 64"):
        estimate([str(root)], tmp_path / "out", PreprocessSettings(size=64))
