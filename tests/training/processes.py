"""What tests of training do in processes that die, or that may not write."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from facecycle_cli.training import state
from facecycle_cli.training.run import RunFolder, open_run
from facecycle_cli.training.train import train
from tests.cli.call import call

CPU = torch.device("cpu")


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """A new process that does this work.

    It is forked from one that has imported torch already, and the compiler that optimizers import.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    process = context.Process(target=work, args=arguments)
    process.start()
    return process


def exit_code(work: Callable[..., None], *arguments: object) -> int:
    """Of a new process that does this work."""
    process = start(work, *arguments)
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def train_together(size: int, arguments: list[str], folder: Path) -> list[tuple[int, str, str]]:
    """``facecycle train`` in so many processes, with torchrun's variables.

    Returns:
        The exit code, standard output and standard error of each.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [start(_train_as, rank, size, port, arguments, folder) for rank in range(size)]
    try:
        for process in started:
            process.join(300)
        assert None not in [process.exitcode for process in started], "they hang"
    finally:
        for process in started:
            process.kill()
    return [
        (process.exitcode, *((folder / f"{rank}.{name}").read_text() for name in ("out", "err")))
        for rank, process in enumerate(started)
    ]


def _train_as(rank: int, size: int, port: int, arguments: list[str], folder: Path) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank,
                        "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}.items():  # fmt: skip
        os.environ[name] = str(value)
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    torch.set_num_threads(1)
    done = call("train", *arguments)
    (folder / f"{rank}.out").write_text(done.stdout)
    (folder / f"{rank}.err").write_text(done.stderr)
    sys.exit(done.returncode)


def train_until_killed(run: Path, layer: dict[str, Any], moment: str, times: int) -> None:
    """Train, and be killed at the moment that its name says, when it comes so often."""
    if moment == "state half written":
        _dies_before(times, state, "save_file", _half_a_file)
    elif moment == "state written, not renamed":
        _dies_before(times, state.os, "fsync")
    elif moment == "state renamed, step not finished":
        _dies_before(times, torch.optim.Adam, "step")
    else:
        assert moment == "log half written"
        _dies_before(times, RunFolder, "log", _half_a_line)
    torch.set_num_threads(1)
    train(open_run(run, [layer], resume=True), run, device=CPU)


def _dies_before(
    times: int, owner: Any, name: str, damage: Callable[..., None] = lambda *_, **__: None
) -> None:
    real = getattr(owner, name)
    calls = 0

    def replacement(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == times:
            damage(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keywords)

    setattr(owner, name, replacement)


def _half_a_file(_tensors: object, path: str | Path, **_: object) -> None:
    Path(path).write_bytes(bytes(1000))


def _half_a_line(folder: RunFolder, *_: object) -> None:
    with open(folder.path / "log.jsonl", "a") as file:
        file.write('{"stage": "expr')


def resume_on_a_full_disk(run: Path, answer: Connection) -> None:
    """Send the error that resuming ends with, where files have at most 20,000 bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    torch.set_num_threads(1)
    try:
        train(open_run(run, [], resume=True), run, device=CPU)
        answer.send("no error")
    except Exception as error:
        answer.send(f"{type(error).__name__} {error}")
