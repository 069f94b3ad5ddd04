"""What frontalize and neutralize share: options, faces out of a picture, the result in place."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from facecycle_cli.cli.console import Console
from facecycle_cli.cli.networks import open_backend, open_model
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Faces,
    Grid,
    Inputs,
    Output,
    Overwrite,
    PasteBack,
    Quiet,
    Seed,
    Size,
    Verbose,
)
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import Pictures, run_pictures

if TYPE_CHECKING:
    import numpy as np

    from facecycle_cli.faces import Face
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.portraits import Portrait

    Move = Callable[[np.ndarray, Sequence[Face], FaceCycle, int], list[Portrait]]


@dataclass(frozen=True)
class PortraitOptions:
    """What every call of frontalize and neutralize says: each field is an option of both."""

    inputs: Inputs
    output: Output = None
    size: Size = 256
    faces: Faces = "largest"
    paste_back: PasteBack = False
    grid: Grid = False
    overwrite: Overwrite = False
    checkpoint: Checkpoint = "small"
    device: Device = "auto"
    aligner: Aligner = "mesh"
    seed: Seed = 0
    as_json: AsJson = False
    quiet: Quiet = False
    verbose: Verbose = False

    def run(self, move: Move, *, operation: str, tag: str) -> None:
        """Move the faces of every input with ``move`` and write the results.

        Args:
            move: what happens to the faces.
            operation: its name, for the provenance note.
            tag: what it adds to the names of files.
        """
        console = Console(quiet=self.quiet, verbose=self.verbose, json=self.as_json)
        if self.grid and self.paste_back:
            raise typer.BadParameter("--grid and --paste-back make different pictures; choose one")
        one_each = self.faces == "all" and not self.grid and not self.paste_back
        outputs = Outputs(
            self.output, self.inputs, tag=tag, overwrite=self.overwrite, numbered=one_each
        )
        backend = open_backend(self.aligner)
        if prepare := getattr(backend, "prepare", None):
            threading.Thread(target=prepare).start()  # while torch is imported
        model = open_model(self.checkpoint, self.device)
        model.seed = self.seed

        from facecycle_cli.media import Provenance
        from facecycle_cli.portrait.portraits import find_faces, paste_portraits

        info = model.checkpoint
        provenance = Provenance(operation, info.sha256 if info else None)

        def transform(image: np.ndarray) -> Pictures:
            (faces,) = find_faces([image], backend, self.faces)
            portraits = move(image, faces, model, self.size)
            if self.grid:
                pictures = [_grid(model, portraits)]
            elif self.paste_back:
                pictures = [paste_portraits(image, portraits)]
            else:
                pictures = [portrait.result for portrait in portraits]
            return Pictures(pictures, provenance, {"faces": [_describe(f) for f in faces]})

        run_pictures(self.inputs, outputs, transform, console)


def portrait_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command``, a function of `PortraitOptions` and of options of its own, a signature that
    lists them all: the command line is built from it.
    """
    hints = get_type_hints(PortraitOptions, include_extras=True)
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    shared = [
        inspect.Parameter(
            field.name,
            kind,
            default=empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(PortraitOptions)
    ]
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    places = 2  # input and output come first
    signature = inspect.Signature([*shared[:places], *own, *shared[places:]])

    @functools.wraps(command)
    def whole(**values: Any) -> None:
        options = PortraitOptions(**{name: values.pop(name) for name in hints})
        command(options, **values)

    whole.__signature__ = signature  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return whole


def _grid(model: FaceCycle, portraits: Sequence[Portrait]) -> np.ndarray:
    import numpy as np

    from facecycle_cli.portrait.grid import step_grid

    crops = np.stack([p.crop for p in portraits])
    return step_grid(model, crops, np.stack([p.result for p in portraits]))


def _describe(face: Face) -> dict[str, Any]:
    pose = face.pose
    return {
        "box": [round(float(v), 1) for v in face.box],
        "score": round(float(face.score), 4),
        "yaw": round(pose.yaw, 1),
        "pitch": round(pose.pitch, 1),
        "roll": round(pose.roll, 1),
    }
