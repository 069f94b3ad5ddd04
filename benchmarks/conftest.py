"""What all benchmarks share: ours against the straightforward way in the same run, and a table.

    python -m pytest benchmarks

Times depend on the machine and on what else it does; the two sides take turns, so that their ratio
depends on neither. The table at the end has a line for every benchmark with a ratio.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ |= {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}  # as the command does

import pytest
import torch

from facecycle_cli.model import FaceCycle, load, preset


def against(
    benchmark: Any,
    ours: Callable[[], Any],
    baseline: Callable[[], Any],
    *,
    name: str,
    baseline_name: str,
    rounds: int = 5,
    per: int = 1,
    warm: bool = False,
    timer: Callable[[], float] = time.perf_counter,
) -> float:
    """The best time of ``ours`` over that of ``baseline``, which take turns.

    Args:
        benchmark: the fixture; its statistics are those of ``ours``.
        ours: a call.
        baseline: what it is compared with.
        name: of what ``ours`` does, for the table.
        baseline_name: of what ``baseline`` does.
        rounds: for either.
        per: how many things one call does; times are given for one.
        warm: both have run already.
        timer: of the baseline; that of ``ours`` is the mark's, ``benchmark(timer=...)``.
    """
    if not warm:
        ours(), baseline()
    seconds = []

    def take_turns() -> None:
        begun = timer()
        baseline()
        seconds.append(timer() - begun)

    benchmark.pedantic(ours, setup=take_turns, rounds=rounds, iterations=1)
    best, other = benchmark.stats.stats.min, min(seconds)
    say(benchmark, name, f"{best / per:.4f} s", baseline_name, f"{other / per:.4f} s", best / other)
    return best / other


def say(benchmark: Any, name: str, ours: str, baseline: str, theirs: str, ratio: float) -> None:
    """A line for the table."""
    benchmark.extra_info.update(
        {"name": name, "ours": ours, "baseline": baseline, "theirs": theirs, "ratio": ratio}
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table; also of benchmarks that note a ``ratio`` and whatever else they like."""
    session = getattr(config, "_benchmarksession", None)
    noted = [b for b in getattr(session, "benchmarks", []) if "ratio" in b.extra_info]
    if not noted:
        return
    terminalreporter.section("facecycle against the straightforward way")
    machine = f"torch {torch.__version__} on {torch.backends.cpu.get_cpu_capability()}"
    terminalreporter.write_line(f"{machine}, {torch.get_num_threads()} of {os.cpu_count()} cores")
    terminalreporter.write_line("| what | facecycle | compared with | | ratio |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for line in noted:
        info = dict(line.extra_info)
        ratio = info.pop("ratio")
        if "theirs" in info:
            cells = [info[key] for key in ("name", "ours", "baseline", "theirs")]
        else:
            cells = [line.name, "; ".join(f"{k}: {v}" for k, v in info.items()), "", ""]
        terminalreporter.write_line(f"| {' | '.join(map(str, cells))} | {ratio:.3g} |")


@pytest.fixture(scope="session")
def models() -> dict[str, FaceCycle]:
    """``small`` as it ships, ``paper`` with weights that are as fast as any other."""
    torch.manual_seed(0)
    paper = FaceCycle(preset("paper")).eval().requires_grad_(False)
    return {"small": load("small"), "paper": paper}
