"""A command as small as can be, in the real application: what is tested is everything around it."""

import os
import time

from facecycle_cli.__main__ import main
from facecycle_cli.cli.app import app
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.options import (
    AsJson,
    Checkpoint,
    Device,
    Face,
    Inputs,
    Output,
    Overwrite,
    Quiet,
    Seed,
    Verbose,
)
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import Pictures, read_input, run_pictures


@app.command()
def invert(
    inputs: Inputs,
    output: Output = None,
    face: Face = "largest",
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn light into dark. Black pictures have no face, white ones meet a bug."""
    from facecycle_cli.errors import MediaError
    from facecycle_cli.media import Provenance

    several = face == "all"
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    outputs = Outputs(output, inputs, tag="_inverted", overwrite=overwrite, numbered=several)
    if checkpoint != "small":
        with prefix_errors(checkpoint), open(checkpoint, "rb"):
            pass

    def transform(image):
        time.sleep(float(os.environ.get("SLEEP", "0")))
        if not image.any():
            raise MediaError("no face")
        if image.min() == 255:
            raise KeyError("white\nand more")
        images = [255 - image, image] if several else [255 - image]
        return Pictures(images, Provenance("invert"), {"faces": len(images), "device": device})

    run_pictures(inputs, outputs, transform, console, read=read_input)


if __name__ == "__main__":
    main()
