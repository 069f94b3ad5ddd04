"""What a dry run works on, and what it makes of that."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from facecycle_cli.errors import SettingsError
from facecycle_cli.preprocess import PreprocessSettings, estimate, preprocess
from facecycle_cli.preprocess.sources import Source
from facecycle_cli.preprocess.workers import SourceResult
from tests.clips import FACES, make_clip

module = import_module("facecycle_cli.preprocess.estimate")  # its function has the same name


def test_samples_are_of_every_kind_however_rare_it_is():
    photos = [Source(f"p{i}", "", "photo", "", False) for i in range(1000)]
    videos = [Source(f"v{i}", "", "video", "", False) for i in range(3)]
    chosen = [source.id for source in module._choose([*photos, *videos])]
    assert {name for name in chosen if name[0] == "v"} == {"v0", "v1", "v2"}
    assert [name for name in chosen if name[0] == "p"] == [f"p{i}" for i in range(0, 1000, 125)]
    assert "v" in {name[0] for name in chosen[:2]}
    assert module._choose([]) == []


def test_few_sources_are_all_tried_so_that_the_estimate_is_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_PATIENCE", math.inf)  # on a slow machine, too
    root = tmp_path / "mixed"
    make_clip(root / "a" / "short.mp4", seconds=0.4)
    make_clip(root / "a" / "long.mp4", seconds=1.2, filters="scale=180:144")
    for face in FACES[:2]:
        shutil.copy(face, root)
    (entry,) = estimate([str(root)], tmp_path / "out", PreprocessSettings())
    assert not (tmp_path / "out").exists()
    (summary,) = preprocess([str(root)], tmp_path / "out", PreprocessSettings(), workers=1)
    assert (entry.sources, entry.known) == (summary.sources, 0) == (4, 0)
    assert entry.crops == summary.crops == 2 + 6 + 2
    crops = (path for suffix in ("jpg", "npy") for path in (tmp_path / "out").rglob(f"*.{suffix}"))
    pictures = sum(path.stat().st_size for path in crops)
    assert entry.output_bytes == pictures
    (rest,) = estimate([str(root)], tmp_path / "out", PreprocessSettings())
    assert (rest.sources, rest.known, rest.crops) == (4, 4, None)


class TimedPool:
    """Takes three seconds to start, two for a video and a half for a photograph, by its clock."""

    def __init__(self, *_) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def run(self, sources: Iterable[Source]) -> Iterator[SourceResult]:
        self.now += 3
        for source in sources:
            self.now += 2 if source.kind == "video" else 0.5
            yield SourceResult(source, "done", None, None, [], 4, 5)


@pytest.mark.parametrize(("patience", "measured"), [(math.inf, 8), (0.0, 1)])
def test_seconds_are_those_of_the_samples_times_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float, measured: int
):
    """What the start takes does not count; a kind that is rare is measured before time is up."""
    for i in range(16):
        (tmp_path / "in" / f"{i}").mkdir(parents=True)
        (tmp_path / "in" / f"{i}" / "a.mp4").write_bytes(b"12345")
        (tmp_path / "in" / f"{i}" / "b.jpg").write_bytes(b"123")
    pool = TimedPool()
    results: list[SourceResult] = []

    def run(sources: Iterable[Source]) -> Iterator[SourceResult]:
        for result in TimedPool.run(pool, sources):
            results.append(result)
            yield result

    monkeypatch.setattr(pool, "run", run)
    monkeypatch.setattr(module, "LocalPool", lambda *_: pool)
    monkeypatch.setattr(module, "time", pool)
    monkeypatch.setattr(module, "_PATIENCE", patience)
    (entry,) = estimate([str(tmp_path / "in")], tmp_path / "out", PreprocessSettings(), workers=4)
    assert (entry.sources, entry.input_bytes) == (32, 16 * 8)
    assert entry.seconds == pytest.approx(16 * (2 + 0.5) / 4)
    assert entry.crops == pytest.approx(32 * 4)
    assert len(results) == 1 + 2 * measured


def test_refuses_a_folder_of_other_settings(tmp_path: Path):
    root = tmp_path / "in"
    make_clip(root / "a.mp4", seconds=0.2)
    preprocess([str(root)], tmp_path / "out", PreprocessSettings(), workers=1)
    with pytest.raises(SettingsError, match="made with size 128, not 64"):
        estimate([str(root)], tmp_path / "out", PreprocessSettings(size=64))
