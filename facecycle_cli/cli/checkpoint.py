"""facecycle checkpoint: what a checkpoint holds, conversion of the authors' file, ONNX export."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import (
    CHECKPOINT_VARIABLE,
    AsJson,
    Checkpoint,
    Overwrite,
    Quiet,
    Seed,
    Verbose,
)
from facecycle_cli.cli.outputs import refuse_existing
from facecycle_cli.cli.run import InputResult, run_each
from facecycle_cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from facecycle_cli.model import FaceCycle

checkpoint_command = typer.Typer(
    name="checkpoint",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look into checkpoints, convert and export them.",
)


@checkpoint_command.command("info")
def print_info(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|PATH",
            # The variable is read below: typer would split its value at spaces.
            help=f"Checkpoints. Default: ${CHECKPOINT_VARIABLE}, or else the embedded one.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what is inside: networks and their sizes, training, metrics, license, hash.

    facecycle checkpoint info
    facecycle checkpoint info runs/first/checkpoint.safetensors --json
    """
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    names = checkpoints or [os.environ.get(CHECKPOINT_VARIABLE) or "small"]
    run_each(names, _describe, console, what="checkpoints")


@checkpoint_command.command("convert")
def convert_authors(
    source: Annotated[
        str, typer.Argument(metavar="IN.tar", help="The authors' file.", show_default=False)
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.safetensors", help="Default: beside IN.tar.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Convert the authors' finalmodel.tar. No code in it is run.

    facecycle checkpoint convert finalmodel.tar paper.safetensors
    """
    output = target or Path(source).with_suffix(".safetensors")

    def one(name: str) -> InputResult:
        from facecycle_cli.model import authors

        refuse_existing(output, overwrite)
        output.parent.mkdir(parents=True, exist_ok=True)
        authors.convert(name, output)
        return InputResult(console.name(str(output)), {"output": str(output)})

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    run_each([source], one, console, what="checkpoints")


@checkpoint_command.command("export")
def export_networks(
    onnx: Annotated[
        Path,
        typer.Option("--onnx", metavar="DIR", help="Where to write.", show_default=False),
    ],
    face: Annotated[
        str | None,
        typer.Option(
            metavar="IMG", help="Also check on the face in this picture.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write each network as an ONNX file, and check that it computes what torch computes.

    facecycle checkpoint export --onnx onnx/
    """
    from facecycle_cli.model import load
    from facecycle_cli.model.onnx import NETWORKS, export_onnx

    with prefix_errors(f"--checkpoint {checkpoint}"):
        model = load(checkpoint)
    model.seed = seed
    faces = None
    if face is not None:
        with prefix_errors(f"--face {face}"):
            faces = _read_face(face, model)
    with prefix_errors(f"--onnx {onnx}"):
        onnx.mkdir(parents=True, exist_ok=True)

    def one(path: Path) -> InputResult:
        refuse_existing(path, overwrite)
        network = export_onnx(model, path.stem, path, faces)
        return InputResult(
            f"{path}: {', '.join(network.inputs)} -> {', '.join(network.outputs)}; "
            f"within {network.difference:.1e} of torch",
            {
                "output": str(path),
                "inputs": network.inputs,
                "outputs": network.outputs,
                "difference": network.difference,
            },
        )

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    run_each([onnx / f"{name}.onnx" for name in NETWORKS], one, console, what="networks")


def _read_face(path: str, model: FaceCycle) -> Tensor:
    from facecycle_cli.faces import load_backend
    from facecycle_cli.media import read_image
    from facecycle_cli.portrait.crops import CropSettings, face_crop

    crop = face_crop(read_image(path), CropSettings(model.config.image_size), load_backend())
    return model.to_input(crop)


def _describe(name: str) -> InputResult:
    """What ``info`` prints of one checkpoint."""
    from facecycle_cli.model import load, read_info
    from facecycle_cli.model.summary import summarize

    source = read_info(name)
    networks = summarize(load(name))
    fields = {
        "path": str(source.path),
        "sha256": source.sha256,
        "config": source.config.to_dict(),
        "metadata": source.metadata,
        "networks": [asdict(network) for network in networks],
        "parameters": sum(network.parameters for network in networks),
    }
    return InputResult(_as_text(fields), fields)


def _as_text(fields: Mapping[str, Any]) -> str:
    """The fields of ``info`` for people."""
    config, metadata = fields["config"], dict(fields["metadata"])
    rows = [
        ("file", fields["path"]),
        ("sha256", fields["sha256"]),
        ("preset", f"{config['preset']}, {config['image_size']}x{config['image_size']}"),
    ]
    rows += [(str(key).replace("_", " "), _in_words(value)) for key, value in metadata.items()]
    rows = [(one_line(key), one_line(value)) for key, value in rows]  # anybody may have written it
    width = max(len(key) for key, _ in rows)
    lines = [f"{key:{width}}  {value}" for key, value in rows]
    lines += ["", f"{'network':28}{'parameters':>12}{'multiply-adds':>16}"]
    for network in fields["networks"]:
        name = " ".join(filter(None, (network["symbol"], network["name"].replace("_", " "))))
        size, work = network["parameters"], network["multiply_adds"] / 1e6
        lines.append(f"{name:28}{size:12,}{work:14,.1f} M")
    total = {network["name"]: network["multiply_adds"] / 1e6 for network in fields["networks"]}
    neutral = sum(
        total[name]
        for name in ("trunk", "expression_encoder", "flow_decoder", "expression_decoder")
    )
    lines.append(f"{'total; one neutral face':28}{fields['parameters']:12,}{neutral:14,.1f} M")
    return "\n".join(lines)


def _in_words(value: Any) -> str:
    if value in ({}, [], None, ""):
        return "none recorded"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_in_words(inner) for inner in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
