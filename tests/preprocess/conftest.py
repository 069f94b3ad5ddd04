"""Sources, and a stand-in for the work on them that takes no time."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.faces import load_backend
from facecycle_cli.media import read_image
from facecycle_cli.preprocess import PreprocessSettings
from facecycle_cli.preprocess import run as runner
from facecycle_cli.preprocess.extract import Extraction, extract_crops
from facecycle_cli.preprocess.index import to_line
from facecycle_cli.preprocess.sources import Source, find_sources
from facecycle_cli.preprocess.store import open_sink
from facecycle_cli.preprocess.workers import SourceResult, WorkerTask, failed_result, result_of
from tests.clips import make_clip

Status = Callable[[Source], str]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of somebody who talks: five frames are kept of it."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def pretend(source: Source, task: WorkerTask, status: str = "done") -> SourceResult:
    """A result as process_source has it; the crops are their own names."""
    if status != "done":
        return failed_result(source, f"it is {status}", status=status)
    staged = task.staging / secrets.token_hex(8)
    if source.is_file_target:
        staged = staged.with_suffix(".jpg")
    sink = open_sink(source, task.settings, staged)
    lines = []
    count = 1 if source.is_file_target else 2 + len(source.id) % 3
    for i in range(count):
        name = f"{i:06d}.jpg"
        if source.numbered:
            name = f"{1 + i // 2:04d}/{name}"
        if source.is_file_target:
            name = ""
        path = f"{source.target}/{name}" if name else f"{source.target}.jpg"
        line = to_line({"path": path, "source": source.id, "frame": i})
        data = path.encode("utf-8", "surrogateescape")
        sink.add(name, data * 40, line, data if task.settings.landmarks else None)
        lines.append(line)
    sink.close()
    return result_of(source, Extraction("done", None, lines, count, 1), staged)


class InstantPool:
    """Works in this process, in reversed order as if the first sources took longest."""

    def __init__(self, task: WorkerTask, status: Status) -> None:
        self._task = task
        self._status = status

    def run(self, sources: Iterable[Source]) -> Iterator[SourceResult | int]:
        for source in reversed(list(sources)):
            yield 3
            yield pretend(source, self._task, self._status(source))


@pytest.fixture
def instantly(monkeypatch: pytest.MonkeyPatch) -> Callable[[Status], None]:
    """Let runs take no time; called with a function, that decides the status of each source."""

    def use(status: Status = lambda _: "done") -> None:
        monkeypatch.setattr(runner, "_pool", lambda task, *_: InstantPool(task, status))

    use()
    return use


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Empty files that are named like sources of all kinds."""
    names = [
        "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
        "dev/mp4/id00012/21Uxsk56VDQ/00002.mp4",
        "test/mp4/id00017/01dfn2spqyE/00001.mp4",
        "A.J._Buckley/1.6/Y8hIVOBuels/0000025.jpg",
        "A.J._Buckley/1.6/Y8hIVOBuels/0000050.jpg",
        "alice/trip/day1.mp4",
        'alice/trip/day 2 "it\'s"\nlonger.mp4',
        "alice/portrait.jpg",
        "bob/ünïcode.webm",
        "top.mov",
        "top.jpg",
    ]
    root = tmp_path / "tree"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """One source of each kind."""
    root = tmp_path / "few"
    for name in ("id00001/v/00001.mp4", "a.mp4", "b/c.jpg", "D/1.6/v/1.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


class Shelf:
    """A sink in memory."""

    def __init__(self) -> None:
        self.crops: dict[str, np.ndarray] = {}
        self.landmarks: dict[str, bytes | None] = {}

    def add(self, name: str, data: bytes, line: str, landmarks: bytes | None) -> None:
        path = json.loads(line)["path"]
        self.crops[path] = read_image(data)
        self.landmarks[path] = landmarks

    def clear(self) -> None:
        self.crops = {}


@pytest.fixture(scope="module")
def backend():
    return load_backend("mesh", threads=1)


@pytest.fixture
def crops_of(backend):
    def run(path: Path, **settings) -> tuple[Extraction, list[dict], dict[str, np.ndarray]]:
        chosen = PreprocessSettings(**settings)
        (source,) = find_sources(str(path), chosen)
        shelf = Shelf()
        found = extract_crops(source, chosen, backend, shelf, lambda _: None)
        return found, [json.loads(line) for line in found.lines], shelf.crops

    return run
