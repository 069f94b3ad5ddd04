"""Whether training works on a GPU, and how fast: one command, under five minutes.

    python benchmarks/gpu.py [--quick] [--device DEVICE] [--no-compile] [--out FILE.md]

It needs no network, no data and no pytest: torch, numpy, Pillow, safetensors, onnxruntime and
OpenCV are enough (Python 3.11). It measures

1. how far every loss and its gradient are from their float64 values, with products of ten bits
   (TF32) and under autocast: the checks of ``tests/training/test_precision.py``;
2. faces and floating point operations a second of the steps of each preset and stage, with the
   fastest of a few batch sizes, against aims for one H100 or H200. A step is augmentation,
   networks, losses (without the perceptual one, whose weights may be missing), backward pass and
   optimizer, on crops of the examples' portraits; warm-up is left out, and the clock waits for the
   GPU. Where a compiler helps (pictures of ``small``), the compiled step is measured, too;
3. up to two minutes of training of each preset, by ``facecycle train``, on such crops: the losses
   must fall, nothing may be warned of, and the data path must keep up with the steps.

The last line is the verdict; the exit code is 0 only if all of it holds. ``--quick`` takes networks
as small as can be and a few steps, to test this program: its speeds mean nothing and have no aims.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # Python looks in the folder of this file only
    sys.path.insert(0, str(ROOT))

from benchmarks.bare import stand_in_for_missing  # noqa: E402

STOOD_IN = stand_in_for_missing()  # before anything of facecycle is imported

from benchmarks import gpu_runs, gpu_steps  # noqa: E402
from benchmarks.gpu_steps import Case, Machine, Speed  # noqa: E402
from facecycle_cli.model import ModelConfig  # noqa: E402
from facecycle_cli.model.config import Extensions  # noqa: E402
from tests.training import exact_losses  # noqa: E402

BUDGET = 285.0
"""Seconds for everything: training gets what measuring leaves."""

TRAINING = 120.0
"""Seconds that each preset trains at most."""

_LEAST_TRAINING = 20.0
"""Seconds that each preset trains on a slow machine, whatever measuring took."""

QUICK_PLANS = {
    "small": gpu_runs.Plan({"flows": 80, "drawn": 40, "identity": 120}, 600.0),
    "paper": gpu_runs.Plan({"drawn": 60, "identity": 60}, 600.0),
}
"""How long each preset trains with ``--quick``: steps, whatever time they take."""


@dataclass
class Report:
    """The lines to print, and what does not hold.

    Attributes:
        say: prints a line.
        lines: all lines, Markdown.
        failures: in words.
    """

    say: Callable[[str], None]
    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Print a line and keep it."""
        self.lines.append(line)
        self.say(line)

    def row(self, *cells: object) -> None:
        """A row of a table."""
        self.add(f"| {' | '.join(map(str, cells))} |")

    def head(self, *cells: str) -> None:
        """The head of a table."""
        self.add("")
        self.row(*cells)
        self.add("|---" * len(cells) + "|")

    def check(self, holds: bool, what: str) -> str:
        """``yes``, or ``NO`` and a failure."""
        if not holds:
            self.failures.append(what)
        return "yes" if holds else "NO"


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] | None = None) -> int:
    """Measure, and say what was found.

    Args:
        arguments: of the command line.
        say: prints a line; by default to standard output.

    Returns:
        The exit code.
    """
    options = _parsed(arguments)
    begun = time.monotonic()
    device = torch.device(options.device)
    report = Report(say or (lambda line: print(line, flush=True)))  # noqa: T201
    if device.type == "cuda":
        if not torch.cuda.is_available():
            report.add("Verdict: FAILED: torch finds no CUDA device (--device cpu --quick tests)")
            return 1
        torch.backends.cudnn.benchmark = True  # as train does
    report.add(f"{_named(device)}; torch {torch.__version__}; Python {sys.version.split()[0]}")
    if STOOD_IN:
        report.add(f"Stand-ins for missing packages: {', '.join(STOOD_IN)}")

    check_losses(device, report)
    networks = quick_networks if options.quick else gpu_steps.preset_networks
    seconds = 0.0 if options.quick else 1.0
    machine = Machine(device, seconds, not options.no_compile, networks)
    speeds = measure_steps(options.quick, machine, report)
    left = BUDGET - (time.monotonic() - begun)
    training = min(TRAINING, max(_LEAST_TRAINING, left / 2))
    check_training(speeds, machine, report, 0.0 if options.quick else training)

    report.add("")
    report.add(f"{time.monotonic() - begun:.0f} seconds")
    if report.failures:
        report.add(f"Verdict: FAILED: {'; '.join(report.failures)}")
    else:
        report.add("Verdict: all checks hold")
    if options.out:
        options.out.write_text("\n".join(report.lines) + "\n", encoding="utf-8")
    return 1 if report.failures else 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="Tiny networks and a few steps.")
    parser.add_argument("--device", default="cuda", help="Default: cuda.")
    parser.add_argument(
        "--no-compile", action="store_true", help="Measure no compiled step: saves a minute."
    )
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="Write the tables there, too.")
    return parser.parse_args(arguments)


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def quick_networks(case: Case) -> ModelConfig:
    """Networks as small as can be, under the name of the case's preset."""
    return ModelConfig(
        preset=case.preset,
        code_size=16,
        encoder_widths=(8, 8, 8, 8),
        encoder_features=8,
        encoder_hidden=16,
        flow_decoder_widths=(8, 8, 8),
        trunk_widths=(8, 8, 16),
        expression_decoder_width=16,
        expression_decoder_blocks=1,
        expression_decoder_upsampling_widths=(8, 8),
        identity_decoder_width=16,
        identity_decoder_blocks=1,
        identity_decoder_upsampling_widths=(8, 8),
        noise_kernel=1,
        extensions=Extensions(trunk="learned", upsampling="bilinear", padding="border"),
    )


def check_losses(device: torch.device, report: Report) -> None:
    """Compare every loss and its gradient with float64."""
    report.head("computed with", "losses", "worst value", "worst gradient", "exact")
    for context in exact_losses.gpu_contexts(device):
        found = {
            name: exact_losses.deviations(name, exact_losses.gpu_contexts(device)[context], device)
            for name in exact_losses.LOSSES
        }
        wrong = [n for n, both in found.items() if not max(both) <= exact_losses.TOLERANCE]
        value, gradient = (max(both[i] for both in found.values()) for i in (0, 1))
        holds = report.check(not wrong, f"not exact with {context}: {', '.join(wrong)}")
        report.row(context, len(found), f"{value:.1e}", f"{gradient:.1e}", holds)


def measure_steps(quick: bool, machine: Machine, report: Report) -> list[Speed]:
    """Measure the steps of every preset and stage."""
    report.head(
        "steps", "faces a step", "faces/s", "compiled", "GFLOP a face", "TFLOP/s", "aim, faces/s",
        "reached",
    )  # fmt: skip
    speeds = []
    for case in gpu_steps.QUICK_CASES if quick else gpu_steps.CASES:
        speed = gpu_steps.measure(case, machine)
        reached = report.check(speed.reached, f"{case.name}: {speed.rate:.0f} faces/s")
        report.row(
            case.name,
            speed.faces,
            f"{speed.rate:,.0f}",
            f"{speed.compiled:,.0f}" if speed.compiled else "",
            f"{speed.flops / 1e9:.3g}",
            f"{speed.teraflops:.3g}",
            f"{case.aim:,.0f}" if case.aim else "",
            reached if case.aim else "",
        )
        speeds.append(speed)
    return speeds


def check_training(
    speeds: Sequence[Speed], machine: Machine, report: Report, seconds: float
) -> None:
    """Train every preset for some seconds; for the quick plan's steps if there are none."""
    report.head(
        "training", "steps", "faces/s", "of the steps alone", "loss", "held-out loss", "falls"
    )
    for preset in dict.fromkeys(speed.case.preset for speed in speeds):
        own = [speed for speed in speeds if speed.case.preset == preset]
        with tempfile.TemporaryDirectory() as folder:
            plan = gpu_runs.Plan.of(own, seconds) if seconds > 0 else QUICK_PLANS[preset]
            outcome = gpu_runs.run(own, machine, Path(folder), plan)
        report.failures += outcome.problems
        for phase in outcome.phases:
            name = phase.case.name
            report.check(phase.keeps_up, f"{name}: train is at {phase.share:.0%} of its steps")
            report.row(
                name,
                phase.steps,
                f"{phase.rate:,.0f}",
                f"{phase.share:.0%}" if phase.share else "",
                f"{phase.first:.4g} -> {phase.last:.4g}",
                " -> ".join(f"{loss:.4g}" for loss in (phase.held_out[:1] + phase.held_out[-1:])),
                report.check(phase.falls, f"{name}: the losses do not fall"),
            )


if __name__ == "__main__":
    sys.exit(main())
