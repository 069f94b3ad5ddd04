"""``facecycle train`` as a command: exit codes, resuming, settings, what is printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from facecycle_cli.model import FaceCycle, read_info, save_checkpoint
from facecycle_cli.system import LOCK_FILE
from facecycle_cli.training import watch
from facecycle_cli.training.layers import read_toml
from facecycle_cli.training.loop import Learner
from tests.cli.call import call
from tests.conftest import ROOT
from tests.training.conftest import TINY, write_clip

if sys.platform == "win32":
    pytest.skip("POSIX signals", allow_module_level=True)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are then always added in the same order
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four clips of four frames."""
    root = tmp_path_factory.mktemp("crops")
    for number in range(4):
        write_clip(root / f"id{number}", 4, number)
    return root


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> list[str]:
    """Options of a run of four steps with networks as small as can be."""
    checkpoint = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    torch.manual_seed(0)
    save_checkpoint(checkpoint, FaceCycle(TINY), {"stage": "expression", "steps": 0})
    return [
        "--init", str(checkpoint), "--stage", "expression", "--steps", "4", "--batch-size", "4",
        "--perceptual", "off", "--workers", "0", "--device", "cpu",
        "--set", "log_every=2", "--set", "sample_every=4",
    ]  # fmt: skip


@pytest.fixture
def signals(monkeypatch):
    """Arms the run: after the step of this number it gets the signals."""

    def arm(step: int, *numbers: int) -> None:
        learn = Learner.learn

        def learn_and_signal(self, batch):
            learn(self, batch)
            if self.step == step:
                for number in numbers:
                    signal.raise_signal(number)

        monkeypatch.setattr(Learner, "learn", learn_and_signal)

    return arm


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data, quick) -> Path:
    """A run that nothing happened to."""
    run = tmp_path_factory.mktemp("finished") / "run"
    torch.set_num_threads(1)
    done = call("train", data, "-o", run, *quick)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run / 'checkpoint.safetensors'}\n"
    return run


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint.safetensors")


def same_weights(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_notes_go_to_standard_error_and_quiet_ends_them(tmp_path, data, quick):
    done = call("train", data, "-o", tmp_path / "a", *quick, "-v")
    assert done.returncode == 0
    assert "facecycle: 16 pictures: 4 clips or persons with 4 or more" in done.stderr
    assert "facecycle: expression step 4 of 4: " in done.stderr
    done = call("train", data, "-o", tmp_path / "b", *quick, "-q")
    assert (done.returncode, done.stderr) == (0, "")


def test_json(tmp_path, data, quick, finished):
    run = tmp_path / "run"
    done = call("train", data, "-o", run, *quick, "--json")
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    fields = json.loads(line)
    losses = fields.pop("losses")
    assert fields == {
        "run": str(run),
        "checkpoint": str(run / "checkpoint.safetensors"),
        "stage": "expression",
        "steps": 4,
        "finished": True,
        "skipped": 0,
    }
    assert losses["loss"] > 0
    assert {"pixel", "ssim", "symmetry", "guide", "gradient"} < losses.keys()
    assert same_weights(run, finished)


# -- settings --------------------------------------------------------------------------------------


def test_options_win_over_set_over_the_file(tmp_path, data, quick):
    file = tmp_path / "settings.toml"
    file.write_text(
        'lr = 1e-5\nseed = 5\nlicense = "mine"\n[expression]\nema = 0.5\n'
        "[expression.options]\nexchange = 0.25\n"
    )
    run = tmp_path / "run"
    done = call(
        "train", data, "-o", run, *quick,
        "--config", file, "--set", "lr=2e-5", "--set", "seed=6", "--seed", "7",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used = read_toml(run / "config.toml")
    assert used["expression"]["lr"] == used["identity"]["lr"] == 2e-5
    assert used["seed"] == 7
    assert used["expression"]["ema"] == 0.5
    assert used["expression"]["options"]["exchange"] == 0.25
    assert used["data"] == [str(data)]
    assert read_info(run / "checkpoint.safetensors").metadata["license"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "speed=3"], "unknown setting speed"),
        (["--set", "expression.speed=3"], "unknown setting expression.speed"),
        (["--set", "weights.exchange=1"], "it is expression.options.exchange now"),
        (["--set", "lr"], "'lr' is not of the form key=value"),
        (["--set", "lr=fast"], "expression.lr must be a number, not 'fast'"),
        (["--batch-size", "3"], "batch_size must be even and at least 2, not 3"),
        (["--lr", "-1"], "lr must be above 0, not -1.0"),
        (["--image-size", "96"], "image_size must be 64 or 128, not 96"),
        (["--preset", "paper"], "a checkpoint of preset small, not paper"),
        (["--image-size", "128"], "a checkpoint of image size 64, not 128"),
    ],
)
def test_wrong_settings_are_exit_code_2_and_one_line(tmp_path, data, quick, arguments, message):
    done = call("train", data, "-o", tmp_path / "run", *quick, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("facecycle: ")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_wrong_settings_file_is_named(tmp_path, data, quick):
    file = tmp_path / "settings.toml"
    for text, message in (
        ("[identity]\nspeed = 3", "unknown setting identity.speed"),
        ("lr = = 3", "not a TOML file: "),
    ):
        file.write_text(text)
        done = call("train", data, "-o", tmp_path / "run", *quick, "--config", file)
        assert done.returncode == 2
        assert done.stderr.startswith(f"facecycle: {file}: {message}")
    done = call("train", data, "-o", tmp_path / "run", *quick, "--config", tmp_path / "gone.toml")
    assert done.returncode == 1
    assert done.stderr == f"facecycle: {tmp_path / 'gone.toml'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a run needs a folder: pass -o RUN"),
        (["-o", "RUN", "--steps", "2", "--epochs", "2"], "pass --steps or --epochs, not both"),
        (["-o", "RUN", "--stage", "all"], "Invalid value for '--stage'"),
        (["-o", "RUN", "--steps", "0"], "Invalid value for '--steps'"),
        (["-o", "RUN", "--speed"], "--speed"),
        (["-o", "RUN", "--device", "gpu"], "'gpu' is none of auto, cpu, cuda, cuda:N, mps"),
    ],
)
def test_wrong_usage_is_exit_code_2(tmp_path, data, arguments, message):
    run = tmp_path / "run"
    done = call("train", data, *(run if a == "RUN" else a for a in arguments))
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert not run.exists()


def test_without_data_or_an_expression_stage_there_is_nothing_to_train(tmp_path, data):
    done = call("train", "-o", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr == "facecycle: no DATA: name a folder of face crops\n"
    done = call("train", data, "-o", tmp_path / "run", "--stage", "identity")
    assert done.returncode == 2
    assert done.stderr == (
        "facecycle: the identity stage needs a trained expression stage: pass --init CHECKPOINT or "
        "use --stage both\n"
    )


def test_inputs_that_fail_are_exit_code_1(tmp_path, data, quick, finished):
    run, void, text = tmp_path / "run", tmp_path / "void", tmp_path / "text.safetensors"
    void.mkdir()
    text.write_text("no weights")
    for arguments, message in (
        ([tmp_path / "gone", "-o", run, *quick], "gone: no such folder"),
        ([void, "-o", run, *quick], "void: no pictures in this folder"),
        ([data, "-o", run, *quick, "--init", text], "text.safetensors: "),
        ([data, "-o", finished, *quick], "holds a run already: pass --resume to continue it"),
    ):
        done = call("train", *arguments)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("facecycle: ")
        assert message in line
        assert not run.exists()


# -- interruption ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_saves_and_resumes_to_the_same_result(
    tmp_path, data, quick, signals, monkeypatch, finished, number
):
    run = tmp_path / "run"
    signals(2, number)
    done = call("train", data, "-o", run, *quick, "--json")
    assert done.returncode == 130
    fields = json.loads(done.stdout)
    assert (fields["finished"], fields["steps"]) == (False, 2)
    assert "facecycle: interrupted at step 2; --resume continues from there" in done.stderr
    monkeypatch.undo()

    done = call("train", "-o", run, "--resume")
    assert done.returncode == 0, done.stderr
    assert "facecycle: resuming the expression stage at step 2 of 4" in done.stderr
    assert done.stdout == f"{run / 'checkpoint.safetensors'}\n"
    assert same_weights(run, finished)


def test_an_interrupted_run_prints_no_result(tmp_path, data, quick, signals):
    signals(1, signal.SIGINT)
    done = call("train", data, "-o", tmp_path / "run", *quick)
    assert (done.returncode, done.stdout) == (130, "")
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def test_a_second_interrupt_ends_the_run_at_once(tmp_path, data, quick, signals, monkeypatch):
    signals(2, signal.SIGINT, signal.SIGINT)
    done = call("train", data, "-o", tmp_path / "run", *quick)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    done = call("train", "-o", tmp_path / "run", "--resume")
    assert done.returncode == 0


def test_resume_begins_a_run_that_never_began_and_leaves_a_finished_one(
    tmp_path, data, quick, finished
):
    run = tmp_path / "run"
    done = call("train", data, "-o", run, *quick, "--resume")
    assert done.returncode == 0
    assert same_weights(run, finished)
    before = (run / "checkpoint.safetensors").read_bytes()
    done = call("train", "-o", run, "--resume")
    assert done.returncode == 0
    assert "the expression stage is done already" in done.stderr
    assert (run / "checkpoint.safetensors").read_bytes() == before
    done = call("train", "-o", run, "--resume", "--steps", "5", "--json")
    assert json.loads(done.stdout)["steps"] == 5


def test_resume_with_nothing_there_or_with_other_settings(tmp_path, finished):
    done = call("train", "-o", tmp_path / "run", "--resume")
    assert done.returncode == 2
    assert "nothing to resume in" in done.stderr
    done = call("train", "-o", finished, "--resume", "--batch-size", "8")
    assert done.returncode == 2
    assert "was started with expression.batch_size = 4, not 8: leave it out" in done.stderr


# -- one process at a time -------------------------------------------------------------------------

HOLDER = """
import sys, time
from facecycle_cli.system import locked_folder
with locked_folder(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_two_processes_do_not_train_in_one_folder(tmp_path, data, quick, finished):
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, run],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        for options in ([], ["--resume"]):
            done = call("train", data, "-o", run, *quick, *options)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == f"facecycle: {run}: another process is training there\n"
        holder.kill()
    assert [path.name for path in run.iterdir()] == [LOCK_FILE]  # it was killed
    assert call("train", data, "-o", run, *quick).returncode == 0
    assert same_weights(run, finished)
    assert not (run / LOCK_FILE).exists()


def test_a_run_that_does_not_learn_says_so_and_stops_if_asked(tmp_path, data, quick, monkeypatch):
    """Any gradient counts as an explosion here: what the watch sees has tests of its own."""
    monkeypatch.setattr(watch, "_ABOVE_LOSS", 1e-9)
    wild = [*quick, "--steps", "12", "--set", "log_every=1"]
    for choice in ("warn", "stop"):
        run = tmp_path / choice
        done = call("train", data, "-o", run, *wild, "--on-divergence", choice)
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        (warning, *_) = [row for row in rows if "warning" in row]
        assert warning["stage"] == "expression"
        assert f"expression step {warning['step']}: {warning['warning']}" in done.stderr
        if choice == "stop":
            assert done.returncode == 1
            last = done.stderr.splitlines()[-1]
            assert "stopped at step" in last
            assert "the best checkpoint is kept" in last
            assert rows[-1] == warning
            assert read_toml(run / "config.toml")["on_divergence"] == "stop"
        else:
            assert done.returncode == 0
            assert rows[-1]["step"] == 12
