"""facecycle train: both stages of training, resumable, on one device or many."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from facecycle_cli.cli.compute import pick_device
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import AsJson, Device, Quiet, Verbose

if TYPE_CHECKING:
    from facecycle_cli.cli.console import ProgressLine as Bar
    from facecycle_cli.training.report import Progress

INTERRUPTED = 128 + signal.SIGINT


class Stage(str, Enum):
    """What to train."""

    both = "both"
    expression = "expression"
    identity = "identity"


class Preset(str, Enum):
    """Networks and the settings they are trained with."""

    paper = "paper"
    small = "small"


class Transform(str, Enum):
    """Where a face's second view comes from."""

    other_frames = "other-frames"
    flip = "flip"
    mixed = "mixed"


class Cache(str, Enum):
    """Where decoded crops stay."""

    auto = "auto"
    ram = "ram"
    disk = "disk"


def _option(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 (typer's own word)
    return typer.Option(*names, help=help, show_default=False, **more)


def train(
    data: Annotated[
        Optional[list[Path]],  # noqa: UP045 (typer evaluates it, on every Python)
        typer.Argument(
            metavar="DATA...",
            help="Output of preprocess (a folder, webdataset shards) or folders of face pictures. "
            "Pictures in DATA itself show different people, those in a folder below one person.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        _option("--output", "-o", metavar="RUN", help="Folder of the run. Required."),
    ] = None,
    stage: Annotated[
        Optional[Stage],  # noqa: UP045
        _option(help="What to train. Default: both, one after the other."),
    ] = None,
    preset: Annotated[
        Optional[Preset],  # noqa: UP045
        _option(help="Networks, and the settings below unless given. Default: small."),
    ] = None,
    image_size: Annotated[
        Optional[int],  # noqa: UP045
        _option(metavar="64|128", help="Side of the faces that the networks see. Default: 64."),
    ] = None,
    transform: Annotated[
        Optional[Transform],  # noqa: UP045
        _option(help="A face's second view: another frame, its mirror image, or either."),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        _option(min=1, help="Steps of each stage."),
    ] = None,
    epochs: Annotated[
        Optional[int],  # noqa: UP045
        _option(min=1, help="Instead: passes over the data, one pair a clip."),
    ] = None,
    batch_size: Annotated[
        Optional[int],  # noqa: UP045
        _option(min=2, help="Faces per step, over all processes: two for each pair."),
    ] = None,
    lr: Annotated[
        Optional[float],  # noqa: UP045
        _option(help="Highest learning rate."),
    ] = None,
    resume: Annotated[
        bool, _option("--resume", help="Go on where RUN stopped (or begin, if it never began).")
    ] = False,
    init: Annotated[
        Optional[str],  # noqa: UP045
        _option(metavar="CHECKPOINT", help="Start from these weights."),
    ] = None,
    perceptual: Annotated[
        Optional[str],  # noqa: UP045
        _option(
            metavar="auto|off|vgg|PATH",
            help="VGG-19 for the perceptual loss: from torch.hub's cache if it can be had (auto), "
            "not at all, necessarily, or from a file.",
        ),
    ] = None,
    amp: Annotated[
        bool,
        _option("--amp", help="Mixed precision: bf16 or fp16 on CUDA, bf16 on a CPU that has it."),
    ] = False,
    compile_: Annotated[
        bool, _option("--compile", help="Compile the step, which takes minutes at first.")
    ] = False,
    workers: Annotated[
        Optional[int],  # noqa: UP045
        _option(min=0, help="Threads that read ahead. Default: one per core, at most 8."),
    ] = None,
    cache: Annotated[
        Optional[Cache],  # noqa: UP045
        _option(help="Keep decoded crops in memory, or not. Default: if there is room."),
    ] = None,
    min_sharpness: Annotated[
        Optional[float],  # noqa: UP045
        _option(min=0, help="Leave out crops below this sharpness in preprocess's index."),
    ] = None,
    max_yaw: Annotated[
        Optional[float],  # noqa: UP045
        _option(min=0, max=180, help="Leave out heads turned further, in degrees."),
    ] = None,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        _option(metavar="FILE.toml", help="Settings, as in RUN/config.toml; flags override them."),
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        _option("--set", metavar="KEY=VALUE", help="Any other setting: --set identity.ema=0.99"),
    ] = None,
    device: Device = "auto",
    seed: Annotated[
        Optional[int],  # noqa: UP045
        _option(min=0, help="Same seed, same run (on a CPU to the last bit). Default: 0."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train the networks on crops of faces.

    facecycle train vox2_faces/ -o runs/a --preset paper --amp     the paper's training

    facecycle train -o runs/a --resume                             after an interruption

    torchrun --nproc-per-node 8 -m facecycle_cli train ...         on eight GPUs
    """
    if output is None:
        raise typer.BadParameter("a run needs a folder: -o RUN")
    if steps is not None and epochs is not None:
        raise typer.BadParameter("--steps or --epochs, not both")
    flags = {
        "data": [str(path.absolute()) for path in data] if data else None,
        "stage": stage and stage.value,
        "preset": preset and preset.value,
        "image_size": image_size,
        "transform": transform and transform.value,
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "init": init,
        "perceptual": perceptual,
        "amp": "auto" if amp else None,
        "compile": compile_ or None,
        "workers": workers,
        "cache": cache and cache.value,
        "min_sharpness": min_sharpness,
        "max_yaw": max_yaw,
        "seed": seed,
    }
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    given = {name: value for name, value in flags.items() if value is not None}
    _run(output, config, settings or [], given, resume, device, console)


def _run(
    output: Path,
    file: Path | None,
    assignments: list[str],
    flags: dict[str, Any],
    resume: bool,
    device: str,
    console: Console,
) -> None:
    from facecycle_cli.model import read_info
    from facecycle_cli.training.config import TrainConfig
    from facecycle_cli.training.layers import parse_assignments, read_toml
    from facecycle_cli.training.train import open_run
    from facecycle_cli.training.train import train as train_run

    layers: list[dict[str, Any]] = []
    if file is not None:
        with prefix_errors(str(file)):
            layers.append(read_toml(file))
            TrainConfig.from_layers(*layers)
    layers += [parse_assignments(assignments), flags]
    init = next((layer["init"] for layer in reversed(layers) if layer.get("init")), None)
    preset = "small"
    if init is not None:
        with prefix_errors(str(init)):
            preset = read_info(init).config.preset
    run = open_run(output, layers, resume=resume, preset=preset)
    with _Display(console) as display, _termination() as asked:
        outcome = train_run(
            run, output, device=pick_device(device), reporter=display, stop=lambda: bool(asked)
        )
    fields = {
        "run": str(output),
        "checkpoint": str(outcome.checkpoint),
        "stage": outcome.stage,
        "steps": outcome.step,
        "finished": outcome.finished,
        "skipped": outcome.skipped,
        "losses": display.losses,
    }
    if display.speaks:
        console.result(str(outcome.checkpoint) if outcome.finished else None, fields)
    if not outcome.finished:
        if display.speaks:
            console.note(f"interrupted at step {outcome.step}; --resume goes on from there")
        raise typer.Exit(INTERRUPTED)


class _Display:
    """Shows a run on the console: one live line per stage."""

    def __init__(self, console: Console) -> None:
        from facecycle_cli.training.distributed import Processes

        self.losses: dict[str, float] = {}
        self.speaks = Processes.from_environment().is_first
        self._console = console
        self._bar: Bar | None = None
        self._context: Any = None
        self._stage = ""
        self._step = 0

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None

    def note(self, text: str) -> None:
        self._console.note(text)

    def progress(self, progress: Progress) -> None:
        if progress.stage != self._stage:
            self._close()
            self._stage, self._step = progress.stage, 0
            self._context = self._console.progress(progress.stage, progress.steps)
            self._bar = self._context.__enter__()
        assert self._bar is not None
        self._bar.advance(progress.step - self._step, str(progress))
        self._step = progress.step
        self.losses = dict(progress.losses)
        if progress.logged:
            line = f"{progress.stage} step {progress.step} of {progress.steps}: {progress}"
            self._console.detail(line)


@contextmanager
def _termination() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM end the run after the step it is at; a second Ctrl-C ends it at once.

    What is in the list were the signals so far.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
