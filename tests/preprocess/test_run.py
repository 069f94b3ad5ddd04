"""A run is the same whatever happens on the way: full disks, several machines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facecycle_cli.errors import OutputError, PreprocessError, SettingsError
from facecycle_cli.media import Provenance, open_video, write_image
from facecycle_cli.media.files import LeftOut
from facecycle_cli.preprocess import Events, PreprocessSettings, preprocess, read_crops, read_index
from facecycle_cli.preprocess.index import Journal, Records
from tests.clips import digests

FORMATS = ("folder", "webdataset")


def run(tree: Path, folder: Path, format_: str = "folder", **options):
    settings = PreprocessSettings(format=format_, landmarks=options.pop("landmarks", True))
    return preprocess([str(tree)], folder, settings, **options)


def statuses(folder: Path) -> dict[str, str]:
    return {line["source"]: line["status"] for line in read_index(folder) if "status" in line}


def test_finished_sources_are_not_touched_again(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    (first,) = run(tree, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    def never(source):
        raise AssertionError(f"{source.id} is done again")

    instantly(never)
    (second,) = run(tree, folder)
    assert (second.sources, second.known, second.counts) == (first.sources, first.sources, {})
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


class LeftOutEvents(Events):
    """Keeps what was left out."""

    def __init__(self) -> None:
        self.count = 0

    def left_out(self, left_out: LeftOut) -> None:
        self.count += left_out.results


def add_results(root: Path, photo) -> None:
    """A photograph and a video that facecycle made."""
    tag = Provenance("translate")
    write_image(photo, root / "b" / "made.png", provenance=tag)
    with open_video(root / "made.mp4", Fraction(10), (32, 32), provenance=tag) as video:
        video.write(np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("shares", [1, 3])
def test_results_are_no_sources(instantly, few, tmp_path, photo, shares):
    expected = {}
    for name, results in (("plain", False), ("out", True)):
        if results:
            add_results(few, photo)
        left_out = 0
        for number in range(1, shares + 1):
            events = LeftOutEvents()
            (summary,) = run(few, tmp_path / name, share=(number, shares), events=events)
            left_out += events.count
            assert not summary.has_failures
        assert left_out == (2 if results else 0)
        expected[name] = digests(tmp_path / name)
    assert expected["out"] == expected["plain"]
    assert [p.name for p in (tmp_path / "out").glob("index*")] == ["index.jsonl"]  # merged


def test_a_result_that_is_named_is_a_source(instantly, few, tmp_path, photo):
    add_results(few, photo)
    run(few / "made.mp4", tmp_path / "out")
    assert statuses(tmp_path / "out") == {"made.mp4": "done"}


def test_what_failed_is_tried_again_what_is_unreadable_is_not(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    odd = {"top.mov": "failed", "day1.mp4": "unreadable", "portrait.jpg": "no-face"}
    instantly(lambda source: odd.get(os.path.basename(source.path), "done"))
    (first,) = run(tree, folder)
    assert first.counts == {"done": 7, "failed": 1, "unreadable": 1, "no-face": 1}
    assert first.reasons[("failed", "it is failed")] == 1
    assert first.has_failures
    tried = []
    instantly(lambda source: tried.append(source.id) or "done")
    (second,) = run(tree, folder)
    assert tried == ["tree/top.mov"]
    assert not second.has_failures
    found = statuses(folder)
    assert found["tree/top.mov"] == "done"
    assert found["tree/alice/trip/day1.mp4"] == "unreadable"
    assert len(found) == 10


def test_the_index_is_sorted_and_tells_all(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, folder)
    lines = list(read_index(folder))
    assert [line["source"] for line in lines] == sorted(line["source"] for line in lines)
    crops = list(read_crops(folder))
    pictures = {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")}
    assert {crop["path"] for crop in crops} == pictures
    counted = {line["source"]: line["crops"] for line in lines if "status" in line}
    assert sum(counted.values()) == len(crops)


def test_lines_are_in_the_index_as_soon_as_their_source_is_through(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    seen = []

    class Watching(Events):
        def finished(self, result):
            seen.append(statuses(folder)[result.source.id])
            for crop in read_crops(folder):
                assert (folder / crop["path"]).is_file()

    run(tree, folder, events=Watching())
    assert seen == ["done"] * 10


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_add_up_to_the_whole(instantly, tree, tmp_path, format_, order):
    run(tree, tmp_path / "one", format_)
    folder = tmp_path / "shared"
    sources = []
    for number in order:
        assert not Records.load(folder).are_merged or number == order[0]
        (summary,) = run(tree, folder, format_, share=(number, 3))
        sources.append(summary.sources)
    assert sum(sources) == 10
    assert not list(folder.glob("index.*-of-*.jsonl"))
    if format_ == "folder":
        assert digests(folder) == digests(tmp_path / "one")
    else:

        def samples(f: Path) -> list[dict]:
            return [line for line in read_index(f) if "shard" not in line]

        assert samples(folder) == samples(tmp_path / "one")
        packed = [s for line in read_index(folder) for s in line.get("sources", [])]
        assert len(packed) == len(set(packed)) == 10


def test_shares_may_run_at_the_same_time(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, tmp_path / "one")
    begun = []

    class Nested(Events):
        def finished(self, result):
            if not begun:
                begun.append(True)
                run(tree, folder, share=(2, 2))

    run(tree, folder, share=(1, 2), events=Nested())
    assert begun
    assert digests(folder) == digests(tmp_path / "one")


def test_a_run_may_go_on_with_another_number_of_shares(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, folder, share=(2, 3))
    run(tree, folder)
    run(tree, tmp_path / "one")
    assert digests(folder) == digests(tmp_path / "one")


def test_more_inputs_may_follow_into_the_same_folder(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    more = tmp_path / "more"
    more.mkdir()
    (more / "new.mp4").touch()
    run(tree, folder)
    run(more, folder)
    assert len(statuses(folder)) == 11
    assert Records.load(folder).are_merged


def test_a_second_run_at_the_same_time_is_refused(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    refusals = []

    class Second(Events):
        def finished(self, result):
            try:
                run(tree, folder)
            except PreprocessError as error:
                refusals.append(str(error))

    run(tree, folder, events=Second())
    assert set(refusals) == {"another run is writing index.jsonl"}


def test_other_settings_are_refused(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, folder)
    before = digests(folder)
    with pytest.raises(SettingsError, match=r"made with fps 5\.0, not 10"):
        preprocess([str(tree)], folder, PreprocessSettings(fps=10))
    assert digests(folder) == before


def test_a_folder_from_before_there_were_landmarks_goes_on_without(instantly, tree, tmp_path):
    folder = tmp_path / "out"
    run(tree, folder, landmarks=False)
    config = json.loads((folder / "config.json").read_text())
    del config["landmarks"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=r"made with landmarks False, not True"):
        run(tree, folder)
    run(tree, folder, landmarks=False)
    assert not list(folder.rglob("*.npy"))


def test_a_folder_of_something_else_is_refused(instantly, tree):
    with pytest.raises(SettingsError, match="not empty, and not made by preprocess"):
        run(tree, tree)
    (tree / "config.json").write_text("{")
    with pytest.raises(SettingsError, match="damaged"):
        run(tree, tree)


def test_sources_that_would_share_a_folder_are_told_apart(instantly, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "alice").mkdir(parents=True)
        (tmp_path / name / "alice" / "a.mp4").touch()
    summaries = preprocess(
        [str(tmp_path / "one"), str(tmp_path / "two")], tmp_path / "out", PreprocessSettings()
    )
    assert [summary.counts for summary in summaries] == [{"done": 1}, {}]
    assert summaries[1].problem.startswith("another source has crops at alice/a")
    (again,) = preprocess([str(tmp_path / "two")], tmp_path / "out", PreprocessSettings())
    assert again.problem == summaries[1].problem


def full_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    writes = iter(range(after))
    real = Path.write_bytes

    def write_bytes(path, data):
        if next(writes, None) is None:
            real(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device", str(path))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    instantly, tree, tmp_path, monkeypatch, after
):
    run(tree, tmp_path / "one")
    folder = tmp_path / "out"
    with monkeypatch.context() as patch:
        full_disk(patch, after)
        with pytest.raises(OutputError, match="No space left on device"):
            run(tree, folder)
    for crop in read_crops(folder):
        assert (folder / crop["path"]).stat().st_size % 40 == 0
    run(tree, folder)
    assert digests(folder) == digests(tmp_path / "one")


def test_a_journal_that_cannot_take_a_block_has_none_of_it(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal.append(['{"source": "a", "status": "done", "target": "a", "crops": 0}\n'])

        class Full:
            def __init__(self, file):
                self.file = file

            def write(self, data):
                if len(data) <= 10:
                    raise OSError(28, "No space left on device")
                return self.file.write(data[:-10])

            def __getattr__(self, name):
                return getattr(self.file, name)

        journal._file = Full(journal._file)
        with pytest.raises(OutputError, match="No space left"):
            journal.append(['{"source": "b", "status": "done", "target": "b", "crops": 0}\n'])
    assert [line["source"] for line in read_index(tmp_path)] == ["a"]


def test_an_index_damaged_in_the_middle_is_said_so(instantly, tree, tmp_path):
    run(tree, tmp_path / "out")
    path = tmp_path / "out" / "index.jsonl"
    lines = path.read_text().splitlines()
    damaged = next(i for i, line in enumerate(lines) if "status" in json.loads(line))
    path.write_text("\n".join([*lines[:damaged], '{"source": \0\0', *lines[damaged + 1 :], ""]))
    with pytest.raises(PreprocessError, match=r"index\.jsonl is damaged"):
        run(tree, tmp_path / "out")
