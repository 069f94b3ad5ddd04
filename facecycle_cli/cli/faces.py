"""What stands behind --face and --show-faces in several commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from facecycle_cli.cli.compute import open_backend
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.outputs import Outputs
from facecycle_cli.cli.run import Pictures, run_pictures
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    from facecycle_cli.faces import Face, FaceBackend
    from facecycle_cli.faces.choice import FaceChoice
    from facecycle_cli.media import Input
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.types import RGBImage


def open_face_choice(
    choice: str, model: FaceCycle, backend: FaceBackend, *, option: str = "--face"
) -> FaceChoice:
    """What ``--face`` says; of ``like:REF`` the picture is read and its face is looked at.

    Raises:
        CommandError: the picture cannot be read, or has no face.
    """
    from facecycle_cli.portrait.likeness import open_choice

    with prefix_errors(f"{option} {choice}"):
        return open_choice(choice, model, backend)


def show_faces(
    inputs: Sequence[str],
    output: str | None,
    *,
    overwrite: bool,
    aligner: AlignerName,
    console: Console,
) -> None:
    """Write every picture with its faces' numbers as ``<stem>_faces.png``.

    Args:
        inputs: pictures and videos, as the command has them.
        output: what ``-o`` says.
        overwrite: replace outputs that exist.
        aligner: finds the faces.
        console: where the names are printed.

    Raises:
        typer.BadParameter: the inputs do not fit the output.
        typer.Exit: code 1, some input failed.
    """
    outputs = Outputs(output, inputs, tag="_faces", overwrite=overwrite)
    backend = open_backend(aligner)

    from facecycle_cli.faces.numbered import numbered_faces
    from facecycle_cli.media import Provenance, read_image
    from facecycle_cli.portrait.found import faces_of_file, faces_of_picture

    provenance = Provenance.of_marks("show-faces")

    def read(item: Input) -> tuple[RGBImage, list[Face]]:
        if item.is_stdin:
            return faces_of_picture(read_image(sys.stdin.buffer), backend)
        return faces_of_file(item.path, backend)

    def transform(found: tuple[RGBImage, list[Face]]) -> Pictures:
        image, faces = found
        described = [{"face": n, **describe_face(face)} for n, face in enumerate(faces, 1)]
        return Pictures([numbered_faces(image, faces)], provenance, {"faces": described})

    run_pictures(inputs, outputs, transform, console, read=read)


def describe_face(face: Face) -> dict[str, Any]:
    """What ``--json`` says of a face: box in pixels, score, angles in degrees."""
    pose = face.pose
    return {
        "box": [round(float(v), 1) for v in face.box],
        "score": round(float(face.score), 4),
        "yaw": round(pose.yaw, 1),
        "pitch": round(pose.pitch, 1),
        "roll": round(pose.roll, 1),
    }
