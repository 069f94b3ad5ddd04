"""verify as a user runs it: its streams, real pairs, and the same from two processes."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("sklearn")


def test_rows_on_stdout_notes_on_stderr(run_here, examples):
    text = "person1_neutral.jpg\tperson1_smiling.jpg\t1\nperson1_neutral.jpg\tgone.jpg\t0\n"
    text += "person2_neutral.jpg\tperson3_smiling.jpg\t0\n"
    done = run_here(
        "verify", "--pairs", "-", "--root", examples / "faces", "--json", stdin=text.encode()
    )
    assert done.returncode == 1
    *rows, summary = map(json.loads, done.stdout.decode().splitlines())
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert summary["pairs_compared"] == 2
    assert b"gone.jpg: No such file or directory" in done.stderr


def test_portraits(run_here, shared_data):
    arguments = ("verify", "--pairs", shared_data / "portraits", "--draw", "20", "--json")
    done = run_here(*arguments)
    summary = json.loads(done.stdout.decode().splitlines()[-1])
    assert summary["pairs_listed"] == 20
    assert summary["auc"] > 0.5


def test_against_is_reproducible(run_cli, run_here, examples, tmp_path):
    for picture in (examples / "faces").glob("*.jpg"):
        person = tmp_path / picture.name.split("_")[0]
        person.mkdir(exist_ok=True)
        (person / picture.name).write_bytes(picture.read_bytes())
    arguments = ("--against", "translate", tmp_path, "--draw", "4", "--json", "--seed", "3")
    runs = [run("verify", *arguments) for run in (run_cli, run_here)]
    assert runs[0].returncode == 0
    assert runs[0].stdout == runs[1].stdout
    fields = json.loads(runs[0].stdout)
    assert fields["pairs"] == 4
    assert fields["generated"]["same"] == fields["generated"]["different"] == 2
