"""--strength, --yaw, --pitch and --roll."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facecycle_cli.cli.app import app
from facecycle_cli.media import read_image
from facecycle_cli.portrait.verbs import frontalize
from tests.clips import FACES


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (["frontalize", "--yaw", "26"], "--yaw"),
        (["frontalize", "--pitch", "-16"], "--pitch"),
        (["frontalize", "--strength", "1.6"], "--strength"),
        (["neutralize", "--strength", "-0.1"], "--strength"),
        (["neutralize", "--strength", "0.5", "--mean"], "--mean"),
        (["neutralize", "--yaw", "5"], "--yaw"),
        (["frontalize", "--pitch", "5", "--motion-from", "networks"], "--motion-from"),
        (["frontalize", "--pitch", "5", "--aligner", "face-alignment"], "--aligner"),
    ],
)
def test_what_cannot_be_asked_for(call, reason):
    result = CliRunner().invoke(app, [*call, str(FACES[0])], prog_name="facecycle")
    assert result.exit_code == 2
    assert reason in result.output


def test_the_command_and_the_function_turn_alike(tmp_path):
    output = tmp_path / "turned.png"
    dials = {"yaw": 10, "roll": -15, "strength": 0.5}
    options = [f"--{name}={value}" for name, value in dials.items()]
    call = ["frontalize", str(FACES[0]), "-o", str(output), "--size", "96", *options]
    assert CliRunner().invoke(app, call, prog_name="facecycle").exit_code == 0
    with Image.open(output) as written:
        pixels = np.asarray(written)
    assert np.array_equal(pixels, frontalize(read_image(FACES[0]), size=96, **dials))
