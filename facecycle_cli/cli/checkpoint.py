"""facecycle checkpoint: what is inside a checkpoint, conversion of the authors', ONNX export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import AsJson, Checkpoint, Overwrite, Quiet, Seed, Verbose
from facecycle_cli.cli.outputs import Skip
from facecycle_cli.cli.run import Outcome, run_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from facecycle_cli.model import FaceCycle

checkpoint = typer.Typer(
    name="checkpoint",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look into checkpoints, convert and export them.",
)


@checkpoint.command()
def info(
    checkpoints: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer evaluates it, on every Python)
        typer.Argument(
            metavar="NAME|PATH",
            help="Checkpoints; the embedded one by default.",
            envvar="FACECYCLE_CHECKPOINT",
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

    def describe(name: str) -> Outcome:
        from facecycle_cli.model import load
        from facecycle_cli.model.summary import summarize

        model = load(name)
        source = model.checkpoint
        assert source is not None
        networks = summarize(model)
        fields = {
            "path": str(source.path),
            "sha256": source.sha256,
            "config": source.config.to_dict(),
            "metadata": source.metadata,
            "networks": [asdict(network) for network in networks],
            "parameters": sum(network.parameters for network in networks),
        }
        return Outcome(_as_text(fields), fields)

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    run_each(checkpoints or ["small"], describe, console, what="checkpoints")


@checkpoint.command()
def convert(
    source: Annotated[
        str, typer.Argument(metavar="IN.tar", help="The authors' file.", show_default=False)
    ],
    target: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="OUT.safetensors", help="Default: beside IN.", show_default=False),
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

    def one(name: str) -> Outcome:
        from facecycle_cli.model.authors import convert as convert_file

        _check_free(output, overwrite)
        output.parent.mkdir(parents=True, exist_ok=True)
        convert_file(name, output)
        return Outcome(str(output), {"output": str(output)})

    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    run_each([source], one, console, what="checkpoints")


@checkpoint.command()
def export(
    onnx: Annotated[
        Path,
        typer.Option("--onnx", metavar="DIR", help="Where the files go.", show_default=False),
    ],
    face: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="IMG", help="Check on the face in this picture, too.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write each network as an ONNX file, checked against torch.

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

    def one(path: Path) -> Outcome:
        _check_free(path, overwrite)
        network = export_onnx(model, path.stem, path, faces)
        return Outcome(
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


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise Skip(f"{path} exists (--overwrite to replace it)")


def _read_face(path: str, model: FaceCycle) -> Tensor:
    from facecycle_cli.faces import load_backend
    from facecycle_cli.media import read_image
    from facecycle_cli.portrait.crops import CropSettings, face_crop

    crop = face_crop(read_image(path), CropSettings(model.config.image_size), load_backend())
    return model.to_input(crop)


def _as_text(fields: Mapping[str, Any]) -> str:
    """The fields of `info` for people."""
    config, metadata = fields["config"], dict(fields["metadata"])
    rows = [
        ("file", fields["path"]),
        ("sha256", fields["sha256"]),
        ("preset", f"{config['preset']}, {config['image_size']}x{config['image_size']}"),
    ]
    rows += [(str(key).replace("_", " "), _in_words(value)) for key, value in metadata.items()]
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
