"""facecycle train: both stages of training, resumable, on one device or many."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.compute import pick_device
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import AsJson, Device, Quiet, Verbose
from facecycle_cli.cli.signals import INTERRUPTED, TERMINATING, Deadline, is_ignored
from facecycle_cli.types import Cache, OnDivergence, PresetName, StageChoice, Transform

if TYPE_CHECKING:
    from facecycle_cli.training.run import TrainingProgress

_STEP_SECONDS = 120.0
"""From SIGTERM until a run is ended that does not come to the end of its step."""


def _option(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 (typer's own word)
    """An option that changes nothing unless it is given: its default is in the settings."""
    return typer.Option(*names, help=help, show_default=False, **more)


def train_command(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA",
            help="Output of preprocess (a folder, or webdataset shards), or folders of face "
            "pictures. Pictures in DATA itself show different people, those in a folder below it "
            "one person.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, _option("--output", "-o", metavar="RUN", help="Folder of the run. Required.")
    ] = None,
    stage: Annotated[
        StageChoice | None, _option(help="What to train. Default: both, one after the other.")
    ] = None,
    preset: Annotated[
        PresetName | None,
        _option(help="The networks, and the defaults of all settings. Default: small."),
    ] = None,
    image_size: Annotated[
        int | None,
        _option(metavar="64|128", help="Side of the networks' input, in pixels. Default: 64."),
    ] = None,
    transform: Annotated[
        Transform | None,
        _option(
            help="The second view of a face: another frame, its mirror image, or either of them. "
            "Default: mixed."
        ),
    ] = None,
    steps: Annotated[int | None, _option(min=1, help="Steps of each stage.")] = None,
    epochs: Annotated[
        int | None,
        _option(min=1, help="Passes over the data, one pair per clip, instead of --steps."),
    ] = None,
    batch_size: Annotated[
        int | None,
        _option(min=2, help="Faces per step, over all processes: two for each pair."),
    ] = None,
    lr: Annotated[float | None, _option(help="Highest learning rate.")] = None,
    resume: Annotated[
        bool,
        _option("--resume", help="Continue the run in RUN; if there is none, begin it."),
    ] = False,
    init: Annotated[
        str | None, _option(metavar="CHECKPOINT", help="Start from these weights.")
    ] = None,
    perceptual: Annotated[
        str | None,
        _option(
            metavar="auto|off|vgg|efficientnet-lite0|PATH",
            help="The network of the perceptual loss: none (off), VGG-19 from torch.hub's cache "
            "(vgg) or from a file, or EfficientNet-Lite0 from the extra 'train'. Default: VGG-19 "
            "if it can be had, else EfficientNet-Lite0 (auto).",
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
        int | None,
        _option(
            min=0,
            help="Threads that read in advance. Default: one per core; without a GPU at most 8.",
        ),
    ] = None,
    cache: Annotated[
        Cache | None,
        _option(
            help="Keep decoded crops on the device that trains, in memory, or not. Default: where "
            "there is room (auto)."
        ),
    ] = None,
    min_sharpness: Annotated[
        float | None,
        _option(min=0, help="Leave out crops below this sharpness in preprocess's index."),
    ] = None,
    max_yaw: Annotated[
        float | None,
        _option(min=0, max=180, help="Leave out heads turned further than this, in degrees."),
    ] = None,
    on_divergence: Annotated[
        OnDivergence | None,
        _option(
            help="If the gradient explodes, the held-out loss stays far above its best, or flows "
            "fold: say so and go on (warn), or end with the best checkpoint (stop). Default: warn."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        _option(metavar="FILE.toml", help="Settings as in RUN/config.toml; options override them."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        _option("--set", metavar="KEY=VALUE", help="Any other setting: --set identity.ema=0.99"),
    ] = None,
    device: Device = "auto",
    seed: Annotated[
        int | None,
        _option(min=0, help="Random seed: same seed, same run (bit for bit on a CPU). Default: 0."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train the networks on crops of faces.

    facecycle train vox2_faces/ -o runs/a --preset paper --amp     the paper's training

    facecycle train -o runs/a --resume                             after an interruption

    torchrun --nproc-per-node 8 -m facecycle_cli train ...         on eight GPUs

    RUN/config.toml holds every setting of a run, by the names that --set takes. Ctrl-C saves, and
    --resume continues to the same result.
    """
    if output is None:
        raise typer.BadParameter("a run needs a folder: pass -o RUN")
    if steps is not None and epochs is not None:
        raise typer.BadParameter("pass --steps or --epochs, not both")
    flags = {
        "data": [str(path.absolute()) for path in data] if data else None,
        "stage": stage,
        "preset": preset,
        "image_size": image_size,
        "transform": transform,
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "init": init,
        "perceptual": perceptual,
        "amp": "auto" if amp else None,
        "compile": compile_ or None,
        "workers": workers,
        "cache": cache,
        "min_sharpness": min_sharpness,
        "max_yaw": max_yaw,
        "on_divergence": on_divergence,
        "seed": seed,
    }
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    layers = _read_layers(config, settings or (), flags)

    from facecycle_cli.training.run import open_run
    from facecycle_cli.training.train import train as run_training

    run = open_run(output, layers, resume=resume, preset=_preset_of_init(layers))
    with _Display(console) as display, _Stop() as stop:
        outcome = run_training(
            run,
            output,
            device=pick_device(device),
            reporter=display,
            begin=stop.begin,
            stop=stop.wanted,
        )

    if display.speaks:
        fields = {
            "run": str(output),
            "checkpoint": str(outcome.checkpoint),
            "stage": outcome.stage,
            "steps": outcome.step,
            "finished": outcome.finished,
            "skipped": outcome.skipped,
            "losses": display.losses,
        }
        console.result(console.name(str(outcome.checkpoint)) if outcome.finished else None, fields)
        if not outcome.finished:
            console.note(f"interrupted at step {outcome.step}; --resume continues from there")
    if not outcome.finished:
        raise typer.Exit(INTERRUPTED)


def _read_layers(
    file: Path | None, assignments: Sequence[str], flags: dict[str, Any]
) -> list[dict[str, Any]]:
    """The settings of the user, from the weakest to the strongest: file, --set, options."""
    from facecycle_cli.training.config import TrainConfig
    from facecycle_cli.training.layers import parse_assignments, read_toml

    layers: list[dict[str, Any]] = []
    if file is not None:
        with prefix_errors(str(file)):
            layers.append(read_toml(file))
            TrainConfig.from_layers(*layers)
    given = {name: value for name, value in flags.items() if value is not None}
    return [*layers, parse_assignments(assignments), given]


def _preset_of_init(layers: Sequence[dict[str, Any]]) -> str:
    """The preset of the checkpoint to start from, or ``small`` if there is none."""
    from facecycle_cli.model import read_info

    init = next((layer["init"] for layer in reversed(layers) if layer.get("init")), None)
    if init is None:
        return "small"
    with prefix_errors(str(init)):
        return read_info(init).config.preset


class _Display:
    """Shows a run on the console: one live line per stage.

    Args:
        console: of the command.

    Attributes:
        losses: of the last step that was reported.
        speaks: whether this is the process that speaks for all.
    """

    def __init__(self, console: Console) -> None:
        from facecycle_cli.training.distributed import Processes

        self.losses: dict[str, float] = {}
        self.speaks = Processes.from_environment().is_first
        self._console = console
        self._line = ExitStack()
        self._advance: Callable[[int, str], None] = lambda count, text: None
        self._stage = ""
        self._step = 0

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def note(self, text: str) -> None:
        """Show something that the user should know."""
        self._console.note(text)

    def progress(self, progress: TrainingProgress) -> None:
        """Move the live line on; each stage has its own."""
        if progress.stage != self._stage:
            self._line.close()
            self._stage, self._step = progress.stage, 0
            live = self._console.progress(progress.stage, progress.steps)
            self._advance = self._line.enter_context(live).advance
        self._advance(progress.step - self._step, str(progress))
        self._step = progress.step
        self.losses = dict(progress.losses)
        if progress.logged:
            line = f"{progress.stage} step {progress.step} of {progress.steps}: {progress}"
            self._console.detail(line)


class _Stop:
    """Ctrl-C, SIGTERM and SIGHUP: the run ends after its step. A second Ctrl-C ends it at once.

    Before the first step there is nothing to save, and the command ends as any other.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._started = False
        self._deadline: Deadline | None = None
        numbers = (signal.SIGINT, *TERMINATING)
        # What was ignored when the program started stays ignored.
        self._before: dict[int, Any] = {
            n: signal.getsignal(n) for n in numbers if not is_ignored(n)
        }

    def __enter__(self) -> _Stop:
        for number in self._before:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def begin(self) -> None:
        """The first step begins: from now on, the run is saved before it ends."""
        self._started = True

    def wanted(self) -> bool:
        """Whether a signal asks the run to end."""
        return bool(self._received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if callable(before) and (not self._started or (self._received and number == signal.SIGINT)):
            before(number, frame)
            return
        self._received.append(number)
        if number != signal.SIGINT and self._deadline is None:
            self._deadline = Deadline(_STEP_SECONDS, 128 + number)
