"""A run that is stopped, in whatever way, ends as one that was not."""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
import signal
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from facecycle_cli.errors import NonFiniteLoss, SettingsError, TrainingError
from facecycle_cli.media.provenance import is_result
from facecycle_cli.model import load, read_info
from facecycle_cli.system import parse_json
from facecycle_cli.training.held_out import HeldOutFaces
from facecycle_cli.training.run import SilentReporter, open_run
from facecycle_cli.training.state import (
    STATE_FILE,
    Position,
    WeightAverage,
    read_position,
    save_state,
)
from facecycle_cli.training.train import train
from tests.training.processes import exit_code, resume_on_a_full_disk, train_until_killed

CPU = torch.device("cpu")

QUICK = {
    "batch_size": 4,
    "perceptual": "off",
    "sample_every": 4,
    "log_every": 2,
    "workers": 0,
    "save_every": 1000.0,
    "ema": 0.9,
}


def begin(run, data, checkpoint, **settings):
    layer = {**QUICK, "data": [str(data)], "init": str(checkpoint), **settings}
    return open_run(run, [layer], resume=False)


def go_on(run, **settings):
    return open_run(run, [settings], resume=True)


class StopAfter(SilentReporter):
    """Asks to stop after so many steps, of whichever stage."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self):
        self.left -= 1
        return self.left <= 0


def state(run):
    with safe_open(run / STATE_FILE, framework="pt") as file:
        header = json.loads(file.metadata()["facecycle"])
    return load_file(run / STATE_FILE), header


def assert_same_run(a, b):
    (tensors_a, header_a), (tensors_b, header_b) = state(a), state(b)
    assert header_a == header_b
    assert tensors_a.keys() == tensors_b.keys()
    for name, tensor in tensors_a.items():
        assert torch.equal(tensor, tensors_b[name]), name
    assert read_info(a / "checkpoint.safetensors").sha256 == (
        read_info(b / "checkpoint.safetensors").sha256
    )
    assert losses(a) == losses(b)


def losses(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("faces_per_second", None)
    return rows


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, clips, tiny_checkpoint):
    """A run of 6 + 6 steps that nothing happened to."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    torch.set_num_threads(1)
    outcome = train(begin(run, clips, tiny_checkpoint, steps=6), run, device=CPU)
    assert outcome.finished
    assert outcome.step == 6
    return run


@pytest.fixture(scope="module")
def a_half(tmp_path_factory, clips, tiny_checkpoint):
    """The same run, stopped between two lines of its log: at step 3 of the first 6."""
    run = tmp_path_factory.mktemp("half") / "run"
    torch.set_num_threads(1)
    config = begin(run, clips, tiny_checkpoint, steps=6)
    assert not train(config, run, device=CPU, stop=StopAfter(3)).finished
    return run


def test_stopped_and_resumed_is_the_same_bit_for_bit(tmp_path, a_half, undisturbed):
    """At steps 3 of both stages, and at step 5 of the second."""
    run = shutil.copytree(a_half, tmp_path / "run")
    for steps in (6, 2):
        assert not train(go_on(run), run, device=CPU, stop=StopAfter(steps)).finished
    assert train(go_on(run), run, device=CPU).finished
    assert_same_run(run, undisturbed)


@pytest.mark.parametrize("cache", ["disk", "device"])
def test_threads_and_cache_do_not_matter_either(tmp_path, a_half, undisturbed, cache):
    run = shutil.copytree(a_half, tmp_path / "run")
    train(go_on(run, workers=2, cache=cache), run, device=CPU)
    assert_same_run(run, undisturbed)


def test_what_a_run_leaves(undisturbed):
    rows = losses(undisturbed)
    logged = [(r["stage"], r["step"]) for r in rows if "loss" in r]
    assert logged == [(s, n) for s in ("expression", "identity") for n in (2, 4, 6)]
    assert {"pixel", "ssim", "symmetry", "lr", "gradient"} < rows[0].keys()
    samples = sorted(f.name for f in (undisturbed / "samples").iterdir())
    assert samples == [
        *(f"{n:06d}.png" for n in (4, 6)),
        *(f"identity-{n:06d}.png" for n in (4, 6)),
    ]
    assert all(is_result(undisturbed / "samples" / name) for name in samples)
    info = load(undisturbed / "checkpoint.safetensors").checkpoint
    assert info.metadata["stage"] == "identity"
    assert info.metadata["data"]["groups"] == 8
    assert (undisturbed / "config.toml").is_file()


def test_the_checkpoint_is_the_average_of_the_weights(undisturbed):
    tensors, _ = state(undisturbed)
    weights = load_file(undisturbed / "checkpoint.safetensors")
    name = "identity_encoder.code.2.weight"
    assert torch.equal(weights[name], tensors[f"average.{name}"])
    assert not torch.equal(weights[name], tensors[f"model.{name}"])
    frozen = "expression_decoder.to_rgb.weight"
    assert torch.equal(weights[frozen], tensors[f"model.{frozen}"])


def test_each_stage_learns_its_own_networks_only(tmp_path, clips, tiny_checkpoint):
    before = load_file(tiny_checkpoint)
    for stage, learns in (
        ("expression", ("trunk", "expression_encoder", "flow_decoder", "expression_decoder")),
        ("identity", ("identity_encoder", "identity_decoder")),
    ):
        run = tmp_path / stage
        train(begin(run, clips, tiny_checkpoint, stage=stage, steps=2, ema=0.0), run, device=CPU)
        after = load_file(run / "checkpoint.safetensors")
        changed = {n.split(".")[0] for n in before if not torch.equal(before[n], after[n])}
        assert changed == set(learns)


def test_codes_learn_alone_first_and_their_best_is_forgotten_then(
    tmp_path, clips, tiny_checkpoint, monkeypatch
):
    monkeypatch.setattr("facecycle_cli.training.data.pairs.HOLDOUT_SHARE", 4)
    settings = {
        "stage": "identity", "steps": 6, "code_steps": 4, "sample_every": 2,
        "identity": {"weights": {"contrast": 1.0}, "options": {"reenact": 0.5}},
    }  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(begin(whole, clips, tiny_checkpoint, **settings), whole, device=CPU)
    rows = losses(whole)
    assert ["ssim" in row for row in rows if "loss" in row] == [False, False, True]
    best = read_info(whole / "checkpoint.safetensors").metadata["metrics"]["held_out_loss"]
    measured = [row["held_out_loss"] for row in rows if "held_out_loss" in row]
    assert measured[-1] > min(measured)  # drawn pictures add losses of their own
    assert best == pytest.approx(measured[-1], rel=1e-4)

    config = begin(parts, clips, tiny_checkpoint, **settings)
    assert not train(config, parts, device=CPU, stop=StopAfter(3)).finished
    train(go_on(parts), parts, device=CPU)
    assert_same_run(whole, parts)


def test_a_finished_run_can_be_made_longer(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    train(begin(run, clips, tiny_checkpoint, stage="expression", steps=2), run, device=CPU)
    assert train(go_on(run), run, device=CPU).step == 2
    assert train(go_on(run, steps=4), run, device=CPU).step == 4


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_the_worst_moments(tmp_path, clips, tiny_checkpoint, undisturbed):
    """SIGKILL within one run that saves after every step, and resumes after every kill."""
    run = tmp_path / "run"
    layer = {
        **QUICK, "data": [str(clips)], "init": str(tiny_checkpoint), "steps": 6, "save_every": 0.0,
    }  # fmt: skip
    for moment, times, step in (
        ("state half written", 2, 0),  # the first file is that of step 0
        ("state written, not renamed", 3, 1),
        ("state renamed, step not finished", 2, 2),
        ("log half written", 2, 5),
    ):
        code = exit_code(train_until_killed, run, layer, moment, times)
        assert code == -signal.SIGKILL, moment
        _, header = state(run)  # always whole
        assert (header["stage"], header["step"]) == ("expression", step), moment
    train(open_run(run, [layer], resume=True), run, device=CPU)
    tensors, _ = state(run)
    expected, _ = state(undisturbed)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors.items())
    assert losses(run) == losses(undisturbed)
    left = [f.name for f in run.iterdir() if f.name.startswith(".")]
    assert all(
        name.startswith((".checkpoint", ".log", ".config", ".facecycle", ".data")) for name in left
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_keeps_the_old_state(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    config = begin(run, clips, tiny_checkpoint, stage="expression", steps=6)
    train(config, run, device=CPU, stop=StopAfter(2))
    before = (run / STATE_FILE).read_bytes()
    ours, theirs = multiprocessing.Pipe()
    assert exit_code(resume_on_a_full_disk, run, theirs) == 0
    said = ours.recv()
    assert said.startswith("TrainingError ")
    assert "cannot be written" in said
    assert len(said.splitlines()) == 1
    assert (run / STATE_FILE).read_bytes() == before
    assert not [f for f in (run / "last").iterdir() if f.name != STATE_FILE.name]
    assert train(go_on(run), run, device=CPU).finished


def test_losses_that_are_not_finite_stop_with_the_last_good_state(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    config = begin(run, clips, tiny_checkpoint, stage="expression", steps=50)
    train(config, run, device=CPU, stop=StopAfter(3))
    good = (run / STATE_FILE).read_bytes()
    broken = begin(
        tmp_path / "other", clips, tiny_checkpoint, stage="expression", lr=1e30, steps=50
    )
    with pytest.raises(
        NonFiniteLoss, match=r"stopped: the expression stage's .* is (nan|inf) at step"
    ):
        train(broken, run, device=CPU)
    assert (run / STATE_FILE).read_bytes() == good
    assert all(t.isfinite().all() for t in load_file(run / "checkpoint.safetensors").values())


def test_a_folder_with_another_run(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    config = begin(run, clips, tiny_checkpoint, stage="expression", steps=1)
    train(config, run, device=CPU)
    with pytest.raises(TrainingError, match="holds a run already: pass --resume to continue it"):
        begin(run, clips, tiny_checkpoint)
    with pytest.raises(
        SettingsError, match=r"was started with expression\.batch_size = 4, not 8: leave it out"
    ):
        go_on(run, batch_size=8)
    with pytest.raises(SettingsError, match="was started with data = "):
        go_on(run, data=["/elsewhere"])
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(TrainingError, match="exists and is not empty"):
        begin(tmp_path / "photos", clips, tiny_checkpoint)
    with pytest.raises(SettingsError, match=r"nothing to resume in .*, and no DATA: name a folder"):
        open_run(tmp_path / "new", [], resume=True)


def test_a_damaged_state_is_said_so(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    train(begin(run, clips, tiny_checkpoint, stage="expression", steps=1), run, device=CPU)
    (run / STATE_FILE).write_bytes((run / STATE_FILE).read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"state\.safetensors: damaged"):
        train(go_on(run), run, device=CPU)


def rewrite_state(run, change_header=lambda header: None, change_tensors=lambda tensors: None):
    tensors, header = state(run)
    change_header(header)
    change_tensors(tensors)
    save_file(tensors, run / STATE_FILE, metadata={"facecycle": json.dumps(header)})


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory, clips, tiny_checkpoint):
    run = tmp_path_factory.mktemp("stopped") / "run"
    torch.set_num_threads(1)
    unguided = {"weights": {"guide": 0.0}}  # landmarks of all crops would be measured every time
    settings = {"stage": "expression", "steps": 3, "expression": unguided}
    train(begin(run, clips, tiny_checkpoint, **settings), run, device=CPU, stop=StopAfter(2))
    return run


@pytest.fixture
def stopped(tmp_path, stopped_once):
    """A run that stopped at step 2 of 3."""
    return shutil.copytree(stopped_once, tmp_path / "run")


@pytest.mark.parametrize(
    "changes",
    [
        {"step": -1}, {"step": 1.5}, {"step": "2"}, {"stage": "both"}, {"best": float("nan")},
        {"best": "low"}, {"sums": {"loss": float("nan")}}, {"sums": 1}, {"scaler": {"scale": "a"}},
        {"more": 1},
    ],
)  # fmt: skip
def test_a_state_whose_header_is_damaged(stopped, changes):
    rewrite_state(stopped, lambda header: header.update(changes))
    with pytest.raises(TrainingError, match=r"state\.safetensors: damaged"):
        train(go_on(stopped), stopped, device=CPU)


@pytest.mark.parametrize("prefix", ["model", "average", "adam.exp_avg", "adam.step"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: torch.full_like(t, torch.nan), "holds values that are not finite"),
        (lambda t: torch.zeros(2, 1), r"is \(2, 1\), not"),
        (lambda t: t.int(), "is not a tensor of floating point numbers"),
    ],
)
def test_a_state_whose_tensors_are_damaged(stopped, prefix, damage, reason):
    name = f"{prefix}.expression_encoder.code.2.bias"

    def spoil(tensors):
        tensors[name] = damage(tensors[name])

    before = (stopped / "checkpoint.safetensors").read_bytes()
    rewrite_state(stopped, change_tensors=spoil)
    with pytest.raises(TrainingError, match=rf"state\.safetensors: damaged \({name} {reason}"):
        train(go_on(stopped), stopped, device=CPU)
    assert (stopped / "checkpoint.safetensors").read_bytes() == before


def test_without_held_out_faces_the_state_is_json_all_the_same(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    config = begin(run, clips, tiny_checkpoint, stage="expression", steps=6, holdout=0)
    train(config, run, device=CPU, stop=StopAfter(4))
    with safe_open(run / STATE_FILE, framework="pt") as file:
        parse_json(file.metadata()["facecycle"])
    assert read_position(run).best == math.inf
    rewrite_state(run, lambda header: header.update(best=math.inf))  # as older versions wrote it
    assert read_position(run).best == math.inf
    train(go_on(run), run, device=CPU)
    for line in (run / "log.jsonl").read_text().splitlines():
        parse_json(line)
    assert "metrics" not in read_info(run / "checkpoint.safetensors").metadata


def test_weights_that_are_not_finite_are_not_saved(stopped):
    model = torch.nn.Linear(2, 2)
    average = WeightAverage(dict(model.named_parameters()), 0.5)
    optimizer = torch.optim.Adam(model.parameters())
    with torch.no_grad():
        model.bias[1] = torch.inf
    before = (stopped / STATE_FILE).read_bytes()
    with pytest.raises(NonFiniteLoss, match=r"stopped: model\.bias holds values .* at step 7"):
        save_state(stopped, Position("expression", 7), model, average, optimizer)
    assert (stopped / STATE_FILE).read_bytes() == before


def test_a_held_out_loss_that_is_not_finite_stops_the_run(stopped, monkeypatch):
    before = (stopped / "checkpoint.safetensors").read_bytes()
    monkeypatch.setattr(HeldOutFaces, "loss", lambda *_, **__: math.nan)
    with pytest.raises(
        NonFiniteLoss, match="the expression stage's held-out loss is nan at step 3"
    ):
        train(go_on(stopped), stopped, device=CPU)
    assert (stopped / "checkpoint.safetensors").read_bytes() == before
    assert read_position(stopped).step == 2


def test_the_run_of_an_older_version_is_one_clear_line(tmp_path, clips, tiny_checkpoint):
    run = tmp_path / "run"
    train(begin(run, clips, tiny_checkpoint, stage="expression", steps=1), run, device=CPU)
    file = run / "config.toml"
    text = file.read_text().replace("[expression.weights]", "[expression.weights]\nexchange = 0.5")
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"config\.toml: unknown setting .*weights\.exchange"):
        go_on(run)
    header = {"facecycle": json.dumps({"version": 2, "stage": "expression", "step": 1})}
    save_file({}, run / STATE_FILE, metadata=header)
    with pytest.raises(TrainingError, match="written by another version of facecycle"):
        train(begin(tmp_path / "new", clips, tiny_checkpoint), run, device=CPU)
